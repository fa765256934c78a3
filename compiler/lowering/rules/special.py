"""Pointwise functions that few models use."""

from collections.abc import Callable
from math import inf, nan, pi, sqrt

import torch
from tvm import te, tirx

from ...ir.tensor_spec import TensorSpec
from .. import math
from ..math.floats import Expr, Lets, bits, dtype_of, is_nan, like, round_even, with_sign
from ..math.trigonometry import sin
from ..registry import lowers
from .pointwise import elementwise, is_float, pointwise

aten = torch.ops.aten


def _hypotenuse(x: Expr, y: Expr) -> Expr:
    """sqrt(x^2 + y^2), scaled by the larger one, whose square may be out of range."""
    bind = Lets()
    x, y = bind(tirx.abs(x)), bind(tirx.abs(y))
    larger, smaller = bind(tirx.Select(x > y, x, y)), bind(tirx.Select(x > y, y, x))
    ratio = bind(smaller / larger)
    value = larger * tirx.sqrt(like(x, 1) + ratio * ratio)
    sum_ = x + y  # infinite or NaN where one of them is
    is_plain = tirx.And(larger > like(x, 0), sum_ < like(x, inf))
    is_infinite = tirx.Or(tirx.EQ(x, like(x, inf)), tirx.EQ(y, like(x, inf)))
    other = tirx.Select(is_infinite, like(x, inf), sum_)
    return bind.close(tirx.Select(is_plain, value, other))


def _log_add_exp2(x: Expr, y: Expr) -> Expr:
    """log2(2**x + 2**y)."""
    ln_2 = 0.6931471805599453
    return math.log_add_exp(x * like(x, ln_2), y * like(y, ln_2)) * like(x, 1 / ln_2)


def _x_log_y(x: Expr, y: Expr) -> Expr:
    """x * log(y), 0 where x is 0 and y is a number."""
    return _product_with_log(x, y, math.log)


def _x_log1p_y(x: Expr, y: Expr) -> Expr:
    """x * log(1 + y), 0 where x is 0 and y is a number."""
    return _product_with_log(x, y, math.log1p)


def _product_with_log(x: Expr, y: Expr, logarithm: Callable[[Expr], Expr]) -> Expr:
    bind = Lets()
    x, y = bind(x), bind(y)
    value = tirx.Select(tirx.EQ(x, like(x, 0)), like(x, 0), x * logarithm(y))
    return bind.close(tirx.Select(is_nan(y), like(y, nan), value))


def _heaviside(x: Expr, y: Expr) -> Expr:
    """0 below 0, y at 0, 1 above."""
    bind = Lets()
    x = bind(x)
    step = tirx.Select(x > like(x, 0), like(x, 1), like(x, 0))
    return bind.close(tirx.Select(tirx.EQ(x, like(x, 0)), y, step))


def _larger_number(x: Expr, y: Expr) -> Expr:
    """max(x, y); if one is NaN, the other."""
    return _number(x, y, lambda x, y: x > y)


def _smaller_number(x: Expr, y: Expr) -> Expr:
    """min(x, y); if one is NaN, the other."""
    return _number(x, y, lambda x, y: x < y)


def _number(x: Expr, y: Expr, is_first: Callable[[Expr, Expr], Expr]) -> Expr:
    bind = Lets()
    x, y = bind(x), bind(y)
    condition = is_first(x, y)
    if is_float(dtype_of(x)):
        condition = tirx.Or(condition, is_nan(y))
    return bind.close(tirx.Select(condition, x, y))


def _scaled_by_power(x: Expr, y: Expr) -> Expr:
    """x * 2**y."""
    return x * math.exp2(y)


def _with_sign_of(x: Expr, y: Expr) -> Expr:
    """|x| with the sign of y."""
    return with_sign(tirx.abs(x), y)


_BINARY = {
    (aten.logaddexp.default,): math.log_add_exp,
    (aten.logaddexp2.default,): _log_add_exp2,
    (aten.hypot.default,): _hypotenuse,
    (aten.copysign.Tensor, aten.copysign.Scalar): _with_sign_of,
    (aten.xlogy.Tensor, aten.xlogy.Scalar_Self, aten.xlogy.Scalar_Other): _x_log_y,
    (
        aten.special_xlog1py.default,
        aten.special_xlog1py.self_scalar,
        aten.special_xlog1py.other_scalar,
    ): _x_log1p_y,
    (aten.heaviside.default,): _heaviside,
    (aten.fmax.default,): _larger_number,
    (aten.fmin.default,): _smaller_number,
    (aten.ldexp.Tensor,): _scaled_by_power,
}
for _ops, _formula in _BINARY.items():
    lowers(*_ops)(elementwise(_formula))


@lowers(aten.erfinv.default)
def inverse_erf(x: te.Tensor, *, out: TensorSpec) -> te.Tensor:
    """The y of erf(y) = x."""
    return pointwise(out, (x,), _inverse_erf)


