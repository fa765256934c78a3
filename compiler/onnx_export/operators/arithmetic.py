"""Functions of the elements of one tensor, or of two that broadcast."""

import math
from typing import Any

import torch

from ..emitter import Emitter, Number, Value
from ..registry import emits

_ATEN = torch.ops.aten
_SAME_NAME = {
    _ATEN.abs: "Abs",
    _ATEN.acos: "Acos",
    _ATEN.acosh: "Acosh",
    _ATEN.asin: "Asin",
    _ATEN.asinh: "Asinh",
    _ATEN.atan: "Atan",
    _ATEN.atanh: "Atanh",
    _ATEN.ceil: "Ceil",
    _ATEN.cos: "Cos",
    _ATEN.cosh: "Cosh",
    _ATEN.erf: "Erf",
    _ATEN.exp: "Exp",
    _ATEN.floor: "Floor",
    _ATEN.log: "Log",
    _ATEN.neg: "Neg",
    _ATEN.reciprocal: "Reciprocal",
    _ATEN.sigmoid: "Sigmoid",
    _ATEN.sign: "Sign",
    _ATEN.sin: "Sin",
    _ATEN.sinh: "Sinh",
    _ATEN.sqrt: "Sqrt",
    _ATEN.tan: "Tan",
    _ATEN.tanh: "Tanh",
}
_ROUNDINGS = {"Ceil", "Floor", "Round"}


def _function(op_type: str) -> Any:
    def emitted(emit: Emitter, x: Value) -> Value:
        if op_type in _ROUNDINGS and not emit.dtype.is_floating_point:
            return x
        return emit(op_type, emit.cast(x, emit.dtype))

    return emitted


for _operator, _op_type in _SAME_NAME.items():
    emits(_operator)(_function(_op_type))
emits(_ATEN.round.default)(_function("Round"))


def pair(emit: Emitter, x: Value | Number, y: Value | Number) -> tuple[Value, Value]:
    """Two operands in the dtype of the result."""
    return emit.cast(x, emit.dtype), emit.cast(y, emit.dtype)


def scaled(emit: Emitter, x: Value, alpha: Number) -> Value:
    """x * alpha in the dtype of x."""
    return x if alpha == 1 else emit("Mul", x, emit.scalar(alpha, emit.dtype))


@emits(_ATEN.add)
def add(emit: Emitter, x: Value, y: Value | Number, alpha: Number) -> Value:
    """The logical or of booleans."""
    left, right = pair(emit, x, y)
    if emit.dtype == torch.bool:
        return emit("Or", left, right)
    return emit("Add", left, scaled(emit, right, alpha))


@emits(_ATEN.sub)
def sub(emit: Emitter, x: Value, y: Value | Number, alpha: Number) -> Value:
    left, right = pair(emit, x, y)
    return emit("Sub", left, scaled(emit, right, alpha))


@emits(_ATEN.rsub)
def rsub(emit: Emitter, x: Value, y: Value | Number, alpha: Number) -> Value:
    left, right = pair(emit, x, y)
    return emit("Sub", right, scaled(emit, left, alpha))


@emits(_ATEN.mul)
def mul(emit: Emitter, x: Value, y: Value | Number) -> Value:
    """The logical and of booleans."""
    return emit("And" if emit.dtype == torch.bool else "Mul", *pair(emit, x, y))


@emits(_ATEN.div.Tensor, _ATEN.div.Scalar, _ATEN.true_divide)
def div(emit: Emitter, x: Value, y: Value | Number) -> Value:
    return emit("Div", *pair(emit, x, y))


@emits(_ATEN.div.Tensor_mode, _ATEN.div.Scalar_mode)
def div_mode(emit: Emitter, x: Value, y: Value | Number, rounding_mode: str | None) -> Value:
    left, right = pair(emit, x, y)
    if rounding_mode == "floor":
        return floor_quotient(emit, left, right)
    quotient = emit("Div", left, right)  # of integers: rounded towards 0
    if rounding_mode is None or not emit.dtype.is_floating_point:
        return quotient
    return truncated(emit, quotient)


