"""Comparisons, logic, bits, and choices between elements."""

from collections.abc import Callable
from typing import Any

import torch
from torch._ops import OpOverload, OpOverloadPacket
from tvm import te, tirx

from ...ir.tensor_spec import TensorSpec
from ..math.floats import Lets, is_nan, like
from ..registry import Rule, lowers
from .pointwise import (
    Operand,
    Value,
    cast,
    elementwise,
    is_float,
    operand_at,
    pointwise,
    promoted,
)

aten = torch.ops.aten
_INFINITY = float("inf")


def _comparison(compare: Callable[[Value, Value], Value], sign: str) -> Rule:
    def rule(x: Operand, y: Operand, *, out: TensorSpec) -> te.Tensor:
        dtype = promoted(x, y)
        return pointwise(out, (x, y), compare, "int8" if dtype == "bool" else dtype)

    rule.__doc__ = f"x {sign} y."
    return rule


def _logical(combine: Callable[[Value, Value], Value], summary: str) -> Rule:
    def rule(x: Operand, y: Operand, *, out: TensorSpec) -> te.Tensor:
        def element(*at: Any) -> Value:
            values = [_truth(operand, at) for operand in (x, y)]
            return combine(*values)

        return te.compute(out.shape, element, name="logical")

    rule.__doc__ = summary
    return rule


def _bitwise(of_integers: Callable[[Value, Value], Value], of_booleans: Any, summary: str) -> Rule:
    def rule(x: Operand, y: Operand, *, out: TensorSpec) -> te.Tensor:
        return pointwise(out, (x, y), of_booleans if out.dtype == "bool" else of_integers)

    rule.__doc__ = summary
    return rule


def _different(a: Value, b: Value) -> Value:
    return tirx.NE(cast(a, "int8"), cast(b, "int8"))


def _opposite(condition: Value) -> Value:
    """Whether the condition fails; TVM makes `b <= a` of `not a < b`, wrong for NaN."""
    return tirx.Select(condition, tirx.const(False), tirx.const(True))


def _overloads(packet: OpOverloadPacket) -> list[OpOverload]:
    """The overloads of a binary operator that give a new tensor."""
    every = [getattr(packet, name) for name in packet.overloads()]
    return [op for op in every if "Tensor" in str(op._schema) and not op._schema.is_mutable]


_COMPARISONS: dict[OpOverloadPacket, tuple[Callable[[Value, Value], Value], str]] = {
    aten.eq: (tirx.EQ, "=="),
    aten.ne: (tirx.NE, "!="),
    aten.lt: (tirx.LT, "<"),
    aten.le: (tirx.LE, "<="),
    aten.gt: (tirx.GT, ">"),
    aten.ge: (tirx.GE, ">="),
}
for _packet, (_compare, _sign) in _COMPARISONS.items():
    lowers(_packet.Tensor, _packet.Scalar)(_comparison(_compare, _sign))

lowers(aten.logical_and.default)(_logical(tirx.And, "Whether both elements are not 0."))
lowers(aten.logical_or.default)(_logical(tirx.Or, "Whether an element is not 0."))
lowers(aten.logical_xor.default)(_logical(_different, "Whether just one element is not 0."))
_AND = _bitwise(lambda a, b: a & b, tirx.And, "The bits that both have; `and` of booleans.")
_OR = _bitwise(lambda a, b: a | b, tirx.Or, "The bits that either has; `or` of booleans.")
_XOR = _bitwise(lambda a, b: a ^ b, _different, "The bits that differ; whether booleans do.")
lowers(*_overloads(aten.bitwise_and), *_overloads(aten.__and__))(_AND)
lowers(*_overloads(aten.bitwise_or), *_overloads(aten.__or__))(_OR)
lowers(*_overloads(aten.bitwise_xor), *_overloads(aten.__xor__))(_XOR)
_LEFT = elementwise(lambda a, b: a << b, "x * 2**y of integers.")
_RIGHT = elementwise(lambda a, b: a >> b, "floor(x / 2**y) of integers.")
lowers(*_overloads(aten.bitwise_left_shift), *_overloads(aten.__lshift__))(_LEFT)
lowers(*_overloads(aten.bitwise_right_shift), *_overloads(aten.__rshift__))(_RIGHT)


@lowers(aten.logical_not.default)
def logical_not(x: te.Tensor, *, out: TensorSpec) -> te.Tensor:
    """Whether an element is 0."""
    return te.compute(out.shape, lambda *at: _opposite(_truth(x, at)), name="logical_not")


@lowers(aten.bitwise_not.default)
def bitwise_not(x: te.Tensor, *, out: TensorSpec) -> te.Tensor:
    """All bits inverted; the opposite of a boolean."""
    if out.dtype == "bool":
        return pointwise(out, (x,), _opposite)
    return pointwise(out, (x,), tirx.bitwise_not)


@lowers(aten.where.self, aten.where.ScalarSelf, aten.where.ScalarOther, aten.where.Scalar)
def where(condition: te.Tensor, x: Operand, y: Operand, *, out: TensorSpec) -> te.Tensor:
    """x where the condition holds, else y."""

    def element(*at: Any) -> Value:
        chosen = (operand_at(operand, at, out.dtype) for operand in (x, y))
        return tirx.Select(_truth(condition, at), *chosen)

    return te.compute(out.shape, element, name="where")


@lowers(aten.masked_fill.Scalar, aten.masked_fill.Tensor)
def masked_fill(x: te.Tensor, mask: te.Tensor, value: Operand, *, out: TensorSpec) -> te.Tensor:
    """`value` where the mask holds, else x."""
    return where(mask, value, x, out=out)


@lowers(aten.isnan.default)
def find_nan(x: te.Tensor, *, out: TensorSpec) -> te.Tensor:
    """Whether an element is no number."""
    return _classified(x, out, is_nan)


@lowers(aten.isinf.default)
def find_infinity(x: te.Tensor, *, out: TensorSpec) -> te.Tensor:
    """Whether an element is infinite."""
    return _classified(x, out, lambda a: tirx.EQ(tirx.abs(a), like(a, _INFINITY)))


@lowers(aten.isfinite.default)
def find_finite(x: te.Tensor, *, out: TensorSpec) -> te.Tensor:
    """Whether an element is neither infinite nor NaN."""
    return _classified(x, out, lambda a: tirx.abs(a) < like(a, _INFINITY), default=True)


def _classified(
    x: te.Tensor, out: TensorSpec, test: Callable[[Value], Value], default: bool = False
) -> te.Tensor:
    if not is_float(str(x.dtype)):
        return te.compute(out.shape, lambda *at: tirx.const(default, "bool"), name="classified")

    def bound(value: Value) -> Value:
        bind = Lets()
        return bind.close(test(bind(value)))

    return pointwise(out, (x,), bound, str(x.dtype))


def _truth(operand: Operand, at: tuple[Any, ...]) -> Value:
    """Whether the element of an operand is not 0."""
    dtype = str(operand.dtype) if isinstance(operand, te.Tensor) else "bool"
    return cast(operand_at(operand, at, dtype), "bool")
