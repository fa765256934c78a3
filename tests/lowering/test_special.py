"""Pointwise functions that few models use."""

import math

import pytest
import torch

from .harness import check
from .strategies import numbered
from .test_arithmetic import SPECIAL, every_pair

aten = torch.ops.aten
NUMBERS = torch.cat([torch.linspace(-2, 3, 17), SPECIAL])
PAIRWISE = (
    aten.logaddexp.default,
    aten.logaddexp2.default,
    aten.hypot.default,
    aten.copysign.Tensor,
    aten.xlogy.Tensor,
    aten.special_xlog1py.default,
    aten.heaviside.default,
    aten.fmax.default,
    aten.fmin.default,
    aten.max.other,
    aten.min.other,
    aten.true_divide.Tensor,
)
ELEMENTWISE = (
    aten.sinc.default,
    aten.logit.default,
    aten.special_entr.default,
    aten.signbit.default,
    aten.isposinf.default,
    aten.isneginf.default,
    aten.angle.default,
)


@pytest.mark.parametrize("op", PAIRWISE, ids=str)
def test_pairwise(op: torch._ops.OpOverload) -> None:
    check(op, *every_pair(SPECIAL))
    check(op, numbered((3, 1, 5), torch.bfloat16), numbered((4, 1), torch.bfloat16) + 1)


@pytest.mark.parametrize("op", ELEMENTWISE, ids=str)
def test_elementwise(op: torch._ops.OpOverload) -> None:
    numbers = NUMBERS[NUMBERS.abs() != 1e30] if op is aten.sinc.default else NUMBERS
    check(op, numbers)
    check(op, torch.linspace(0.1, 0.9, 9, dtype=torch.float64))


def test_inverse_erf() -> None:
    x = torch.cat([torch.linspace(-1, 1, 41), torch.tensor([0.9999999, 1e-20, -0.0, math.nan, 2])])
    check(aten.erfinv.default, x)
    check(aten.erfinv.default, x.double(), rtol=1e-7)


def test_integers() -> None:
    x, y = numbered((3, 7), torch.int64), numbered((7,), torch.int64)
    for op in (aten.fmax.default, aten.max.other, aten.min.other, aten.hypot.default):
        if op is not aten.hypot.default:
            check(op, x, y)
    check(aten.signbit.default, x)
    check(aten.isposinf.default, x)
    check(aten.xlogy.Scalar_Other, x, 2)
    check(aten.copysign.Scalar, x, -1)
    check(aten.ldexp.Tensor, torch.linspace(-1, 1, 7), torch.arange(7))


def test_more_overloads() -> None:
    x = numbered((3, 7), torch.int64)
    check(aten.__lshift__.Scalar, x, 2)
    check(aten.__rshift__.Scalar, x, 2)
    check(aten.__and__.Scalar, x, 6)
    check(aten.bitwise_xor.Scalar_Tensor, 5, x)
    check(aten.clip.Tensor, x, torch.tensor(0), torch.tensor(50))
    check(aten.logit.default, torch.linspace(0, 1, 9), 0.01)


@pytest.mark.parametrize("decimals", [0, 2, -1])
def test_round_to_decimals(decimals: int) -> None:
    check(aten.round.decimals, torch.linspace(-20, 30, 23), decimals=decimals)
