"""Functions of one element: rounding, roots, exponentials, trigonometry, casts."""

from collections.abc import Callable
from typing import Any

import torch
from torch._ops import OpOverload
from tvm import te, tirx

from ...ir.tensor_spec import TensorSpec
from .. import math
from ..math import floats, trigonometry
from ..math.floats import Lets, dtype_of, like, opaque
from ..registry import Rule, lowers
from .pointwise import Value, elementwise, is_float, pointwise

aten = torch.ops.aten


def _rounding(formula: Callable[[Value], Value]) -> Rule:
    def rule(x: te.Tensor, *, out: TensorSpec) -> te.Tensor:
        return pointwise(out, (x,), formula if is_float(out.dtype) else lambda a: a)

    rule.__doc__ = formula.__doc__
    return rule


def _negative(x: Value) -> Value:
    """-x."""
    return x * like(x, -1) if is_float(dtype_of(x)) else like(x, 0) - x


def _reciprocal(x: Value) -> Value:
    """1 / x."""
    return like(x, 1) / x


def _square(x: Value) -> Value:
    """x * x."""
    bind = Lets()
    x = bind(x)
    return bind.close(x * x)


def _to_degrees(x: Value) -> Value:
    """x * 180 / pi."""
    return x * like(x, 57.29577951308232)


def _to_radians(x: Value) -> Value:
    """x * pi / 180."""
    return x * like(x, 0.017453292519943295)


def _sign(x: Value) -> Value:
    bind = Lets()
    x = bind(x)
    one, zero = like(x, 1), like(x, 0)
    below = tirx.Select(x < zero, zero - one, zero)
    return bind.close(tirx.Select(x > zero, one, below))


def _unsigned_sign(x: Value) -> Value:
    return tirx.Select(x > like(x, 0), like(x, 1), like(x, 0))


_FUNCTIONS: dict[OpOverload, Callable[[Value], Value]] = {
    aten.neg.default: _negative,
    aten.reciprocal.default: _reciprocal,
    aten.square.default: _square,
    aten.sqrt.default: math.sqrt,
    aten.rsqrt.default: math.rsqrt,
    aten.exp.default: math.exp,
    aten.exp2.default: math.exp2,
    aten.expm1.default: math.expm1,
    aten.log.default: math.log,
    aten.log1p.default: math.log1p,
    aten.log2.default: math.log2,
    aten.log10.default: math.log10,
    aten.erf.default: math.erf,
    aten.erfc.default: math.erfc,
    aten.sigmoid.default: math.sigmoid,
    aten.tanh.default: math.tanh,
    aten.sinh.default: math.sinh,
    aten.cosh.default: math.cosh,
    aten.asinh.default: math.asinh,
    aten.acosh.default: math.acosh,
    aten.atanh.default: math.atanh,
    aten.sin.default: trigonometry.sin,
    aten.cos.default: trigonometry.cos,
    aten.tan.default: trigonometry.tan,
    aten.asin.default: trigonometry.asin,
    aten.acos.default: trigonometry.acos,
    aten.atan.default: trigonometry.atan,
    aten.rad2deg.default: _to_degrees,
    aten.deg2rad.default: _to_radians,
}
_ROUNDINGS: dict[OpOverload, Callable[[Value], Value]] = {
    aten.floor.default: floats.floor,
    aten.ceil.default: floats.ceil,
    aten.trunc.default: floats.trunc,
    aten.round.default: floats.round_even,
}
for _op, _formula in _FUNCTIONS.items():
    lowers(_op)(elementwise(_formula))
for _op, _formula in _ROUNDINGS.items():
    lowers(_op)(_rounding(_formula))


@lowers(aten.abs.default)
def absolute(x: te.Tensor, *, out: TensorSpec) -> te.Tensor:
    """|x|."""
    signed = not out.dtype.startswith(("uint", "bool"))
    return pointwise(out, (x,), tirx.abs if signed else lambda a: a)


@lowers(aten.sign.default, aten.sgn.default)
def sign(x: te.Tensor, *, out: TensorSpec) -> te.Tensor:
    """-1, 0 or 1."""
    if out.dtype == "bool":
        return pointwise(out, (x,), lambda a: a)
    return pointwise(out, (x,), _unsigned_sign if out.dtype == "uint8" else _sign)


@lowers(aten.frac.default)
def fraction(x: te.Tensor, *, out: TensorSpec) -> te.Tensor:
    """x without its integer part, with the sign of x."""

    def formula(a: Value) -> Value:
        bind = Lets()
        a = bind(a)
        return bind.close(a - floats.trunc(a))

    return pointwise(out, (x,), formula)


@lowers(
    aten._to_copy.default,
    aten.to.dtype,
    aten.clone.default,
    aten.contiguous.default,
    aten.lift_fresh_copy.default,
    aten.lift_fresh.default,
    aten.dropout.default,
    aten.positive.default,
)
def copy(x: te.Tensor, *options: Any, out: TensorSpec, **more: Any) -> te.Tensor:
    """x in the dtype of the result; floats lose their fraction when they become integers."""
    own = str(x.dtype)
    if own == "bool" or out.dtype == "bool":
        return pointwise(out, (x,), lambda a: a, own)
    if is_float(own) and not is_float(out.dtype):
        # TVM bounds integers, and fails at the named parts of functions inside of them
        return pointwise(out, (x,), lambda a: opaque(a).astype(out.dtype), own)
    return te.compute(out.shape, lambda *at: x(*at).astype(out.dtype), name="copy")


@lowers(aten.nan_to_num.default)
def replace_nan(
    x: te.Tensor,
    nan: float | None = None,
    posinf: float | None = None,
    neginf: float | None = None,
    *,
    out: TensorSpec,
) -> te.Tensor:
    """NaN and infinities become numbers, by default 0 and the largest ones of the dtype."""
    if not is_float(out.dtype):
        return pointwise(out, (x,), lambda a: a)
    largest = torch.finfo(out.torch_dtype).max
    high = largest if posinf is None else posinf
    low = -largest if neginf is None else neginf

    def formula(a: Value) -> Value:
        bind = Lets()
        a = bind(a)
        infinity = like(a, float("inf"))
        above = tirx.Select(tirx.EQ(a, infinity), like(a, high), a)
        below = tirx.Select(tirx.EQ(a, like(a, float("-inf"))), like(a, low), above)
        return bind.close(tirx.Select(floats.is_nan(a), like(a, nan or 0.0), below))

    return pointwise(out, (x,), formula)