@emits(_ATEN.floor_divide)
def floor_divide(emit: Emitter, x: Value, y: Value | Number) -> Value:
    return floor_quotient(emit, *pair(emit, x, y))


def floor_quotient(emit: Emitter, x: Value, y: Value) -> Value:
    """x / y rounded down; for integers (x - x mod y) / y, where nothing is left to round."""
    if emit.dtype.is_floating_point:
        return emit("Floor", emit("Div", x, y))
    return emit("Div", emit("Sub", x, emit("Mod", x, y)), y)


def truncated(emit: Emitter, x: Value) -> Value:
    """x without what is behind the point."""
    return emit("Mul", emit("Sign", x), emit("Floor", emit("Abs", x)))


@emits(_ATEN.trunc, _ATEN.fix)
def trunc(emit: Emitter, x: Value) -> Value:
    return truncated(emit, x) if emit.dtype.is_floating_point else x


@emits(_ATEN.remainder)
def remainder(emit: Emitter, x: Value | Number, y: Value | Number) -> Value:
    """What has the sign of y."""
    left, right = pair(emit, x, y)
    if not emit.dtype.is_floating_point:
        return emit("Mod", left, right)
    rest, zero = emit("Mod", left, right, fmod=1), emit.scalar(0, emit.dtype)
    turns = emit("Xor", emit("Less", rest, zero), emit("Less", right, zero))
    wrong = emit("And", turns, emit("Not", emit("Equal", rest, zero)))
    return emit("Where", wrong, emit("Add", rest, right), rest)


@emits(_ATEN.fmod)
def fmod(emit: Emitter, x: Value, y: Value | Number) -> Value:
    """What has the sign of x."""
    return emit("Mod", *pair(emit, x, y), fmod=1)


@emits(_ATEN.pow)
def power(emit: Emitter, x: Value | Number, y: Value | Number) -> Value:
    if isinstance(y, (int, float)) and isinstance(x, Value) and emit.dtype.is_floating_point:
        base = emit.cast(x, emit.dtype)
        if y == 2:
            return emit("Mul", base, base)
        if y == 0.5:
            return emit("Sqrt", base)
        if y == -0.5:
            return emit("Reciprocal", emit("Sqrt", base))
    return emit("Pow", *pair(emit, x, y))


@emits(_ATEN.square)
def square(emit: Emitter, x: Value) -> Value:
    return emit("Mul", x, x)


@emits(_ATEN.rsqrt)
def rsqrt(emit: Emitter, x: Value) -> Value:
    return emit("Reciprocal", emit("Sqrt", emit.cast(x, emit.dtype)))


@emits(_ATEN.log2, _ATEN.log10)
def log_of_base(emit: Emitter, x: Value) -> Value:
    base = 2 if emit.operator == "aten.log2" else 10
    natural = emit("Log", emit.cast(x, emit.dtype))
    return emit("Div", natural, emit.scalar(math.log(base), emit.dtype))


@emits(_ATEN.log1p)
def log1p(emit: Emitter, x: Value) -> Value:
    """log(1 + x) x / ((1 + x) - 1), which makes up for the rounding of 1 + x (Kahan)."""
    one, x = emit.scalar(1, emit.dtype), emit.cast(x, emit.dtype)
    shifted = emit("Add", x, one)
    ratio = emit("Div", x, emit("Sub", shifted, one))
    is_tiny = emit("Equal", shifted, one)
    is_infinite = emit("IsInf", shifted)
    exact = emit("Mul", emit("Log", shifted), emit("Where", is_infinite, one, ratio))
    return emit("Where", is_tiny, x, exact)


@emits(_ATEN.expm1)
def expm1(emit: Emitter, x: Value) -> Value:
    """(e^x - 1) x / log(e^x), which makes up for the rounding of e^x (Kahan)."""
    one, x = emit.scalar(1, emit.dtype), emit.cast(x, emit.dtype)
    grown = emit("Exp", x)
    less = emit("Sub", grown, one)
    corrected = emit("Div", emit("Mul", less, x), emit("Log", grown))
    is_small = emit("Less", emit("Abs", x), one)
    value = emit("Where", is_small, corrected, less)
    return emit("Where", emit("Equal", grown, one), x, value)


