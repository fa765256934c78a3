"""Resampling: sizes, factors, every filter."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from penjing.compiler.errors import CompileError
from penjing.compiler.lowering.rules.taps import find_taps

from .harness import check
from .strategies import few, numbered

aten = torch.ops.aten

sizes = st.lists(st.sampled_from([1, 2, 3, 5, 8, 9, 13, 16, 17]), min_size=2, max_size=2)
factors = st.lists(st.sampled_from([0.3, 0.5, 1.0, 1.7, 2.0, 3.0]), min_size=2, max_size=2)
floats = st.sampled_from([torch.float32, torch.float16, torch.bfloat16])


@few
@given(source=sizes, result=sizes, dtype=st.sampled_from([torch.float32, torch.bfloat16]))
def test_nearest(source: list[int], result: list[int], dtype: torch.dtype) -> None:
    x = numbered((2, 3, *source), dtype)
    check(aten.upsample_nearest2d.vec, x, result, None)
    check(aten._upsample_nearest_exact2d.vec, x, result, None)


@few
@given(source=st.tuples(st.integers(4, 17), st.integers(4, 17)), factor=factors)
def test_nearest_by_factor(source: tuple[int, int], factor: list[float]) -> None:
    x = numbered((1, 2, *source))
    check(aten.upsample_nearest2d.vec, x, None, factor)
    check(aten._upsample_nearest_exact2d.vec, x, None, factor)
    size = list(aten.upsample_nearest2d.vec(x, None, factor).shape[2:])
    check(aten.upsample_nearest2d.default, x, size, *factor)
    check(aten.upsample_nearest2d.default, x, size, scales_w=factor[1])


@few
@given(source=sizes, result=sizes, align=st.booleans(), dtype=floats)
def test_bilinear(source: list[int], result: list[int], align: bool, dtype: torch.dtype) -> None:
    x = numbered((2, 3, *source), dtype) / 16
    check(aten.upsample_bilinear2d.vec, x, result, align, None, atol=1e-5)


@few
@given(
    source=st.tuples(st.integers(4, 17), st.integers(4, 17)), factor=factors, align=st.booleans()
)
def test_bilinear_by_factor(source: tuple[int, int], factor: list[float], align: bool) -> None:
    x = numbered((1, 2, *source)) / 16
    check(aten.upsample_bilinear2d.vec, x, None, align, factor, atol=1e-5)
    size = list(aten.upsample_bilinear2d.vec(x, None, align, factor).shape[2:])
    check(aten.upsample_bilinear2d.default, x, size, align, *factor, atol=1e-5)


@few
@given(source=sizes, result=sizes, align=st.booleans())
def test_bicubic(source: list[int], result: list[int], align: bool) -> None:
    x = numbered((1, 3, *source)) / 16
    check(aten.upsample_bicubic2d.vec, x, result, align, None, atol=2e-5)


@few
@given(source=sizes, result=sizes, align=st.booleans())
def test_antialiased(source: list[int], result: list[int], align: bool) -> None:
    x = numbered((1, 3, *source)) / 16
    check(aten._upsample_bilinear2d_aa.vec, x, result, align, None, atol=2e-5)
    check(aten._upsample_bicubic2d_aa.default, x, result, align, atol=2e-5)


@pytest.mark.parametrize("result", [1, 3, 10, 21])
def test_other_ranks(result: int) -> None:
    line, block = numbered((2, 3, 7)) / 16, numbered((1, 2, 3, 5, 7)) / 16
    size = [result, 7, result + 1]
    close: dict[str, Any] = {"atol": 1e-5}
    check(aten.upsample_nearest1d.vec, line, [result], None)
    check(aten._upsample_nearest_exact1d.default, line, [result])
    check(aten.upsample_linear1d.vec, line, [result], False, None, **close)
    check(aten.upsample_nearest3d.vec, block, size, None)
    check(aten._upsample_nearest_exact3d.vec, block, size, None)
    check(aten.upsample_trilinear3d.vec, block, size, True, None, **close)


def test_integers_are_copied_but_not_mixed() -> None:
    x = numbered((1, 1, 3, 5)).to(torch.uint8)
    check(aten.upsample_nearest2d.vec, x, [6, 7], None)
    with pytest.raises(CompileError, match="interpolation of uint8"):
        check(aten.upsample_bilinear2d.vec, x, [6, 7], False, None)


def test_taps_of_a_long_axis_need_no_square_table() -> None:
    def linear(x: torch.Tensor, size: int, align: bool, scale: float | None) -> Any:
        assert x.numel() <= 16 * 70000
        return aten.upsample_linear1d(x, [size], align, scale)

    taps = find_taps(linear, 70000, 100000, False, None, torch.float32)
    x = torch.rand(70000)
    places = torch.from_numpy(taps.starts)[:, None] + torch.arange(taps.count)
    result = (x[places] * torch.from_numpy(taps.weights)).sum(1)
    torch.testing.assert_close(result, linear(x[None, None], 100000, False, None)[0, 0])
