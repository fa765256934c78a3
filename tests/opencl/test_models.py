"""Whole models on a device: the library computes what PyTorch computes, and not on the CPU."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import penjing
from penjing import targets
from penjing.compiler.frontend.trace import trace
from penjing.compiler.lowering.lower import lower
from penjing.compiler.pass_manager import optimize
from penjing.passes.pipeline import cpu_pipeline
from tests.opencl.programs import run_lowered
from tests.opencl.runs import device
from tests.test_models import assert_close
from tests.zoo import ZOO, Inputs, call, make, tensors_of
from tests.zoo_more import MORE, make_more

SOME = ("own_ds_cnn", "own_gru")  # the others are slow tests
IN_HALF = ("own_ds_cnn", "own_mobilenet_v2", "bert", "llama", "own_lstm", "convnext")
HALF_TOLERANCE = 2e-2  # of the largest output
FOR_PROFILES = ("own_ds_cnn", "own_se_cnn", "own_gru", "gpt2", "swin", "mobilevit")


def _marked(names: tuple[str, ...], some: tuple[str, ...]) -> list[Any]:
    return [pytest.param(n, marks=() if n in some else pytest.mark.slow) for n in names]


@pytest.mark.parametrize("name", _marked((*ZOO, *MORE), SOME))
def test_models_on_a_device(name: str) -> None:
    model, inputs = make(name) if name in ZOO else make_more(name)
    for result, wanted in _compiled(model, inputs):
        assert_close(result, wanted)


@pytest.mark.parametrize("name", _marked(IN_HALF, ("own_ds_cnn",)))
def test_models_stored_in_float16(name: str) -> None:
    model, inputs = make(name)
    for result, wanted in _compiled(model, inputs, precision="float16"):
        error = np.abs(result - wanted.numpy()).max()
        assert error <= HALF_TOLERANCE * float(wanted.abs().max())


@pytest.mark.parametrize("profile", ["adreno-7xx", "mali-g5x"])
@pytest.mark.parametrize("name", _marked(FOR_PROFILES, ("own_gru",)))
def test_kernels_for_phones_on_this_device(name: str, profile: str) -> None:
    device()
    model, inputs = make(name)
    program = optimize(trace(model, inputs), cpu_pipeline([]))
    lowered = lower(program, targets.get(profile), name="phone")
    results = run_lowered(lowered, tensors_of(inputs))
    for result, wanted in zip(results, tensors_of(call(model, inputs)), strict=True):
        assert_close(result.numpy(), wanted.detach())


def _compiled(
    model: nn.Module, inputs: Inputs, **options: Any
) -> list[tuple[np.ndarray[Any, Any], torch.Tensor]]:
    """Each output of the library and of PyTorch."""
    device()
    artifact = penjing.compile(model, inputs, target="opencl", name="net", **options)
    args, kwargs = ((), inputs) if isinstance(inputs, dict) else (inputs, {})
    results = artifact.run(*args, **kwargs)
    assert artifact._opencl.is_on_device, artifact._opencl.device
    with torch.no_grad():
        wanted = tensors_of(call(model, inputs))
    return list(zip(results, wanted, strict=True))
