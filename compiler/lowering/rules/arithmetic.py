"""Arithmetic of two or three tensors, with torch's type promotion and broadcasting."""

from typing import Any

import torch
from tvm import te, tirx

from ...errors import CompileError
from ...ir.tensor_spec import TensorSpec
from ..math.floats import Lets, is_nan, like, trunc
from ..math.power import constant_power, integer_power, power, power_of_constant, repeated_product
from ..math.trigonometry import atan2
from ..registry import lowers
from .division import floor_quotient, floor_remainder, truncated_remainder
from .pointwise import Operand, Value, constant, is_float, pointwise

aten = torch.ops.aten


@lowers(aten.add.Tensor, aten.add.Scalar)
def add(x: Operand, y: Operand, alpha: float = 1, *, out: TensorSpec) -> te.Tensor:
    """x + alpha * y; the logical or of booleans."""
    if out.dtype == "bool":
        return pointwise(out, (x, y), tirx.Or) if alpha else pointwise(out, (x,), lambda a: a)
    return pointwise(out, (x, y), lambda a, b: a + _scaled(b, alpha))


@lowers(aten.sub.Tensor, aten.sub.Scalar)
def subtract(x: Operand, y: Operand, alpha: float = 1, *, out: TensorSpec) -> te.Tensor:
    """x - alpha * y."""
    return pointwise(out, (x, y), lambda a, b: a - _scaled(b, alpha))


@lowers(aten.rsub.Tensor, aten.rsub.Scalar)
def subtract_from(x: Operand, y: Operand, alpha: float = 1, *, out: TensorSpec) -> te.Tensor:
    """y - alpha * x."""
    return pointwise(out, (x, y), lambda a, b: b - _scaled(a, alpha))


@lowers(aten.mul.Tensor, aten.mul.Scalar)
def multiply(x: Operand, y: Operand, *, out: TensorSpec) -> te.Tensor:
    """x * y; the logical and of booleans."""
    return pointwise(out, (x, y), tirx.And if out.dtype == "bool" else lambda a, b: a * b)


@lowers(aten.div.Tensor, aten.div.Scalar, aten.true_divide.Tensor, aten.true_divide.Scalar)
def divide(x: Operand, y: Operand, *, out: TensorSpec) -> te.Tensor:
    """x / y as floats."""
    if not isinstance(y, te.Tensor) and y and is_float(out.dtype) and _is_power_of_two(y):
        return pointwise(out, (x,), lambda a: a * like(a, 1 / y))
    return pointwise(out, (x, y), lambda a, b: a / b)


@lowers(aten.div.Tensor_mode, aten.div.Scalar_mode)
def divide_rounded(
    x: Operand, y: Operand, *, rounding_mode: str | None, out: TensorSpec
) -> te.Tensor:
    """x / y rounded towards zero ("trunc") or down ("floor"); x / 0 of integers is undefined."""
    if rounding_mode is None:
        return divide(x, y, out=out)
    if rounding_mode not in ("trunc", "floor"):
        raise CompileError(f"rounding_mode must be trunc or floor, not {rounding_mode!r}")
    rounds_down = rounding_mode == "floor"
    if is_float(out.dtype):
        return pointwise(out, (x, y), floor_quotient if rounds_down else lambda a, b: trunc(a / b))
    divided = tirx.floordiv if rounds_down else tirx.truncdiv
    return pointwise(out, (x, y), lambda a, b: divided(a, _not_zero(b)))


@lowers(aten.floor_divide.default, aten.floor_divide.Scalar)
def floor_divide(x: Operand, y: Operand, *, out: TensorSpec) -> te.Tensor:
    """x / y rounded down."""
    return divide_rounded(x, y, rounding_mode="floor", out=out)


@lowers(aten.remainder.Tensor, aten.remainder.Scalar, aten.remainder.Scalar_Tensor)
def remainder(x: Operand, y: Operand, *, out: TensorSpec) -> te.Tensor:
    """x - floor(x / y) * y: the remainder that has the sign of y."""
    if is_float(out.dtype):
        return pointwise(out, (x, y), floor_remainder)
    return pointwise(out, (x, y), lambda a, b: tirx.floormod(a, _not_zero(b)))


