"""Functions of one element."""

import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given

from .harness import check
from .strategies import few, numbered, shapes

aten = torch.ops.aten
OTHER_FLOATS = (torch.float64, torch.float16, torch.bfloat16)
SPECIAL = torch.tensor(
    [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 1e30, -1e30, math.inf, -math.inf, math.nan]
)

FUNCTIONS = {
    aten.neg.default: (-3, 3),
    aten.reciprocal.default: (0.1, 3),
    aten.square.default: (-3, 3),
    aten.sqrt.default: (0, 9),
    aten.rsqrt.default: (0.1, 9),
    aten.exp.default: (-5, 5),
    aten.exp2.default: (-5, 5),
    aten.expm1.default: (-2, 2),
    aten.log.default: (0.1, 9),
    aten.log1p.default: (-0.5, 9),
    aten.log2.default: (0.1, 9),
    aten.log10.default: (0.1, 9),
    aten.erf.default: (-3, 3),
    aten.erfc.default: (-3, 3),
    aten.sigmoid.default: (-9, 9),
    aten.tanh.default: (-4, 4),
    aten.sinh.default: (-4, 4),
    aten.cosh.default: (-4, 4),
    aten.asinh.default: (-4, 4),
    aten.acosh.default: (1, 9),
    aten.atanh.default: (-0.9, 0.9),
    aten.sin.default: (-9, 9),
    aten.cos.default: (-9, 9),
    aten.tan.default: (-1.2, 1.2),
    aten.asin.default: (-1, 1),
    aten.acos.default: (-1, 1),
    aten.atan.default: (-9, 9),
    aten.rad2deg.default: (-9, 9),
    aten.deg2rad.default: (-9, 9),
}
ROUNDINGS = (aten.floor, aten.ceil, aten.trunc, aten.round, aten.frac, aten.sign, aten.abs)


def spread(low: float, high: float, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """Numbers between two limits."""
    count = torch.Size(shape).numel()
    return torch.linspace(low, high, count, dtype=torch.float64).reshape(shape).to(dtype)


@pytest.mark.parametrize("op", FUNCTIONS, ids=str)
def test_function(op: torch._ops.OpOverload) -> None:
    low, high = FUNCTIONS[op]
    numbers = SPECIAL
    if op in (aten.sin.default, aten.cos.default, aten.tan.default):
        numbers = numbers[numbers.abs() != 1e30]  # no angles
    check(op, torch.cat([spread(low, high, (17,), torch.float32), numbers]))
    dtype = OTHER_FLOATS[list(FUNCTIONS).index(op) % 3]
    check(op, spread(low, high, (3, 1, 5), dtype))


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.bool, torch.uint8])
def test_function_of_integers(dtype: torch.dtype) -> None:
    check(aten.exp.default, torch.arange(9).to(dtype))
    check(aten.sqrt.default, torch.tensor(7).to(dtype))


@pytest.mark.parametrize("packet", ROUNDINGS, ids=str)
def test_rounding(packet: torch._ops.OpOverloadPacket) -> None:
    halves = torch.arange(-21, 22) / 2
    check(packet.default, torch.cat([halves, SPECIAL]))
    check(packet.default, halves.to(OTHER_FLOATS[ROUNDINGS.index(packet) % 3]))
    if packet is not aten.frac:
        check(packet.default, numbered((3, 7), torch.int64))


def test_sign_of_other_dtypes() -> None:
    check(aten.sign.default, torch.tensor([True, False]))
    check(aten.sign.default, torch.tensor([0, 3, 255], dtype=torch.uint8))
    check(aten.neg.default, numbered((9,), torch.int64))
    check(aten.square.default, numbered((9,), torch.int32))


DTYPES = (*OTHER_FLOATS, torch.int64, torch.int32, torch.int8, torch.uint8, torch.bool)


@pytest.mark.parametrize("dtype", DTYPES)
def test_conversion(dtype: torch.dtype) -> None:
    numbers = torch.tensor([0.0, 1.0, 2.5, 99.75, 3.0, 127.0, 64.5, 1.5, 0.25])
    check(aten._to_copy.default, numbers, dtype=dtype)
    check(aten._to_copy.default, numbers.to(dtype), dtype=torch.float32)
    check(aten._to_copy.default, numbers.to(dtype), dtype=torch.int64)


@pytest.mark.parametrize("dtype", [torch.float16, torch.int32, torch.uint8])
def test_conversion_to_others(dtype: torch.dtype) -> None:
    numbers = torch.tensor([[0.0, 1.0, 2.5], [99.75, 3.0, 127.0]]).to(dtype)
    check(aten._to_copy.default, numbers, dtype=torch.bool)
    check(aten._to_copy.default, numbers, dtype=torch.bfloat16)


def test_conversion_of_nan_to_bool() -> None:
    check(aten._to_copy.default, SPECIAL, dtype=torch.bool)


@given(shapes(0, 3), st.sampled_from([torch.float32, torch.int64, torch.bool, torch.bfloat16]))
@few
def test_copy(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    check(aten.clone.default, numbered(shape, dtype))


def test_replace_nan() -> None:
    check(aten.nan_to_num.default, SPECIAL)
    check(aten.nan_to_num.default, SPECIAL, 1.5, 2.5, -3.5)
    check(aten.nan_to_num.default, SPECIAL.double())
    check(aten.nan_to_num.default, SPECIAL.half())
    check(aten.nan_to_num.default, numbered((5,), torch.int64))
