"""Convolutions against torch: every combination of the options on odd shapes."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from .harness import check
from .samples import FEW, random, weight

aten = torch.ops.aten
OPS = {1: aten.conv1d, 2: aten.conv2d, 3: aten.conv3d}
CHANNELS = st.sampled_from([1, 2, 3, 5, 8, 9, 17])


@FEW
@given(
    rank=st.sampled_from([1, 2, 2, 2, 3]),
    channels=st.tuples(CHANNELS, CHANNELS, st.sampled_from([1, 1, 2, 3])),
    taps=st.sampled_from([1, 2, 3, 5]),
    stride=st.sampled_from([1, 2, 3]),
    padding=st.sampled_from([0, 1, 2]),
    dilation=st.sampled_from([1, 2]),
    constant=st.booleans(),
    batch=st.sampled_from([None, 1, 2]),
)
def test_convolution(
    rank: int,
    channels: tuple[int, int, int],
    taps: int,
    stride: int,
    padding: int,
    dilation: int,
    constant: bool,
    batch: int | None,
) -> None:
    inputs, outputs, groups = channels
    space = [11, 9, 10][:rank]
    x = random(*([] if batch is None else [batch]), inputs * groups, *space)
    w = random(outputs * groups, inputs, *([taps] * rank)) / (inputs * taps**rank) ** 0.5
    b = random(outputs * groups)
    args = [stride], [padding] * rank, [dilation], groups
    check(OPS[rank].default, x, weight(w, constant), weight(b, constant), *args, atol=1e-5)


@pytest.mark.parametrize("multiplier", [1, 2, 3])
@pytest.mark.parametrize(("stride", "padding"), [(1, 1), (2, 0), (2, 1)])
def test_depthwise(multiplier: int, stride: int, padding: int) -> None:
    x, w = random(2, 5, 9, 17), random(5 * multiplier, 1, 3, 3)
    args: tuple[Any, ...] = (None, [stride] * 2, [padding, 1], [1, 1], 5)
    check(aten.conv2d.default, x, weight(w, True), *args, atol=1e-5)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("constant", [False, True])
def test_taps_of_size_one(groups: int, constant: bool) -> None:
    x, w = random(2, 6, 5, 7), random(10, 6 // groups, 1, 1)
    check(aten.conv2d.default, x, weight(w, constant), random(10), [1, 1], [0, 0], [1, 1], groups)
    check(aten.conv2d.default, x, weight(w, constant), None, [2, 1], [1, 0], [1, 1], groups)


@FEW
@given(
    st.sampled_from(["same", "valid"]),
    st.sampled_from([1, 2, 3, 4]),
    st.sampled_from([1, 2, 3]),
    st.sampled_from([1, 2]),
)
def test_named_padding(padding: str, taps: int, dilation: int, rank: int) -> None:
    x, w = random(1, 3, *[13, 11][:rank]), random(5, 3, *([taps] * rank))
    args = weight(w, True), random(5), [1], padding, [dilation]
    check(OPS[rank].padding, x, *args, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats(dtype: torch.dtype) -> None:
    x, w = random(1, 3, 7, 7, dtype=dtype), random(5, 3, 3, 3, dtype=dtype)
    atol = 1e-9 if dtype is torch.float64 else 8 * torch.finfo(dtype).eps
    check(aten.conv2d.default, x, weight(w, True), random(5, dtype=dtype), atol=atol)


@pytest.mark.parametrize("outputs", [9, 11])  # no multiple of a block of weights
def test_groups_of_odd_size(outputs: int) -> None:
    w = weight(random(2 * outputs, 3, 3), constant=True)
    check(aten.conv1d.default, random(1, 6, 19), w, None, [1], [1], [1], 2, atol=1e-5)
