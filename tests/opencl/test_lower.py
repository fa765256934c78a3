"""What regions become on a device: launches, their work-items and what these are given."""

import pytest
import torch
from torch import nn

from penjing.targets.opencl.launches import DIMENSIONS
from tests.opencl.lowered import assert_equals_eager, launches_of, lowered_model


def _random(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape)))


MODELS = {
    "tiles cut off": (nn.Conv2d(5, 13, 3, padding=1), (1, 5, 9, 11)),
    "strided": (nn.Conv2d(8, 12, 3, stride=2), (1, 8, 15, 13)),
    "batch": (nn.Conv2d(4, 8, 1), (3, 4, 5, 6)),
    "parts": (nn.Conv2d(8, 12, 3, groups=2), (1, 8, 7, 9)),
    "transposed": (nn.ConvTranspose2d(4, 6, 3, stride=2), (1, 4, 5, 7)),
    "volume": (nn.Conv3d(3, 5, 3, padding=1), (1, 3, 5, 6, 7)),
    "each channel": (nn.Conv2d(10, 10, 5, padding=2, groups=10), (1, 10, 9, 7)),
    "signal": (nn.Conv1d(6, 9, 5, padding=2), (2, 6, 31)),
    "windows": (nn.MaxPool2d(3, 2, padding=1), (1, 6, 11, 9)),
    "linear": (nn.Sequential(nn.Linear(30, 21), nn.GELU(), nn.Linear(21, 3)), (7, 30)),
}


@pytest.mark.parametrize("target", ["opencl", "adreno-6xx"])
@pytest.mark.parametrize("name", MODELS)
def test_layers_equal_pytorch(name: str, target: str) -> None:
    model, shape = MODELS[name]
    torch.manual_seed(0)
    assert_equals_eager(model, [_random(*shape)], target)


class Moves(nn.Module):
    """Axes that no launch has dimensions for."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.permute(4, 2, 0, 3, 1).flip(1).contiguous()


def test_more_axes_than_dimensions() -> None:
    lowered = assert_equals_eager(Moves(), [_random(2, 3, 4, 5, 6)])
    assert all(len(launch.items) == DIMENSIONS for launch in launches_of(lowered))


class Updates(nn.Module):
    """Statements of which some must run in order."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        places = torch.tensor([3, 1, 3, 0])
        return x.index_add(0, places, torch.ones(4, 6)).cumsum(0)


def test_statements_that_run_in_order() -> None:
    assert_equals_eager(Updates(), [_random(5, 6)])


def test_launches_count_work() -> None:
    model = nn.Sequential(nn.Conv2d(16, 32, 1), nn.Conv2d(32, 16, 1))
    lowered = lowered_model(model, [_random(1, 16, 8, 8)], "mali-g7x")
    first = max(launches_of(lowered), key=lambda launch: launch.operations)
    assert first.operations == 2 * 16 * 32 * 64
    assert first.bytes == 4 * (16 * 64 + 32 * 64 + 16 * 32 + 32)
    assert first.private_bytes <= 4 * 64
