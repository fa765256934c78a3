"""Whole models in groups as GPUs take them: work-items are rounded up, kernels leave out the rest.

A device that is a CPU chooses its groups itself, and none is left over. Here it claims to be a GPU;
the check of a new session then compares every kernel of the model with the CPU's.
"""

import ctypes
from typing import Any

import pytest

import penjing
from tests.zoo import make

from .runs import device
from .runtime_library import DEVICE_ONLY, HERE, OK, Config, build

SOME = ("own_gru",)
MORE = (
    "own_ds_cnn",
    "mobilenet_v2",
    "mobilevit",
    "swin",
    "gpt2",
    "bert",
    "own_lstm",
    "own_unet",
    "llama",
)
MODELS: list[Any] = [*SOME, *(pytest.param(name, marks=pytest.mark.slow) for name in MORE)]


@pytest.mark.parametrize("name", MODELS)
def test_groups_that_are_not_full(name: str) -> None:
    device()  # skips where there is none
    hidden = ("-shared", "-fPIC", "-fvisibility=hidden")
    gpu = build("libpretend.so", [HERE / "pretend_gpu.c"], *hidden)
    artifact = penjing.compile(*make(name), target="opencl")
    library = ctypes.CDLL(str((artifact.folder / "libmodel.so").resolve()))
    library.model_message.restype = ctypes.c_char_p
    library.model_destroy.argtypes = library.model_message.argtypes = [ctypes.c_void_p]
    size = ctypes.sizeof(Config)
    config = Config(size=size, opencl_library=bytes(gpu), runs=DEVICE_ONLY)
    session = ctypes.c_void_p()
    status = library.model_create(ctypes.byref(config), ctypes.byref(session))
    message = library.model_message(session)
    library.model_destroy(session)
    assert (status, message) == (OK, b"")
