"""Rows that a group of work-items shares."""

import pytest
import torch
from torch import nn

from tests.opencl.lowered import assert_equals_eager, launches_of

ROWS = {
    "softmax": (nn.Softmax(-1), (4, 1000)),
    "one row": (nn.LogSoftmax(-1), (1, 77)),
    "prime rows": (nn.LayerNorm(96), (7, 96)),
    "long rows": (nn.LayerNorm(5000), (3, 5000)),
    "many axes": (nn.LayerNorm((6, 20)), (2, 5, 6, 20)),
    "images": (nn.GroupNorm(4, 16), (2, 16, 9, 7)),
}


@pytest.mark.parametrize("target", ["opencl", "mali-g7x"])
@pytest.mark.parametrize("name", ROWS)
def test_rows_equal_pytorch(name: str, target: str) -> None:
    model, shape = ROWS[name]
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    assert_equals_eager(model, [x], target)


def test_few_rows_are_shared() -> None:
    lowered = assert_equals_eager(nn.Softmax(-1), [torch.randn(4, 1000)], "adreno-6xx")
    (launch,) = launches_of(lowered)
    assert launch.items == (16, 4, 1)
    assert launch.group == (16, 4, 1)
    assert launch.local_bytes == 2 * 4 * 16 * 4  # maxima and sums of four rows


def test_many_rows_have_a_work_item_each() -> None:
    lowered = assert_equals_eager(nn.Softmax(-1), [torch.randn(600, 20)], "adreno-6xx")
    (launch,) = launches_of(lowered)
    assert launch.items == (600, 1, 1)
    assert launch.group is None


class ChannelMeans(nn.Module):
    """The mean of each channel of a convolution, as squeeze-and-excitation takes it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 24, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.conv(x)
        return y * y.mean((2, 3), keepdim=True).sigmoid()


def test_means_of_channels_take_one_launch() -> None:
    lowered = assert_equals_eager(ChannelMeans(), [torch.randn(1, 3, 12, 12)], "mali-g7x")
    means = [launch for launch in launches_of(lowered) if launch.group is not None]
    assert [launch.items for launch in means] == [(16, 24, 1)]


def test_norm_of_groups_takes_three_launches() -> None:
    lowered = assert_equals_eager(nn.GroupNorm(2, 8), [torch.randn(1, 8, 16, 16)], "mali-g7x")
    assert len(launches_of(lowered)) == 3  # means, variances, results


def test_one_row_is_shared() -> None:
    lowered = assert_equals_eager(nn.LayerNorm(768), [torch.randn(1, 1, 768)], "mali-g7x")
    (launch,) = launches_of(lowered)
    assert launch.items == (16, 1, 1)
    assert launch.group == (16, 1, 1)
