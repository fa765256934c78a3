"""Grouped and transposed convolutions in models: tiles, partial panels, epilogues, threads."""

import numpy as np
import pytest
import torch
from torch import nn

import penjing
from penjing.compiler.lowering.lower import lower
from penjing.passes.pipeline import CPU_PIPELINE
from tests.support import random_inputs


def _error(model: nn.Module, *shape: int, target: str = "host", threads: int = 1) -> float:
    """The largest difference from PyTorch, relative to the largest output."""
    inputs = random_inputs(*shape)
    artifact = penjing.compile(model.eval(), inputs, target=target, threads=threads)
    with torch.no_grad():
        wanted = model(*inputs).numpy()
    return float(np.abs(artifact.run(*inputs)[0] - wanted).max() / np.abs(wanted).max())


class _Residual(nn.Module):
    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, groups=groups)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        return torch.relu(self.second(x) + x)


@pytest.mark.qemu
@pytest.mark.parametrize("target", ["host", "arm-a72"])
@pytest.mark.parametrize(("channels", "groups"), [(12, 6), (60, 3)])
def test_groups_in_a_residual_block(channels: int, groups: int, target: str) -> None:
    torch.manual_seed(0)
    assert _error(_Residual(channels, groups), 2, channels, 9, 13, target=target) < 1e-5


@pytest.mark.qemu
@pytest.mark.parametrize("target", ["host", "arm-a72"])
@pytest.mark.parametrize(
    ("taps", "stride", "padding", "extra", "groups"),
    [(4, 2, 1, 0, 1), (3, 2, 1, 0, 2), (7, 4, 1, 1, 1)],
)
def test_transposed(
    taps: int, stride: int, padding: int, extra: int, groups: int, target: str
) -> None:
    torch.manual_seed(0)
    up = nn.ConvTranspose2d(10, 14, taps, stride, padding, extra, groups)
    model = nn.Sequential(nn.Conv2d(6, 10, 1), up, nn.ReLU(), nn.Conv2d(14, 4, 3, padding=1))
    assert _error(model, 1, 6, 5, 8, target=target) < 1e-5


@pytest.mark.parametrize("size", [7, 33])  # panels outside the positions, and inside
def test_threads_share_parts(size: int) -> None:
    torch.manual_seed(0)
    up = nn.ConvTranspose2d(64, 48, 4, 2, 1)
    model = nn.Sequential(nn.Conv2d(64, 64, 3, padding=1, groups=4), up)
    assert _error(model, 1, 64, size, size, threads=2) < 1e-5


def test_stores_each_residue_in_its_place() -> None:
    """The result is stored once: no buffer between the sums and the next convolution."""
    model = nn.Sequential(nn.ConvTranspose2d(16, 16, 4, 2, 1), nn.ReLU(), nn.Conv2d(16, 8, 1))
    traced = penjing.trace(model.eval(), random_inputs(1, 16, 12, 12))
    program = penjing.optimize(traced, CPU_PIPELINE)
    lowered = lower(program, penjing.targets.get("arm-a72"), name="net")
    up = next(call for call in lowered.calls if "aten.relu.default" in call.ops)
    assert up.arguments == (*up.reads, *up.writes)
