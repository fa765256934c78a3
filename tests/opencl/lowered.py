"""Models lowered for a device, and whether they compute there what PyTorch does."""

from collections.abc import Sequence

import torch
from torch import nn

from penjing import targets
from penjing.compiler.frontend.trace import trace
from penjing.compiler.lowering.lower import lower
from penjing.compiler.lowering.options import KernelOptions
from penjing.compiler.lowering.program import Lowered
from penjing.compiler.pass_manager import optimize
from penjing.passes.pipeline import cpu_pipeline
from penjing.targets.opencl.kernel import Launch
from tests.opencl.programs import run_lowered


def lowered_model(model: nn.Module, inputs: Sequence[torch.Tensor], target: str) -> Lowered:
    """The launches of a model, in float32."""
    program = optimize(trace(model.eval(), tuple(inputs)), cpu_pipeline([]))
    options = KernelOptions(winograd=0)
    return lower(program, targets.get(target), name="model", options=options)


def launches_of(lowered: Lowered) -> list[Launch]:
    """What a run enqueues, in order."""
    kernels = lowered.device_kernels
    return [
        launch
        for call in lowered.calls
        if call.kernel in kernels
        for launch in kernels[call.kernel].launches
    ]


def assert_equals_eager(
    model: nn.Module, inputs: Sequence[torch.Tensor], target: str = "opencl"
) -> Lowered:
    """The lowered model, once its outputs were compared."""
    lowered = lowered_model(model, inputs, target)
    with torch.no_grad():
        wanted = model(*inputs)
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    for found, expected in zip(run_lowered(lowered, inputs), wanted, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    return lowered
