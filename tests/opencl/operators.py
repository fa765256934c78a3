"""Makes the tests of lowering rules run on an OpenCL device: import this module's fixture."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from penjing import targets
from penjing.compiler.ir.tensor_spec import TensorSpec
from penjing.targets.mobile_gpus import MobileGpu
from penjing.targets.opencl.lower import lower_device_kernel
from tests.lowering import harness
from tests.opencl.device import Array
from tests.opencl.runs import run_kernel

FENCE = 4096  # bytes of a known value on both sides of what a kernel writes
_VALUE = 0xA5


@pytest.fixture(autouse=True)
def on_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lower and run the kernels of `check` for an OpenCL device."""
    monkeypatch.setattr(harness, "TARGET", targets.get("opencl"))
    monkeypatch.setattr(harness, "execute", execute)


def execute(
    function: Any, inputs: Sequence[torch.Tensor], specs: Sequence[TensorSpec | None]
) -> list[torch.Tensor]:
    """As `harness.execute`, on the device."""
    target = targets.get("opencl")
    assert isinstance(target, MobileGpu)
    kernel = lower_device_kernel(function, "kernel", target, inputs=len(inputs))
    written = [spec for spec in specs if spec is not None]
    arrays = [*map(as_bytes, inputs), *map(_fenced, written)]
    sizes = [torch.empty((), dtype=spec.torch_dtype).element_size() for spec in written]
    offsets = [*(0 for _ in inputs), *(FENCE // size for size in sizes)]
    results = run_kernel(kernel, arrays, offsets)[len(inputs) :]
    return [_inside(result, spec) for result, spec in zip(results, written, strict=True)]


def as_bytes(tensor: torch.Tensor) -> Array:
    """The elements of a tensor."""
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy()


def as_tensor(data: Array, spec: TensorSpec) -> torch.Tensor:
    """The tensor of its bytes."""
    return torch.from_numpy(data.copy()).view(spec.torch_dtype).reshape(spec.shape)


def zeros(spec: TensorSpec) -> Array:
    """As many bytes as a tensor has."""
    return np.zeros(spec.nbytes, "uint8")


def _fenced(spec: TensorSpec) -> Array:
    return np.full(spec.nbytes + 2 * FENCE, _VALUE, "uint8")


def _inside(result: Array, spec: TensorSpec) -> torch.Tensor:
    """The tensor between the bytes that the kernel must not write."""
    before, after = result[:FENCE], result[FENCE + spec.nbytes :]
    assert (before == _VALUE).all(), "the kernel wrote in front of a buffer"
    assert (after == _VALUE).all(), "the kernel wrote behind a buffer"
    return as_tensor(result[FENCE : FENCE + spec.nbytes], spec)
