"""Whole models: the compiled library computes what PyTorch computes."""

from typing import Any

import numpy as np
import pytest
import torch

import penjing
from tests.zoo import ZOO, assert_sensitive, call, make, tensors_of

TOLERANCE = 1e-4  # largest error, relative to the largest element of the output

ON_A72 = (
    "bert",
    "gpt2",
    "llama",
    "vit",
    "swin",
    "convnext",
    "mobilevit",
    "wav2vec2",
    "own_mobilenet_v2",
    "own_resnet18",
    "own_se_cnn",
    "own_ds_cnn",
    "own_lstm",
)
ON_EVERY_ARM = ("own_ds_cnn", "distilbert", "own_gru")
OTHER_ARM = (
    "arm-a53",
    "arm-a55",
    "arm-a76",
    "arm-a78",
    "arm-x1",
    "arm-generic",
    "armv7-a9",
    "armv7-generic",
)


@pytest.mark.parametrize("name", ZOO)
def test_model_on_the_host(name: str) -> None:
    model, inputs = make(name)
    assert_sensitive(model, inputs)
    assert_compiled_equals_eager(name, "host")


@pytest.mark.qemu
@pytest.mark.parametrize("name", ON_A72)
def test_model_on_a_cortex_a72(name: str) -> None:
    assert_compiled_equals_eager(name, "arm-a72")


@pytest.mark.qemu
@pytest.mark.parametrize("target", OTHER_ARM)
@pytest.mark.parametrize("name", ON_EVERY_ARM)
def test_model_on_other_arm_cores(name: str, target: str) -> None:
    assert_compiled_equals_eager(name, target)


@pytest.mark.parametrize("target", ["x86-64-v2", "x86-64-v3"])
def test_model_on_older_x86(target: str) -> None:
    assert_compiled_equals_eager("own_ds_cnn", target)


@pytest.mark.parametrize("target", ["host", "x86-64-v3"])
@pytest.mark.parametrize("name", ["own_dense_cnn", "own_ds_cnn", "bert", "own_gru"])
def test_model_on_two_threads(name: str, target: str) -> None:
    assert_compiled_equals_eager(name, target, threads=2)


@pytest.mark.parametrize("name", ["own_ds_cnn", "distilbert"])
def test_weights_in_a_file(name: str) -> None:
    assert_compiled_equals_eager(name, "host", weights="file")


def assert_compiled_equals_eager(name: str, target: str, **options: Any) -> None:
    """Compile a model of the zoo, run it, compare each output with PyTorch's."""
    model, inputs = make(name)
    artifact = penjing.compile(model, inputs, target=target, name="net", **options)
    args, kwargs = ((), inputs) if isinstance(inputs, dict) else (inputs, {})
    results = artifact.run(*args, **kwargs)
    expected = tensors_of(call(model, inputs))
    assert len(results) == len(expected)
    for result, wanted in zip(results, expected, strict=True):
        assert_close(result, wanted)


def assert_close(result: np.ndarray, wanted: torch.Tensor) -> None:
    """Same shape; every element within `TOLERANCE` of the largest one."""
    assert result.shape == tuple(wanted.shape)
    largest = float(wanted.abs().max())
    error = float(np.abs(result.astype(np.float64) - wanted.double().numpy()).max())
    assert error <= TOLERANCE * largest, f"error {error:.2e}, largest element {largest:.2e}"
