"""Removes operations whose result is one of their operands."""

from collections.abc import Callable
from typing import Any

import torch
from torch._ops import OpOverload
from torch.fx import Node

from ..compiler.ir.program import Program, node_spec
from ..compiler.ir.rewrite import arguments_of, replace_by, weight_of
from ..compiler.pass_base import Pass

_ATEN = torch.ops.aten
_Rule = Callable[..., Any]  # program and the operator's arguments by name -> the operand it gives
_RULES: dict[OpOverload, _Rule] = {}


class RemoveNoOps(Pass):
    """Let the readers of `x + 0`, `x * 1`, `dropout(x)`, a copy, a view of the same shape read `x`.

    Needs: nothing.
    Keeps: values exact, but for the sign of zero (-0.0 + 0 is 0.0).
    Skips: an operation that also changes shape or dtype, such as `int * 1.0`.
    """

    name = "remove-no-ops"
    contract = "exact"

    def run(self, program: Program) -> int:
        return sum(_remove(program, node) for node in list(program.graph.nodes))


def _remove(program: Program, node: Node) -> bool:
    rule = _RULES.get(node.target) if isinstance(node.target, OpOverload) else None
    same = None if rule is None else rule(program, **arguments_of(node))
    if not isinstance(same, Node) or node_spec(same) != node_spec(node):
        return False
    replace_by(node, same)
    return True


def _gives(*ops: OpOverload) -> Callable[[_Rule], _Rule]:
    """Register the rule that says which operand `ops` give, None where they compute something."""

    def add(rule: _Rule) -> _Rule:
        _RULES.update(dict.fromkeys(ops, rule))
        return rule

    return add


@_gives(
    _ATEN.alias.default,
    _ATEN.clone.default,
    _ATEN.contiguous.default,
    _ATEN.detach.default,
    _ATEN.lift_fresh_copy.default,
    _ATEN.positive.default,
    # These give their operand where the shape (or dtype) stays, which the caller checks.
    _ATEN._to_copy.default,
    _ATEN.expand.default,
    _ATEN.flatten.using_ints,
    _ATEN.reshape.default,
    _ATEN.slice.Tensor,
    _ATEN.to.dtype,
    _ATEN.type_as.default,
    _ATEN.view.default,
)
def _first(program: Program, self: Node, **_: Any) -> Node:
    return self


@_gives(_ATEN.dropout.default, _ATEN.alpha_dropout.default, _ATEN.feature_dropout.default)
def _dropout(program: Program, input: Node, p: float, train: bool) -> Node | None:
    return None if train and p else input


@_gives(_ATEN.add.Tensor, _ATEN.add.Scalar)
def _add(program: Program, self: Any, other: Any, alpha: float) -> Any:
    if _all_are(program, other, 0):
        return self
    return other if alpha == 1 and _all_are(program, self, 0) else None


@_gives(_ATEN.sub.Tensor, _ATEN.sub.Scalar)
def _subtract(program: Program, self: Any, other: Any, alpha: float) -> Any:
    return self if _all_are(program, other, 0) else None


@_gives(_ATEN.mul.Tensor, _ATEN.mul.Scalar)
def _multiply(program: Program, self: Any, other: Any) -> Any:
    if _all_are(program, other, 1):
        return self
    return other if _all_are(program, self, 1) else None


@_gives(_ATEN.div.Tensor, _ATEN.div.Scalar)
def _divide(program: Program, self: Any, other: Any) -> Any:
    return self if _all_are(program, other, 1) else None


@_gives(_ATEN.pow.Tensor_Scalar)
def _power(program: Program, self: Node, exponent: float) -> Node | None:
    return self if exponent == 1 else None


@_gives(_ATEN.where.self)
def _where(program: Program, condition: Any, self: Any, other: Any) -> Any:
    if _all_are(program, condition, 1):
        return self
    return other if _all_are(program, condition, 0) else None


@_gives(_ATEN.masked_fill.Scalar, _ATEN.masked_fill.Tensor)
def _masked_fill(program: Program, self: Node, mask: Any, value: Any) -> Node | None:
    return self if _all_are(program, mask, 0) else None


@_gives(_ATEN.permute.default)
def _permute(program: Program, self: Node, dims: list[int]) -> Node | None:
    return self if [dim % len(dims) for dim in dims] == list(range(len(dims))) else None


@_gives(_ATEN.cat.default)
def _join(program: Program, tensors: list[Node], dim: int) -> Node | None:
    return tensors[0] if len(tensors) == 1 else None


@_gives(_ATEN.pad.default, _ATEN.constant_pad_nd.default)
def _pad(program: Program, self: Node, pad: list[int], **_: Any) -> Node | None:
    return None if any(pad) else self


@_gives(
    _ATEN.avg_pool1d.default,
    _ATEN.avg_pool2d.default,
    _ATEN.avg_pool3d.default,
    _ATEN.max_pool1d.default,
    _ATEN.max_pool2d.default,
    _ATEN.max_pool3d.default,
)
def _pool(
    program: Program, self: Node, kernel_size: list[int], stride: list[int], **rest: Any
) -> Node | None:
    is_trivial = {*kernel_size, *stride} == {1} and not any(rest["padding"])
    return self if is_trivial and rest.get("divisor_override") in (None, 1) else None


@_gives(
    _ATEN.adaptive_avg_pool1d.default,
    _ATEN.adaptive_avg_pool2d.default,
    _ATEN.adaptive_avg_pool3d.default,
)
def _adaptive_pool(program: Program, self: Node, output_size: list[int]) -> Node:
    return self


@_gives(
    _ATEN.upsample_nearest1d.vec,
    _ATEN.upsample_nearest2d.vec,
    _ATEN.upsample_nearest3d.vec,
)
def _upsample(program: Program, input: Node, scale_factors: Any, **_: Any) -> Node | None:
    return input if scale_factors is None or set(scale_factors) == {1.0} else None


def _all_are(program: Program, value: Any, number: float) -> bool:
    """Whether an operand is this number in every element."""
    if isinstance(value, Node):
        weight = weight_of(program, value)
        return weight is not None and bool((weight == number).all())
    return isinstance(value, (int, float)) and value == number
