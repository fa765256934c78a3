"""Images read at the points of a grid."""

import pytest
import torch

from .harness import check, run

aten = torch.ops.aten


def _grid(*shape: int) -> torch.Tensor:
    """Points inside and outside of the image."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 4 - 2


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("interpolation", [0, 1, 2])
@pytest.mark.parametrize("size", [(5, 7), (1, 9)])
def test_images(interpolation: int, padding: int, align: bool, size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    grid = _grid(2, 3, 11, 2)
    check(aten.grid_sampler_2d.default, x, grid, interpolation, padding, align, atol=2e-5)


@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("interpolation", [0, 1])
def test_volumes(interpolation: int, padding: int) -> None:
    x = torch.randn(2, 2, 3, 4, 5, generator=torch.Generator().manual_seed(1))
    grid = _grid(2, 2, 3, 4, 3)
    check(aten.grid_sampler_3d.default, x, grid, interpolation, padding, False, atol=2e-5)


def test_corners_and_edges_hit_exactly() -> None:
    x = torch.arange(12.0).reshape(1, 1, 3, 4)
    corners = torch.tensor([[[[-1.0, -1.0], [1.0, 1.0], [0.0, 0.0], [-1.0, 1.0]]]])
    for interpolation in range(3):
        check(aten.grid_sampler_2d.default, x, corners, interpolation, 0, True)


def test_one_channel_and_half_precision() -> None:
    x = torch.randn(1, 1, 5, 7).bfloat16()
    check(aten.grid_sampler.default, x, _grid(1, 3, 4, 2).bfloat16(), 1, 1, True)


@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("interpolation", [0, 1, 2])
def test_points_that_are_no_numbers_read_nothing_outside(interpolation: int, padding: int) -> None:
    wild = torch.tensor([[[[float("nan"), 0.0], [float("inf"), -1e38], [1e38, float("-inf")]]]])
    run(aten.grid_sampler_2d.default, torch.ones(1, 1, 3, 4), wild, interpolation, padding, False)
