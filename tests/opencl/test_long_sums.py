"""Products of few results, whose sums a group of work-items shares."""

import pytest
import torch
from torch import nn

from tests.opencl.lowered import assert_equals_eager, launches_of


class Product(nn.Module):
    """A matrix product of two inputs, and what is often done to it."""

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch.relu(a @ b) + 1


def _random(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape)))


LINEAR = {
    "whole vectors": (512, 96),
    "odd columns": (384, 37),
    "short depth": (100, 40),
    "odd depth": (513, 64),
}


@pytest.mark.parametrize("target", ["opencl", "mali-g7x"])
@pytest.mark.parametrize("name", LINEAR)
def test_matrix_times_vector(name: str, target: str) -> None:
    depth, columns = LINEAR[name]
    assert_equals_eager(nn.Linear(depth, columns), [_random(1, depth)], target)


@pytest.mark.parametrize("shapes", [((1, 256), (256, 24)), ((3, 1, 512), (3, 512, 20))])
def test_products_of_inputs(shapes: tuple[tuple[int, ...], ...]) -> None:
    assert_equals_eager(Product(), [_random(*shape) for shape in shapes], "mali-g7x")


def test_members_share_one_launch() -> None:
    lowered = assert_equals_eager(nn.Linear(512, 96), [_random(1, 512)], "adreno-6xx")
    (launch,) = launches_of(lowered)
    assert launch.items == (24, 8, 1)  # vectors of columns, parts of the depth
    assert launch.group == (12, 8, 1)
    assert launch.local_bytes == 12 * 8 * 4 * 4


POOLS = {
    "mean": (nn.AdaptiveAvgPool2d(1), (1, 16, 24, 20), (4, 12, 1)),
    "odd channels": (nn.AvgPool2d((15, 14)), (2, 7, 15, 14), (2, 15, 2)),
}


@pytest.mark.parametrize("name", POOLS)
def test_pools_of_whole_images(name: str) -> None:
    pool, shape, items = POOLS[name]
    channels = shape[1]
    model = nn.Sequential(nn.Conv2d(channels, channels, 1), pool, nn.Conv2d(channels, 8, 1))
    lowered = assert_equals_eager(model, [_random(*shape)], "mali-g7x")
    (launch,) = [launch for launch in launches_of(lowered) if launch.group is not None]
    assert launch.items == items


def test_maxima_of_whole_images() -> None:
    pool = nn.MaxPool2d((24, 20))
    model = nn.Sequential(nn.Conv2d(16, 16, 1), pool, nn.Conv2d(16, 8, 1))
    assert_equals_eager(model, [_random(1, 16, 24, 20)], "mali-g7x")
