"""Depthwise convolutions against torch: windows, channels and tiles of every size."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from penjing.targets.cpu.depthwise import MOST_PRODUCTS, Slide, tile_sizes
from penjing.targets.registry import get

from .harness import check
from .samples import FEW, random, weight

aten = torch.ops.aten
OPS = {1: aten.conv1d, 2: aten.conv2d, 3: aten.conv3d}
SIZE = st.sampled_from([1, 4, 5, 7, 9, 11])


@FEW
@given(
    rank=st.sampled_from([1, 2, 2, 2, 3]),
    channels=st.sampled_from([2, 3, 7, 16, 24, 25, 33, 64]),
    multiplier=st.sampled_from([1, 1, 1, 2, 3]),
    taps=st.sampled_from([1, 2, 3, 3, 5]),
    stride=st.sampled_from([1, 1, 2, 3]),
    dilation=st.sampled_from([1, 1, 2]),
    height=SIZE,
    width=SIZE,
    constant=st.booleans(),
    batched=st.booleans(),
)
def test_every_window(
    rank: int,
    channels: int,
    multiplier: int,
    taps: int,
    stride: int,
    dilation: int,
    height: int,
    width: int,
    constant: bool,
    batched: bool,
) -> None:
    x = random(*([2] if batched else []), channels, *[height, width, 5][:rank])
    w = random(channels * multiplier, 1, *([taps] * rank)) / taps
    b = random(channels * multiplier)
    args = [stride], [dilation * (taps // 2)] * rank, [dilation], channels
    check(OPS[rank].default, x, weight(w, constant), b, *args, atol=1e-5)


@pytest.mark.parametrize("taps", [(7, 7), (13, 13), (9, 1), (1, 31)])
@pytest.mark.parametrize("channels", [8, 20])
def test_many_taps(taps: tuple[int, int], channels: int) -> None:
    x, w = random(1, channels, 15, 18), random(channels, 1, *taps) / 9
    padding = [size // 2 for size in taps]
    check(aten.conv2d.default, x, weight(w, True), None, [1], padding, [1], channels, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats(dtype: torch.dtype) -> None:
    x, w = random(1, 21, 7, 7, dtype=dtype), random(21, 1, 3, 3, dtype=dtype)
    atol = 1e-9 if dtype is torch.float64 else 8 * torch.finfo(dtype).eps
    check(aten.conv2d.default, x, weight(w, True), None, [1], [1], [1], 21, atol=atol)


def test_a_tile_shares_inputs_in_two_directions() -> None:
    slides = (Slide(56, 3, 1, 1), Slide(56, 3, 1, 1))
    height, width = tile_sizes(get("arm-a72"), slides, True)
    assert height > 1 and width > 1 and height * width <= 20


@pytest.mark.parametrize("target", ["arm-a53", "arm-a72", "x86-64-v3"])
@pytest.mark.parametrize("taps", [1, 3, 7, 31])
def test_a_tile_is_no_larger_than_its_image(target: str, taps: int) -> None:
    for outputs in (1, 2, 7):
        slides = (Slide(outputs, taps, 1, 1), Slide(2 * outputs, taps, 1, 1))
        height, width = tile_sizes(get(target), slides, True)
        assert 1 <= height <= outputs and 1 <= width <= 2 * outputs
        assert height * width * taps <= MOST_PRODUCTS


def test_inputs_of_a_dilated_window() -> None:
    assert Slide(9, 3, 1, 1).inputs(4) == 6
    assert Slide(9, 3, 2, 1).inputs(4) == 9
    assert Slide(9, 3, 1, 4).inputs(2) == 6
