"""Comparisons, logic, bits, and choices between elements."""

import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given

from .harness import check
from .strategies import few, numbered
from .test_arithmetic import PAIRS, SPECIAL, broadcast_pairs, every_pair

aten = torch.ops.aten
COMPARISONS = (aten.eq, aten.ne, aten.lt, aten.le, aten.gt, aten.ge)
LOGIC = (aten.logical_and, aten.logical_or, aten.logical_xor)
BITS = (aten.bitwise_and, aten.bitwise_or, aten.bitwise_xor)


@given(broadcast_pairs(), st.sampled_from(PAIRS), st.sampled_from(COMPARISONS))
@few
def test_comparisons(
    pair: tuple[tuple[int, ...], tuple[int, ...]],
    dtypes: tuple[torch.dtype, torch.dtype],
    packet: torch._ops.OpOverloadPacket,
) -> None:
    x, y = (numbered(shape, dtype) for shape, dtype in zip(pair, dtypes, strict=True))
    check(packet.Tensor, x, y)


@pytest.mark.parametrize("packet", COMPARISONS, ids=str)
def test_comparison(packet: torch._ops.OpOverloadPacket) -> None:
    check(packet.Tensor, *every_pair(SPECIAL))
    check(packet.Tensor, SPECIAL, SPECIAL)
    check(packet.Scalar, numbered((9,), torch.int64), 20)
    check(packet.Scalar, numbered((9,), torch.int64), 20.5)
    check(packet.Scalar, numbered((3, 4), torch.bool), 1)
    check(packet.Scalar, numbered((3, 4), torch.float16), 2.1)


@pytest.mark.parametrize("packet", LOGIC, ids=str)
def test_logic(packet: torch._ops.OpOverloadPacket) -> None:
    check(packet.default, *every_pair(SPECIAL))
    check(packet.default, *every_pair(torch.tensor([False, True])))
    check(packet.default, numbered((3, 9), torch.int64) % 2, torch.tensor([1.0, 0.0, math.nan] * 3))


@pytest.mark.parametrize("packet", BITS, ids=str)
def test_bits(packet: torch._ops.OpOverloadPacket) -> None:
    check(packet.Tensor, *every_pair(torch.tensor([False, True])))
    check(packet.Tensor, numbered((3, 9), torch.int64), numbered((9,), torch.int32))
    check(packet.Scalar, numbered((3, 9), torch.int32), 5)


@pytest.mark.parametrize("packet", [aten.bitwise_left_shift, aten.bitwise_right_shift], ids=str)
def test_shifts(packet: torch._ops.OpOverloadPacket) -> None:
    check(packet.Tensor, numbered((5, 9), torch.int64), torch.arange(9))
    check(packet.Tensor_Scalar, numbered((9,), torch.int32), 3)


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.int32, torch.uint8])
def test_opposites(dtype: torch.dtype) -> None:
    x = numbered((3, 5)).to(dtype) if dtype is not torch.bool else numbered((3, 5), dtype)
    check(aten.bitwise_not.default, x)
    check(aten.logical_not.default, x)


def test_opposite_of_floats() -> None:
    check(aten.logical_not.default, SPECIAL)


@pytest.mark.parametrize("op", [aten.isnan, aten.isinf, aten.isfinite], ids=str)
def test_classification(op: torch._ops.OpOverloadPacket) -> None:
    for x in (SPECIAL, SPECIAL.double(), SPECIAL.half(), SPECIAL.bfloat16(), torch.arange(3)):
        check(op.default, x)


@given(broadcast_pairs(), st.sampled_from(PAIRS))
@few
def test_where(
    pair: tuple[tuple[int, ...], tuple[int, ...]], dtypes: tuple[torch.dtype, torch.dtype]
) -> None:
    x, y = (numbered(shape, dtype) for shape, dtype in zip(pair, dtypes, strict=True))
    check(aten.where.self, numbered(pair[0], torch.bool), x, y)


def test_where_of_scalars() -> None:
    mask = numbered((3, 7), torch.bool)
    check(aten.where.ScalarSelf, mask, 2.5, numbered((7,)))
    check(aten.where.ScalarOther, mask, numbered((3, 1), torch.int64), 2)
    check(aten.where.Scalar, mask, 1, 0)
    check(aten.where.self, mask, torch.tensor(0.0), torch.tensor(-math.inf))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.int64, torch.bool])
def test_masked_fill(dtype: torch.dtype) -> None:
    x, mask = numbered((2, 3, 7), dtype), numbered((3, 7), torch.bool)
    check(aten.masked_fill.Scalar, x, mask, 1)
    check(aten.masked_fill.Tensor, x, mask, torch.tensor(1, dtype=dtype))


def test_masked_fill_with_infinity() -> None:
    mask = numbered((3, 7), torch.bool)
    check(aten.masked_fill.Scalar, numbered((3, 7)), mask, -math.inf)
    check(aten.masked_fill.Scalar, numbered((3, 7)), mask, torch.finfo(torch.float32).min)
    check(aten.masked_fill.Scalar, numbered((3, 7)).half(), mask, torch.finfo(torch.float16).min)
