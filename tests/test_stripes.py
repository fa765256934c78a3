"""Inverted residuals that are computed some rows at a time."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import penjing
from penjing.compiler.ir.regions import regions
from penjing.compiler.lowering.stripes import of_rows
from penjing.compiler.pass_manager import optimize
from penjing.passes.pipeline import CPU_PIPELINE
from penjing.targets import Target

SMALL_CACHE = replace(penjing.targets.get("host"), l2_bytes=64 * 1024)


class Block(nn.Module):
    """1x1 -> depthwise -> 1x1, the input added where the sizes allow, between two other layers."""

    def __init__(self, taps: int, stride: int, padding: int, wide: int = 20) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.widen = nn.Sequential(nn.Conv2d(8, wide, 1), nn.ReLU6())
        self.depthwise = nn.Sequential(
            nn.Conv2d(wide, wide, taps, stride, padding, groups=wide), nn.ReLU()
        )
        self.narrow = nn.Conv2d(wide, 8, 1)
        self.last = nn.Conv2d(8, 5, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        y = self.narrow(self.depthwise(self.widen(x)))
        result: torch.Tensor = self.last(x + y if y.shape == x.shape else y)
        return result


def compiled(
    model: nn.Module, x: torch.Tensor, *, target: Target = SMALL_CACHE, threads: int = 1
) -> penjing.Artifact:
    return penjing.compile(model, (x,), target=target, threads=threads)


def kept_rows(artifact: penjing.Artifact) -> int:
    return sum("keep rows" in kernel.ops for kernel in artifact.report.kernels)


@pytest.mark.parametrize(
    ("taps", "stride", "padding", "size"),
    [
        (3, 1, 1, 32),
        (3, 1, 0, 34),
        (3, 2, 1, 32),
        (3, 2, 1, 35),
        (3, 2, 0, 37),
        (5, 1, 2, 32),
        (5, 2, 2, 32),
        (7, 1, 3, 36),
    ],
)
def test_stripes_compute_what_whole_images_do(
    taps: int, stride: int, padding: int, size: int
) -> None:
    torch.manual_seed(0)
    model, x = Block(taps, stride, padding).eval(), torch.randn(1, 3, size, size - 5)
    artifact = compiled(model, x)
    assert kept_rows(artifact) > 0
    np.testing.assert_allclose(artifact.run(x)[0], model(x).detach().numpy(), rtol=1e-4, atol=1e-5)
    whole = compiled(model, x, target=replace(SMALL_CACHE, l2_bytes=16 << 20))
    assert kept_rows(whole) == 0
    assert artifact.report.arena_bytes < whole.report.arena_bytes


def test_threads_share_whole_images() -> None:
    model, x = Block(3, 1, 1).eval(), torch.randn(1, 3, 32, 27)
    artifact = compiled(model, x, threads=2)
    assert kept_rows(artifact) == 0
    np.testing.assert_allclose(artifact.run(x)[0], model(x).detach().numpy(), rtol=1e-4, atol=1e-5)


def test_a_wide_image_that_is_read_twice_is_stored() -> None:
    class Twice(Block):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            wide = self.widen(self.first(x))
            result: torch.Tensor = self.last(self.narrow(self.depthwise(wide)))
            result += wide.mean()
            return result

    model, x = Twice(3, 1, 1).eval(), torch.randn(1, 3, 32, 27)
    artifact = compiled(model, x)
    assert kept_rows(artifact) == 0
    np.testing.assert_allclose(artifact.run(x)[0], model(x).detach().numpy(), rtol=1e-4, atol=1e-5)


def test_a_region_of_fewer_rows_does_not_pad_them() -> None:
    model, x = Block(3, 2, 1).eval(), torch.randn(1, 3, 32, 27)
    program = optimize(penjing.trace(model, (x,)), list(CPU_PIPELINE))
    depthwise = regions(program)[2]
    assert tuple(depthwise.result.meta["val"].shape) == (1, 20, 16, 14)
    assert tuple(of_rows(depthwise, 9).result.meta["val"].shape) == (1, 20, 4, 14)
