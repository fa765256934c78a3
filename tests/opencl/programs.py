"""Whole lowered programs on an OpenCL device, one buffer for every value."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import torch

from penjing.compiler.lowering.program import Lowered
from penjing.targets.opencl.kernel import DeviceKernel
from tests.opencl.device import Array
from tests.opencl.runs import device, run_kernel, source_of

Run = Callable[[DeviceKernel, Sequence[Array], Sequence[int]], list[Array]]


def run_lowered(
    lowered: Lowered, inputs: Sequence[torch.Tensor], run: Run | None = None
) -> list[torch.Tensor]:
    """The outputs of a program whose every call runs on the device.

    Args:
        lowered: The program.
        inputs: Its inputs.
        run: Runs one kernel, if not as a function of one program for all of them.
    """
    if run is None:
        program = device().build(source_of(lowered.device_kernels.values()))
        run = partial(run_kernel, program=program)
    values = _storage(lowered, inputs)
    for call in lowered.calls:
        if call.kernel not in lowered.device_kernels:
            continue  # the CPU's alone: a device writes borders with what they are around
        kernel = lowered.device_kernels[call.kernel]
        names = [lowered.storage_of(name) for name in call.arguments]
        given = [values[name] for name in names[: len(call.reads) + len(call.writes)]]
        offsets = call.offsets[: len(given)]
        results = run(kernel, given, offsets)
        for name, result in zip(names, results, strict=False):
            if lowered.values[name].data is None:
                values[name] = result
    return [_tensor(values, lowered, name) for name in lowered.outputs]


def _storage(lowered: Lowered, inputs: Sequence[torch.Tensor]) -> dict[str, Array]:
    """What every value holds at first."""
    found: dict[str, Array] = {}
    for name, value in lowered.values.items():
        if value.data is not None:
            found[name] = value.data
        elif value.alias_of is None:
            found[name] = np.zeros(value.spec.nbytes, "uint8")
    for name, tensor in zip(lowered.inputs, inputs, strict=True):
        found[lowered.storage_of(name)] = _bytes(tensor)
    return found


def _bytes(tensor: torch.Tensor) -> Array:
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().copy()


def _tensor(values: Mapping[str, Array], lowered: Lowered, name: str) -> torch.Tensor:
    spec = lowered.values[name].spec
    data = torch.from_numpy(values[lowered.storage_of(name)].copy().reshape(-1).view("uint8"))
    return data[: spec.nbytes].view(spec.torch_dtype).reshape(spec.shape)
