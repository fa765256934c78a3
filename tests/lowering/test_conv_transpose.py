"""Transposed convolutions against torch: every residue, group and border."""

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from .harness import check
from .samples import FEW, random, weight

aten = torch.ops.aten
OPS = {
    1: aten.conv_transpose1d.default,
    2: aten.conv_transpose2d.input,
    3: aten.conv_transpose3d.input,
}
CHANNELS = st.sampled_from([1, 2, 3, 9])


@FEW
@given(
    rank=st.sampled_from([1, 2, 2, 2, 3]),
    channels=st.tuples(CHANNELS, CHANNELS, st.sampled_from([1, 1, 2])),
    taps=st.sampled_from([1, 2, 3, 4, 5]),
    stride=st.sampled_from([1, 2, 3]),
    padding=st.sampled_from([0, 1, 2]),
    extra=st.sampled_from([0, 1]),
    dilation=st.sampled_from([1, 2]),
    constant=st.booleans(),
    batch=st.sampled_from([None, 1, 2]),
)
def test_transposed_convolution(
    rank: int,
    channels: tuple[int, int, int],
    taps: int,
    stride: int,
    padding: int,
    extra: int,
    dilation: int,
    constant: bool,
    batch: int | None,
) -> None:
    assume(extra < max(stride, dilation))
    inputs, outputs, groups = channels
    x = random(*([] if batch is None else [batch]), inputs * groups, *[7, 6, 5][:rank])
    w = random(inputs * groups, outputs, *([taps] * rank)) / (inputs * taps**rank) ** 0.5
    args = [stride], [padding] * rank, [extra] * rank, groups, [dilation]
    b = weight(random(outputs * groups), constant)
    check(OPS[rank], x, weight(w, constant), b, *args, atol=1e-5)


@pytest.mark.parametrize(
    ("taps", "stride", "padding", "extra"), [(2, 2, 0, 0), (4, 2, 1, 0), (3, 2, 1, 1)]
)
@pytest.mark.parametrize("constant", [False, True])
def test_common_upsamplings(
    taps: int, stride: int, padding: int, extra: int, constant: bool
) -> None:
    w = weight(random(5, 17, taps, taps), constant)
    args = [stride] * 2, [padding] * 2, [extra] * 2
    check(aten.conv_transpose2d.input, random(1, 5, 7, 9), w, None, *args, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_other_floats(dtype: torch.dtype) -> None:
    x, w = random(1, 3, 5, 5, dtype=dtype), random(3, 4, 3, 3, dtype=dtype)
    atol = 8 * torch.finfo(dtype).eps
    check(aten.conv_transpose2d.input, x, weight(w, True), None, [2, 2], atol=atol)


@pytest.mark.parametrize("transposed", [False, True])
def test_convolution_with_all_options_given(transposed: bool) -> None:
    w = random(4, 3, 3, 3) if transposed else random(6, 2, 3, 3)
    args = [2, 1], [1, 2], [1, 2], transposed, [1, 0], 2
    check(
        aten.convolution.default, random(2, 4, 9, 9), weight(w, True), random(6), *args, atol=1e-5
    )


@pytest.mark.parametrize("groups", [1, 2])
def test_stride_of_one(groups: int) -> None:
    w = weight(random(6, 9, 3), constant=True)
    check(
        aten.conv_transpose1d.default, random(1, 6, 19), w, None, [1], [1], [0], groups, atol=1e-5
    )
