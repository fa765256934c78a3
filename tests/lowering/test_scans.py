"""Running reductions."""

import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given

from .harness import check
from .strategies import few, numbered, shapes

aten = torch.ops.aten
SPECIAL = torch.tensor([1.0, -math.inf, 2.0, 2.0, math.nan, 3.0, math.inf, 0.5])


@given(shapes(1, 3), st.data(), st.sampled_from([torch.float32, torch.int64, torch.int32]))
@few
def test_cumsum(shape: tuple[int, ...], data: st.DataObject, dtype: torch.dtype) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    check(aten.cumsum.default, numbered(shape, dtype), axis)


def test_dtypes() -> None:
    check(aten.cumsum.default, numbered((3, 7), torch.bool), 1)
    check(aten.cumsum.default, numbered((3, 7)), 0, dtype=torch.int32)
    check(aten.cumsum.default, numbered((3, 7), torch.int32), -1, dtype=torch.float32)
    check(aten.cumsum.default, numbered((5,), torch.float16) / 8, 0)
    check(aten.cumprod.default, numbered((5,), torch.bfloat16) / 100, 0)
    check(aten.cumprod.default, numbered((3, 7), torch.int32), 1)
    check(aten.cumsum.default, numbered(()), 0)


def test_long_sums_are_added_in_double_precision() -> None:
    x = torch.rand(20000, generator=torch.Generator().manual_seed(0))
    check(aten.cumsum.default, x, 0, rtol=2e-7)
    check(aten.cumsum.default, x.half().reshape(200, 100) / 100, 0, rtol=1e-3)


@pytest.mark.parametrize("op", [aten.cumprod, aten.logcumsumexp], ids=str)
@pytest.mark.parametrize("axis", [0, -1])
def test_scan(op: torch._ops.OpOverloadPacket, axis: int) -> None:
    check(op.default, numbered((5, 9)) / 70, axis)
    check(op.default, SPECIAL[SPECIAL.isfinite() | SPECIAL.isinf()], 0)


@pytest.mark.parametrize("op", [aten.cummax, aten.cummin], ids=str)
def test_records(op: torch._ops.OpOverloadPacket) -> None:
    check(op.default, SPECIAL, 0)
    check(op.default, numbered((3, 4, 5)), 1)
    check(op.default, numbered((3, 9), torch.int64), -1)
    check(op.default, numbered((2, 9), torch.float16), 1)
    check(op.default, numbered((9,), torch.bool), 0)
    check(op.default, numbered(()), 0)
