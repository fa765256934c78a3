"""Comparisons, logic, bits and choices."""

from typing import Any

import torch

from ..emitter import Emitter, Number, Value
from ..registry import emits
from .arithmetic import floor_quotient, pair

_ATEN = torch.ops.aten
_COMPARISONS = {
    _ATEN.eq: "Equal",
    _ATEN.ne: "Equal",
    _ATEN.lt: "Less",
    _ATEN.le: "LessOrEqual",
    _ATEN.gt: "Greater",
    _ATEN.ge: "GreaterOrEqual",
}
_LOGIC = {_ATEN.logical_and: "And", _ATEN.logical_or: "Or", _ATEN.logical_xor: "Xor"}
_BITS = {
    _ATEN.bitwise_and: "And",
    _ATEN.__and__: "And",
    _ATEN.bitwise_or: "Or",
    _ATEN.__or__: "Or",
    _ATEN.bitwise_xor: "Xor",
    _ATEN.__xor__: "Xor",
}


def _comparison(op_type: str, negated: bool) -> Any:
    def emitted(emit: Emitter, x: Value, y: Value | Number) -> Value:
        dtype = _common_dtype(x, y)
        if dtype == torch.bool and op_type != "Equal":
            dtype = torch.int32
        result = emit(op_type, emit.cast(x, dtype), emit.cast(y, dtype))
        return emit("Not", result) if negated else result

    return emitted


def _common_dtype(x: Value, y: Value | Number) -> torch.dtype:
    """What PyTorch compares in; a number of another kind changes the dtype, others do not."""
    other = y if not isinstance(y, Value) else _example(y)
    return torch.result_type(_example(x), other)


def _example(value: Value) -> torch.Tensor:
    return torch.empty(value.shape, dtype=value.dtype, device="meta")


for _operator, _op_type in _COMPARISONS.items():
    emits(_operator)(_comparison(_op_type, _operator is _ATEN.ne))


def _logic(op_type: str) -> Any:
    def emitted(emit: Emitter, x: Value, y: Value) -> Value:
        return emit(op_type, emit.cast(x, torch.bool), emit.cast(y, torch.bool))

    return emitted


for _operator, _op_type in _LOGIC.items():
    emits(_operator)(_logic(_op_type))


def _bits(op_type: str) -> Any:
    def emitted(emit: Emitter, x: Value | Number, y: Value | Number) -> Value:
        if emit.dtype == torch.bool:
            return emit(op_type, *pair(emit, x, y))
        emit.needs(18)
        return emit(f"Bitwise{op_type}", *pair(emit, x, y))

    return emitted


for _operator, _op_type in _BITS.items():
    emits(_operator)(_bits(_op_type))


@emits(_ATEN.bitwise_not)
def bitwise_not(emit: Emitter, x: Value) -> Value:
    """-x - 1 of integers, in any operator set; of bytes without a sign by ONNX's own operator."""
    if emit.dtype == torch.bool:
        return emit("Not", x)
    if emit.dtype == torch.uint8:
        return emit("Sub", emit.scalar(255, emit.dtype), x)
    return emit("Sub", emit.scalar(-1, emit.dtype), x)


@emits(_ATEN.bitwise_left_shift, _ATEN.__lshift__)
def left_shift(emit: Emitter, x: Value, y: Value | Number) -> Value:
    """x * 2^y: ONNX shifts only what has no sign."""
    return emit("Mul", emit.cast(x, emit.dtype), _power_of_two(emit, y))


@emits(_ATEN.bitwise_right_shift, _ATEN.__rshift__)
def right_shift(emit: Emitter, x: Value, y: Value | Number) -> Value:
    """x / 2^y, rounded down."""
    return floor_quotient(emit, emit.cast(x, emit.dtype), _power_of_two(emit, y))


def _power_of_two(emit: Emitter, exponent: Value | Number) -> Value:
    """2^exponent, looked up: powers of integers are not exact everywhere."""
    bits = torch.iinfo(emit.dtype).bits
    if not isinstance(exponent, Value):
        return emit.scalar(2 ** int(exponent), emit.dtype)
    powers = torch.tensor([2**bit for bit in range(bits - 1)]).to(emit.dtype)
    return emit("Gather", emit.constant(powers), emit.cast(exponent, torch.int64))


@emits(_ATEN.logical_not)
def logical_not(emit: Emitter, x: Value) -> Value:
    return emit("Not", emit.cast(x, torch.bool))


@emits(_ATEN.isnan)
def isnan(emit: Emitter, x: Value) -> Value:
    return emit("IsNaN", x)


@emits(_ATEN.isinf)
def isinf(emit: Emitter, x: Value) -> Value:
    return emit("IsInf", x)


@emits(_ATEN.isfinite)
def isfinite(emit: Emitter, x: Value) -> Value:
    return emit("Not", emit("Or", emit("IsNaN", x), emit("IsInf", x)))


@emits(_ATEN.where.self, _ATEN.where.ScalarSelf, _ATEN.where.ScalarOther, _ATEN.where.Scalar)
def where(emit: Emitter, condition: Value, x: Value | Number, y: Value | Number) -> Value:
    condition = emit.cast(condition, torch.bool)
    if emit.dtype != torch.bool:
        return emit("Where", condition, *pair(emit, x, y))
    left, right = pair(emit, x, y)
    chosen = emit("And", condition, left)
    return emit("Or", chosen, emit("And", emit("Not", condition), right))


@emits(_ATEN.masked_fill)
def masked_fill(emit: Emitter, x: Value, mask: Value, number: Value | Number) -> Value:
    return where(emit, mask, number, x)