@lowers(aten.sinc.default)
def sinc(x: te.Tensor, *, out: TensorSpec) -> te.Tensor:
    """sin(pi x) / (pi x)."""

    def formula(a: Expr) -> Expr:
        bind = Lets()
        angle = bind(a * like(a, pi))
        is_zero = tirx.EQ(angle, like(a, 0))
        return bind.close(tirx.Select(is_zero, like(a, 1), sin(angle) / angle))

    return pointwise(out, (x,), formula)


@lowers(aten.logit.default, aten.special_logit.default)
def logit(x: te.Tensor, eps: float | None = None, *, out: TensorSpec) -> te.Tensor:
    """log(x / (1 - x)), x first moved into [eps, 1 - eps]."""

    def formula(a: Expr) -> Expr:
        bind = Lets()
        inside = a
        if eps is not None:
            a = bind(a)
            raised = bind(tirx.Select(a < like(a, eps), like(a, eps), a))
            inside = tirx.Select(raised > like(a, 1 - eps), like(a, 1 - eps), raised)
        inside = bind(inside)
        return bind.close(math.log(inside / (like(a, 1) - inside)))

    return pointwise(out, (x,), formula)


@lowers(aten.special_entr.default)
def entropy(x: te.Tensor, *, out: TensorSpec) -> te.Tensor:
    """-x log(x), 0 at 0, -inf below."""

    def formula(a: Expr) -> Expr:
        bind = Lets()
        a = bind(a)
        value = tirx.Select(a > like(a, 0), a * math.log(a) * like(a, -1), like(a, -inf))
        at_zero = tirx.Select(tirx.EQ(a, like(a, 0)), like(a, 0), value)
        return bind.close(tirx.Select(is_nan(a), a, at_zero))

    return pointwise(out, (x,), formula)


@lowers(aten.round.decimals)
def round_to_decimals(x: te.Tensor, *, decimals: int, out: TensorSpec) -> te.Tensor:
    """x rounded to a multiple of 10**-decimals, halfway cases to even ones."""
    if not is_float(out.dtype):
        return pointwise(out, (x,), lambda a: a)
    scale = 10.0 ** abs(decimals)

    def formula(a: Expr) -> Expr:
        ten = like(a, scale)
        return round_even(a * ten) / ten if decimals > 0 else round_even(a / ten) * ten

    return pointwise(out, (x,), formula)


@lowers(aten.signbit.default)
def signbit(x: te.Tensor, *, out: TensorSpec) -> te.Tensor:
    """Whether an element is negative; -0 is."""
    dtype = str(x.dtype)
    if is_float(dtype):
        return pointwise(out, (x,), lambda a: bits(a) < like(bits(a), 0), dtype)
    return pointwise(out, (x,), lambda a: a < like(a, 0), "int8" if dtype == "bool" else dtype)


@lowers(aten.isposinf.default)
def find_positive_infinity(x: te.Tensor, *, out: TensorSpec) -> te.Tensor:
    """Whether an element is +infinity."""
    return _equal_to(x, inf, out)


@lowers(aten.isneginf.default)
def find_negative_infinity(x: te.Tensor, *, out: TensorSpec) -> te.Tensor:
    """Whether an element is -infinity."""
    return _equal_to(x, -inf, out)


@lowers(aten.angle.default)
def angle(x: te.Tensor, *, out: TensorSpec) -> te.Tensor:
    """Pi for negative numbers, else 0; NaN stays."""

    def formula(a: Expr) -> Expr:
        bind = Lets()
        a = bind(a)
        value = tirx.Select(a < like(a, 0), like(a, pi), like(a, 0))
        return bind.close(tirx.Select(is_nan(a), a, value))

    return pointwise(out, (x,), formula)


def _equal_to(x: te.Tensor, number: float, out: TensorSpec) -> te.Tensor:
    if not is_float(str(x.dtype)):
        return te.compute(out.shape, lambda *at: tirx.const(False), name="never")
    return pointwise(out, (x,), lambda a: tirx.EQ(a, like(a, number)), str(x.dtype))


def _inverse_erf(x: Expr) -> Expr:
    """Two of Halley's steps from Winitzki's approximation, in float64."""
    if dtype_of(x) == "float32":
        return _inverse_erf(x.astype("float64")).astype("float32")
    bind = Lets()
    x = bind(x)
    logarithm = bind(math.log((like(x, 1) - x) * (like(x, 1) + x)))
    shift = bind(like(x, 2 / (pi * 0.147)) + like(x, 0.5) * logarithm)
    root = tirx.sqrt(shift * shift - logarithm * like(x, 1 / 0.147))
    y = bind(with_sign(tirx.sqrt(root - shift), x))
    for _ in range(2):
        slope = like(x, 2 / sqrt(pi)) * math.exp(y * y * like(x, -1))
        step = bind((math.erf(y) - x) / slope)
        y = bind(y - step / (like(x, 1) + y * step))
    is_end = tirx.EQ(tirx.abs(x), like(x, 1))
    value = tirx.Select(is_end, x * like(x, inf), y)
    return bind.close(tirx.Select(tirx.EQ(x, like(x, 0)), x, value))
