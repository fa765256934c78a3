"""Programs to kernels, buffers and calls: what is shared, aliased, or needs no kernel at all."""

import numpy as np
import torch
from torch import nn

import penjing
from penjing.compiler.lowering.lower import lower
from penjing.compiler.lowering.program import Lowered
from penjing.passes.pipeline import CPU_PIPELINE


class Blocks(nn.Module):
    """Equal layers with weights of their own."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(8, 8) for _ in range(count))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x).relu()
        return x


class Empty(nn.Module):
    """Tensors without elements, as an output and on the way to one."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        nothing = x[:, :0] + 1
        return nothing, torch.cat([nothing, x * 2], 1)


def test_equal_layers_share_one_kernel() -> None:
    lowered = _lowered(Blocks(3), torch.randn(5, 8))
    assert len(lowered.calls) == 3
    assert len(lowered.kernels) == 1
    panels = {call.reads[1] for call in lowered.calls}
    assert len(panels) == 3, "each call has its own weights"


def test_views_need_no_kernel() -> None:
    lowered = _lowered(nn.Sequential(nn.Linear(8, 6), nn.Unflatten(1, (2, 3))), torch.randn(5, 8))
    assert len(lowered.calls) == 1
    (output,) = lowered.outputs
    assert lowered.values[output].alias_of == lowered.calls[0].writes[0]


def test_only_elementwise_results_may_overwrite_their_input() -> None:
    (elementwise,) = _lowered(nn.Tanh(), torch.randn(5, 8)).calls
    assert elementwise.inplace == ((0, 0),)
    (rows,) = _lowered(nn.Softmax(1), torch.randn(5, 8)).calls
    assert rows.inplace == ()


def test_multiply_adds_are_counted() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(64, 10))
    lowered = _lowered(model, torch.randn(1, 3, 6, 6))
    assert sum(call.macs for call in lowered.calls) == 4 * 4 * 4 * 27 + 640


def test_tensors_without_elements() -> None:
    x = torch.randn(2, 3)
    artifact = penjing.compile(Empty(), (x,), target="host")
    nothing, joined = artifact.run(x)
    assert nothing.shape == (2, 0)
    np.testing.assert_array_equal(joined, (x * 2).numpy())


def _lowered(model: nn.Module, x: torch.Tensor) -> Lowered:
    program = penjing.optimize(penjing.trace(model.eval(), (x,)), CPU_PIPELINE)
    return lower(program, penjing.targets.get("host"), name="net")
