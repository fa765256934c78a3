"""Comparisons, logic, bits, and choices between elements."""

from collections.abc import Callable
from typing import Any

import torch
from torch._ops import OpOverload, OpOverloadPacket
from tvm import te, tirx

from ...ir.tensor_spec import TensorSpec
from ..math.floats import Lets, is_nan, like
from ..registry import Rule, lowers
from .pointwise import Operand, Value, cast, is_float, operand_at, pointwise, promoted

aten = torch.ops.aten
_INFINITY = float("inf")


def _comparison(compare: Callable[[Value, Value], Value]) -> Rule:
    def rule(x: Operand, y: Operand, *, out: TensorSpec) -> te.Tensor:
        dtype = promoted(x, y)
        return pointwise(out, (x, y), compare, "int8" if dtype == "bool" else dtype)

    return rule


def _logical(combine: Callable[[Value, Value], Value]) -> Rule:
    def rule(x: Operand, y: Operand, *, out: TensorSpec) -> te.Tensor:
        def element(*at: Any) -> Value:
            values = [_truth(operand, at) for operand in (x, y)]
            return combine(*values)

        return te.compute(out.shape, element, name="logical")

    return rule


def _bitwise(of_integers: Callable[[Value, Value], Value], of_booleans: Any) -> Rule:
    def rule(x: Operand, y: Operand, *, out: TensorSpec) -> te.Tensor:
        return pointwise(out, (x, y), of_booleans if out.dtype == "bool" else of_integers)

    return rule


def _shift(shift: Callable[[Value, Value], Value]) -> Rule:
    def rule(x: Operand, y: Operand, *, out: TensorSpec) -> te.Tensor:
        return pointwise(out, (x, y), shift)

    return rule


def _different(a: Value, b: Value) -> Value:
    return tirx.NE(cast(a, "int8"), cast(b, "int8"))


def _overloads(packet: OpOverloadPacket) -> list[OpOverload]:
    """The overloads of a binary operator that give a new tensor."""
    every = [getattr(packet, name) for name in packet.overloads()]
    return [op for op in every if not op._schema.is_mutable]


_COMPARISONS: dict[tuple[OpOverload, ...], Callable[[Value, Value], Value]] = {
    (aten.eq.Tensor, aten.eq.Scalar): tirx.EQ,
    (aten.ne.Tensor, aten.ne.Scalar): tirx.NE,
    (aten.lt.Tensor, aten.lt.Scalar): tirx.LT,
    (aten.le.Tensor, aten.le.Scalar): tirx.LE,
    (aten.gt.Tensor, aten.gt.Scalar): tirx.GT,
    (aten.ge.Tensor, aten.ge.Scalar): tirx.GE,
}
for _ops, _compare in _COMPARISONS.items():
    lowers(*_ops)(_comparison(_compare))

lowers(aten.logical_and.default)(_logical(tirx.And))
lowers(aten.logical_or.default)(_logical(tirx.Or))
lowers(aten.logical_xor.default)(_logical(_different))
_AND = _bitwise(lambda a, b: a & b, tirx.And)
_OR = _bitwise(lambda a, b: a | b, tirx.Or)
_XOR = _bitwise(lambda a, b: a ^ b, _different)
lowers(*_overloads(aten.bitwise_and), *_overloads(aten.__and__))(_AND)
lowers(*_overloads(aten.bitwise_or), *_overloads(aten.__or__))(_OR)
lowers(*_overloads(aten.bitwise_xor), *_overloads(aten.__xor__))(_XOR)
_LEFT, _RIGHT = _shift(lambda a, b: a << b), _shift(lambda a, b: a >> b)
lowers(*_overloads(aten.bitwise_left_shift), *_overloads(aten.__lshift__))(_LEFT)
lowers(*_overloads(aten.bitwise_right_shift), *_overloads(aten.__rshift__))(_RIGHT)


@lowers(aten.logical_not.default)
def logical_not(x: te.Tensor, *, out: TensorSpec) -> te.Tensor:
    """Whether an element is 0."""
    return te.compute(out.shape, lambda *at: tirx.Not(_truth(x, at)), name="logical_not")


@lowers(aten.bitwise_not.default)
def bitwise_not(x: te.Tensor, *, out: TensorSpec) -> te.Tensor:
    """All bits inverted; the opposite of a boolean."""
    if out.dtype == "bool":
        return pointwise(out, (x,), tirx.Not)
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