@lowers(aten.fmod.Tensor, aten.fmod.Scalar)
def remainder_of_truncation(x: Operand, y: Operand, *, out: TensorSpec) -> te.Tensor:
    """x - trunc(x / y) * y: the remainder that has the sign of x."""
    if is_float(out.dtype):
        return pointwise(out, (x, y), truncated_remainder)
    return pointwise(out, (x, y), lambda a, b: tirx.truncmod(a, _not_zero(b)))


@lowers(aten.pow.Tensor_Tensor, aten.pow.Tensor_Scalar, aten.pow.Scalar)
def raise_to_power(x: Operand, y: Operand, *, out: TensorSpec) -> te.Tensor:
    """x ** y."""
    floats = is_float(out.dtype)
    if not isinstance(y, te.Tensor):
        if floats:
            return pointwise(out, (x,), lambda a: constant_power(a, float(y)))
        return pointwise(out, (x,), lambda a: repeated_product(a, int(y)))
    if floats and not isinstance(x, te.Tensor):
        return pointwise(out, (y,), lambda b: power_of_constant(float(x), b))
    return pointwise(out, (x, y), power if floats else integer_power)


@lowers(aten.maximum.default, aten.max.other)
def maximum(x: Operand, y: Operand, *, out: TensorSpec) -> te.Tensor:
    """The larger of two elements, NaN if one of them is."""
    return pointwise(out, (x, y), lambda a, b: _extreme(a, b, tirx.max))


@lowers(aten.minimum.default, aten.min.other)
def minimum(x: Operand, y: Operand, *, out: TensorSpec) -> te.Tensor:
    """The smaller of two elements, NaN if one of them is."""
    return pointwise(out, (x, y), lambda a, b: _extreme(a, b, tirx.min))


@lowers(aten.atan2.default)
def angle(y: Operand, x: Operand, *, out: TensorSpec) -> te.Tensor:
    """The angle of the point (x, y) in (-pi, pi]."""
    return pointwise(out, (y, x), atan2)


@lowers(aten.addcmul.default)
def add_product(
    x: Operand, a: Operand, b: Operand, *, value: float = 1, out: TensorSpec
) -> te.Tensor:
    """x + value * a * b."""
    return pointwise(out, (x, a, b), lambda x, a, b: x + _scaled(a * b, value))


@lowers(aten.addcdiv.default)
def add_quotient(
    x: Operand, a: Operand, b: Operand, *, value: float = 1, out: TensorSpec
) -> te.Tensor:
    """x + value * a / b."""
    return pointwise(out, (x, a, b), lambda x, a, b: x + _scaled(a, value) / b)


@lowers(aten.lerp.Scalar, aten.lerp.Tensor)
def interpolate(x: Operand, y: Operand, weight: Operand, *, out: TensorSpec) -> te.Tensor:
    """x + weight * (y - x), from the nearer end."""

    def between(a: Value, b: Value, w: Value) -> Value:
        near = tirx.abs(w) < like(w, 0.5)
        return tirx.Select(near, a + w * (b - a), b - (b - a) * (like(w, 1) - w))

    return pointwise(out, (x, y, weight), between)


def _scaled(value: Value, factor: float) -> Value:
    return value if factor == 1 else value * constant(factor, str(value.ty.dtype))


def _is_power_of_two(number: float) -> bool:
    mantissa, exponent = torch.frexp(torch.tensor(float(number), dtype=torch.float64))
    return abs(float(mantissa)) == 0.5 and abs(int(exponent)) < 100


def _not_zero(divisor: Value) -> Value:
    """The divisor, or 1 where dividing would stop the program."""
    return tirx.Select(tirx.EQ(divisor, like(divisor, 0)), like(divisor, 1), divisor)


def _extreme(a: Value, b: Value, choose: Any) -> Value:
    dtype = str(a.ty.dtype)
    if dtype == "bool":
        return tirx.Or(a, b) if choose is tirx.max else tirx.And(a, b)
    if not is_float(dtype):
        return choose(a, b)
    bind = Lets()
    a, b = bind(a), bind(b)
    chosen = choose(a, b)
    return bind.close(tirx.Select(tirx.Or(is_nan(a), is_nan(b)), a + b, chosen))
