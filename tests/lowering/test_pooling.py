"""Pooling against torch: windows, borders and counts in all combinations."""

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from .harness import check
from .samples import FEW, random

aten = torch.ops.aten
MAXIMUM = {1: aten.max_pool1d.default, 2: aten.max_pool2d.default, 3: aten.max_pool3d.default}
INDEXED = {2: aten.max_pool2d_with_indices.default, 3: aten.max_pool3d_with_indices.default}
MEAN = {1: aten.avg_pool1d.default, 2: aten.avg_pool2d.default, 3: aten.avg_pool3d.default}
SPACE = [9, 17, 11]
CHANNELS = st.sampled_from([1, 3, 5, 21, 24, 40])  # few, and whole and partial vectors of them


@FEW
@given(
    rank=st.sampled_from([1, 2, 2, 3]),
    taps=st.sampled_from([1, 2, 3, 4]),
    stride=st.sampled_from([[], [1], [2], [3]]),
    padding=st.sampled_from([0, 1]),
    dilation=st.sampled_from([1, 2]),
    ceil_mode=st.booleans(),
    batched=st.booleans(),
    indexed=st.booleans(),
    channels=CHANNELS,
)
def test_maximum(
    rank: int,
    taps: int,
    stride: list[int],
    padding: int,
    dilation: int,
    ceil_mode: bool,
    batched: bool,
    indexed: bool,
    channels: int,
) -> None:
    assume(2 * padding <= taps)
    x = random(*([2] if batched else []), channels, *SPACE[:rank])
    op = INDEXED[rank] if indexed and rank > 1 else MAXIMUM[rank]
    check(op, x, [taps], stride, [padding], [dilation], ceil_mode)


@pytest.mark.parametrize("dtype", [torch.int64, torch.float16, torch.bfloat16])
def test_maximum_of_other_dtypes(dtype: torch.dtype) -> None:
    check(aten.max_pool2d_with_indices.default, random(1, 2, 7, 7, dtype=dtype), [3], [2], [1])
    check(aten.max_pool2d.default, random(1, 21, 7, 7, dtype=dtype), [3], [2], [1])


@FEW
@given(
    rank=st.sampled_from([1, 2, 2, 3]),
    taps=st.sampled_from([1, 2, 3, 4]),
    stride=st.sampled_from([[], [1], [2], [3]]),
    padding=st.sampled_from([0, 1]),
    ceil_mode=st.booleans(),
    include=st.booleans(),
    divisor=st.sampled_from([None, None, 5]),
    channels=CHANNELS,
)
def test_mean(
    rank: int,
    taps: int,
    stride: list[int],
    padding: int,
    ceil_mode: bool,
    include: bool,
    divisor: int | None,
    channels: int,
) -> None:
    assume(2 * padding <= taps)
    extra = () if rank == 1 else (divisor,)
    args = [taps], stride, [padding], ceil_mode, include, *extra
    check(MEAN[rank], random(2, channels, *SPACE[:rank]), *args)


def test_mean_of_other_dtypes() -> None:
    check(aten.avg_pool2d.default, random(3, 7, 7, dtype=torch.float16), [3], [2], [1])
    check(aten.avg_pool2d.default, random(21, 7, 7, dtype=torch.float16), [3], [2], [1])
    check(aten.avg_pool2d.default, random(1, 3, 7, 7, dtype=torch.int64), [3], [2], [1])
    check(aten.avg_pool2d.default, random(1, 21, 7, 7, dtype=torch.int64), [3], [2], [1])


@pytest.mark.parametrize("channels", [3, 21, 48])
@pytest.mark.parametrize("size", [5, 41])
def test_whole_images(channels: int, size: int) -> None:
    x = random(2, channels, size, size)
    check(aten.avg_pool2d.default, x, [size, size])
    check(aten.max_pool2d.default, x, [size, size])


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("channels", [8, 21])
def test_large_windows(stride: int, channels: int) -> None:
    x = random(1, channels, 14, 17)
    check(aten.max_pool2d.default, x, [5, 9], [stride, 1], [2, 4])
    check(aten.max_pool2d.default, x, [5, 5], [1, stride], [2, 2], [2, 1])
    check(aten.avg_pool2d.default, x, [5, 6], [stride, 2], [2, 3], False, False)
    check(aten.max_pool3d.default, random(1, 8, 7, 9, 8), [3, 4, 5], [1, stride, 1], [1, 2, 2])
