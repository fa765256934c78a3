"""Arithmetic of two or three operands."""

import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given

from .harness import Weight, check
from .strategies import few, numbered, shapes

aten = torch.ops.aten
PAIRS = [
    (torch.float32, torch.float32),
    (torch.int64, torch.int64),
    (torch.int32, torch.int64),
    (torch.float32, torch.int64),
    (torch.int32, torch.float32),
    (torch.bool, torch.float32),
    (torch.bool, torch.int64),
    (torch.float16, torch.float32),
    (torch.bfloat16, torch.bfloat16),
    (torch.float16, torch.bfloat16),
    (torch.uint8, torch.int8),
]
SPECIAL = torch.tensor([0.0, -0.0, 1.0, -1.5, 2.5, 1e30, -1e30, math.inf, -math.inf, math.nan])


@st.composite
def broadcast_pairs(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Two shapes that broadcast together."""
    shape = draw(shapes(0, 4))
    first = tuple(1 if draw(st.booleans()) and draw(st.booleans()) else size for size in shape)
    dropped = draw(st.integers(0, len(shape)))
    second = tuple(1 if draw(st.booleans()) else size for size in shape[dropped:])
    return (first, second) if draw(st.booleans()) else (second, first)


def every_pair(numbers: torch.Tensor) -> list[torch.Tensor]:
    """All pairs of the numbers, as two vectors."""
    return list(torch.cartesian_prod(numbers, numbers).T.contiguous())


@given(broadcast_pairs(), st.sampled_from(PAIRS), st.sampled_from(["add", "sub", "mul"]))
@few
def test_broadcasting(
    pair: tuple[tuple[int, ...], tuple[int, ...]],
    dtypes: tuple[torch.dtype, torch.dtype],
    name: str,
) -> None:
    x, y = (numbered(shape, dtype) for shape, dtype in zip(pair, dtypes, strict=True))
    check(getattr(aten, name).Tensor, x, y)


@pytest.mark.parametrize("dtypes", PAIRS)
def test_promotion(dtypes: tuple[torch.dtype, torch.dtype]) -> None:
    x, y = numbered((2, 9), dtypes[0]), numbered((9,), dtypes[1])
    check(aten.add.Tensor, x, y)
    check(aten.mul.Tensor, y, x[0, 3])
    check(aten.div.Tensor, x, y.to(dtypes[1]) if y.dtype == torch.bool else y + (y == 0))
    check(aten.maximum.default, x, y)


def test_scalars() -> None:
    for x in (numbered((3, 5)), numbered((7,), torch.int64), numbered((), torch.float16)):
        check(aten.add.Tensor, x, 3)
        check(aten.add.Scalar, x, 2, 3)
        check(aten.sub.Tensor, x, 2, alpha=4)
        check(aten.mul.Tensor, x, 2.5)
        check(aten.rsub.Scalar, x, 1)
        check(aten.div.Tensor, x, 4)
    check(aten.mul.Scalar, torch.tensor([True, False]), 3)
    check(aten.add.Tensor, torch.tensor([True, False]), torch.tensor([True, True]))
    check(aten.mul.Tensor, torch.tensor([True, False]), torch.tensor([True, True]))


def test_weights() -> None:
    check(aten.add.Tensor, numbered((2, 3, 8)), Weight(numbered((8,))), alpha=0.5)
    check(aten.mul.Tensor, Weight(numbered((3, 1))), numbered((2, 3, 8)))


@pytest.mark.parametrize("mode", ["floor", "trunc", None])
def test_rounded_division(mode: str | None) -> None:
    x, y = every_pair(torch.arange(-7, 8))
    nonzero = y != 0
    check(aten.div.Tensor_mode, x[nonzero], y[nonzero], rounding_mode=mode)
    check(aten.div.Tensor_mode, x, -3, rounding_mode=mode)
    x, y = every_pair(torch.cat([SPECIAL, torch.arange(-7, 8) * 0.3]))
    check(aten.div.Tensor_mode, x, y, rounding_mode=mode)


@pytest.mark.parametrize("packet", [aten.remainder, aten.fmod], ids=str)
def test_remainders(packet: torch._ops.OpOverloadPacket) -> None:
    x, y = every_pair(torch.arange(-7, 8))
    check(packet.Tensor, x[y != 0], y[y != 0])
    check(packet.Tensor, x[y != 0].float(), y[y != 0].float())
    check(packet.Scalar, x, 3)
    check(packet.Scalar, x * 0.7, -2.5)
    few_numbers = torch.tensor([0.0, -0.0, 1.0, -1.5, 2.5, 1e30, math.inf, -math.inf, math.nan])
    x, y = every_pair(few_numbers)
    small = ~((x.abs() == 1e30) & (y.abs() < 1e30))  # documented: large quotients are inexact
    check(packet.Tensor, x[small], y[small])


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, -1, -2, 0.5, -0.5, 7, 1.7, -0.3])
def test_power_of_tensor(exponent: float) -> None:
    check(aten.pow.Tensor_Scalar, torch.cat([torch.linspace(0.1, 3, 17), SPECIAL]), exponent)
    if exponent >= 0 and isinstance(exponent, int):
        check(aten.pow.Tensor_Scalar, torch.arange(-4, 5), exponent)


def test_power() -> None:
    x, y = every_pair(SPECIAL)
    check(aten.pow.Tensor_Tensor, x, y)
    check(aten.pow.Scalar, 2.0, torch.linspace(-5, 5, 19))
    check(aten.pow.Scalar, 3, torch.arange(0, 9))
    x, y = every_pair(torch.arange(-5, 6))
    check(aten.pow.Tensor_Tensor, x[y >= 0], y[y >= 0])
    check(aten.pow.Tensor_Tensor, torch.linspace(0, 2, 9).half(), torch.tensor(1.5).half())


@pytest.mark.parametrize("op", [aten.maximum.default, aten.minimum.default, aten.atan2.default])
def test_special_values(op: torch._ops.OpOverload) -> None:
    check(op, *every_pair(SPECIAL))
    check(op, *every_pair(SPECIAL[:6].to(torch.bfloat16)))


def test_special_sums() -> None:
    x, y = every_pair(SPECIAL)
    for op in (aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor):
        check(op, x, y)


def test_three_operands() -> None:
    x, a, b = numbered((3, 1, 5)), numbered((4, 5)) + 0.5, numbered((5,)) + 0.5
    check(aten.addcmul.default, x, a, b, value=0.3)
    check(aten.addcdiv.default, x, a, b, value=-2)
    check(aten.lerp.Scalar, x, a, 0.3)
    check(aten.lerp.Tensor, x, a, torch.linspace(-1, 2, 5))
    check(aten.addcmul.default, *(numbered((7,), torch.int64),) * 3, value=2)