@emits(_ATEN.exp2)
def exp2(emit: Emitter, x: Value) -> Value:
    return emit("Pow", emit.scalar(2, emit.dtype), emit.cast(x, emit.dtype))


@emits(_ATEN.erfc)
def erfc(emit: Emitter, x: Value) -> Value:
    return emit("Sub", emit.scalar(1, emit.dtype), emit("Erf", emit.cast(x, emit.dtype)))


@emits(_ATEN.maximum, _ATEN.max.other)
def maximum(emit: Emitter, x: Value, y: Value) -> Value:
    return emit("Or" if emit.dtype == torch.bool else "Max", *pair(emit, x, y))


@emits(_ATEN.minimum, _ATEN.min.other)
def minimum(emit: Emitter, x: Value, y: Value) -> Value:
    return emit("And" if emit.dtype == torch.bool else "Min", *pair(emit, x, y))


@emits(_ATEN.clamp, _ATEN.clip)
def clamp(
    emit: Emitter, x: Value, low: Value | Number | None, high: Value | Number | None
) -> Value:
    x = emit.cast(x, emit.dtype)
    if isinstance(low, Value) or isinstance(high, Value):
        for op_type, bound in (("Max", low), ("Min", high)):
            x = x if bound is None else emit(op_type, x, emit.cast(bound, emit.dtype))
        return x
    return bounded(emit, x, low, high)


def bounded(emit: Emitter, x: Value, low: Number | None, high: Number | None) -> Value:
    """x moved into [low, high], in the dtype of the result."""
    limits = [None if bound is None else emit.scalar(bound, emit.dtype) for bound in (low, high)]
    return emit("Clip", x, *limits)


@emits(_ATEN.clamp_min)
def clamp_min(emit: Emitter, x: Value, low: Value | Number) -> Value:
    return emit("Max", *pair(emit, x, low))


@emits(_ATEN.clamp_max)
def clamp_max(emit: Emitter, x: Value, high: Value | Number) -> Value:
    return emit("Min", *pair(emit, x, high))


@emits(_ATEN.atan2)
def atan2(emit: Emitter, y: Value, x: Value) -> Value:
    """atan(y / x), half a turn further where x is negative."""
    y, x = pair(emit, y, x)
    zero = emit.scalar(0, emit.dtype)
    angle = emit("Atan", emit("Div", y, x))
    half_turn = emit.scalar(math.pi, emit.dtype)
    turned = emit("Where", emit("Less", y, zero), emit("Neg", half_turn), half_turn)
    angle = emit("Where", emit("Less", x, zero), emit("Add", angle, turned), angle)
    at_origin = emit("And", emit("Equal", x, zero), emit("Equal", y, zero))
    return emit("Where", at_origin, zero, angle)


@emits(_ATEN.hypot)
def hypot(emit: Emitter, x: Value, y: Value) -> Value:
    """The larger magnitude times sqrt(1 + ratio^2): no square is out of range."""
    x, y = (emit("Abs", side) for side in pair(emit, x, y))
    large, zero = emit("Max", x, y), emit.scalar(0, emit.dtype)
    ratio = emit("Div", emit("Min", x, y), large)
    grown = emit("Add", emit("Mul", ratio, ratio), emit.scalar(1, emit.dtype))
    length = emit("Mul", large, emit("Sqrt", grown))
    return emit("Where", emit("Equal", large, zero), zero, length)


@emits(_ATEN._to_copy, _ATEN.clone, _ATEN.alias, _ATEN.detach, _ATEN.lift_fresh_copy, _ATEN.to)
def copied(emit: Emitter, x: Value, *_: object) -> Value:
    """The same values, in the dtype of the result."""
    return emit.cast(x, emit.dtype)


@emits(_ATEN.cumsum)
def cumsum(emit: Emitter, x: Value, dim: int, dtype: torch.dtype | None) -> Value:
    return emit("CumSum", emit.cast(x, emit.dtype), emit.scalar(dim, torch.int64))
