"""Canonical spellings of arithmetic, each exact."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch._ops import OpOverload
from torch.fx import Node

from ..compiler.ir.inference import infer
from ..compiler.ir.op_kinds import Kind, kind_of
from ..compiler.ir.program import Program, node_spec, node_specs
from ..compiler.ir.rewrite import arguments_of, insert_call, shape_of, weight_of

_ATEN = torch.ops.aten
_Rule = Callable[[Program, Node], Node | None]
MATH_RULES: dict[Any, _Rule] = {}

_SCALAR_FORMS = {
    _ATEN.add.Scalar: _ATEN.add.Tensor,
    _ATEN.sub.Scalar: _ATEN.sub.Tensor,
    _ATEN.mul.Scalar: _ATEN.mul.Tensor,
    _ATEN.div.Scalar: _ATEN.div.Tensor,
    _ATEN.div.Scalar_mode: _ATEN.div.Tensor_mode,
}
_COMMUTATIVE = (_ATEN.add.Tensor, _ATEN.mul.Tensor, _ATEN.maximum.default, _ATEN.minimum.default)
_TAKES_NUMBERS = (_ATEN.add.Tensor, _ATEN.sub.Tensor, _ATEN.mul.Tensor, _ATEN.div.Tensor)


def _rewrites(*ops: OpOverload) -> Callable[[_Rule], _Rule]:
    def add(rule: _Rule) -> _Rule:
        for op in ops:
            if MATH_RULES.setdefault(op, rule) is not rule:
                raise ValueError(f"two rules for {op}")
        return rule

    return add


def narrow_operands(program: Program, node: Node) -> Node | None:
    """An elementwise operation broadcasts by itself, so it can read the source of an expansion."""
    if kind_of(node) is not Kind.ELEMENTWISE:
        return None
    for position, operand in enumerate(node.args):
        if isinstance(operand, Node) and operand.target is _ATEN.expand.default:
            args = (*node.args[:position], operand.args[0], *node.args[position + 1 :])
            if infer(node.target, args, node.kwargs) == node_specs(node):
                return insert_call(node, node.target, *args, **node.kwargs)
    return None


@_rewrites(*_SCALAR_FORMS)
def _scalar_form(program: Program, node: Node) -> Node | None:
    """Numbers as operands of the tensor form, as `trace` spells it."""
    return insert_call(node, _SCALAR_FORMS[node.target], *node.args, **node.kwargs)  # type: ignore[index]


@_rewrites(_ATEN.rsub.Scalar, _ATEN.rsub.Tensor)
def _reversed_subtraction(program: Program, node: Node) -> Node | None:
    """rsub(x, y) as y - x."""
    arguments = arguments_of(node)
    if arguments["alpha"] != 1:
        return None
    return insert_call(node, _ATEN.sub.Tensor, arguments["other"], arguments["self"])


@_rewrites(*{*_COMMUTATIVE, *_TAKES_NUMBERS})
def _binary(program: Program, node: Node) -> Node | None:
    """Constants second and, where all their elements are equal, as numbers."""
    left, right = node.args[:2]
    is_turned = _is_constant(left) and not _is_constant(right)
    if is_turned and node.target in _COMMUTATIVE and not node.kwargs:
        return insert_call(node, node.target, right, left)
    number = _uniform_value(program, right)
    if node.target in _TAKES_NUMBERS and number is not None:
        args = (left, number)
        if _gives_the_same(node, args):
            return insert_call(node, node.target, *args, **node.kwargs)
    return _division(node) if node.target is _ATEN.div.Tensor else None


def _division(node: Node) -> Node | None:
    """Division by a power of two as multiplication."""
    x, divisor = node.args[:2]
    if not isinstance(divisor, (int, float)) or not isinstance(x, Node) or not divisor:
        return None
    is_power = math.isfinite(divisor) and abs(math.frexp(divisor)[0]) == 0.5
    if not is_power or not node_spec(x).torch_dtype.is_floating_point or abs(divisor) > 2**24:
        return None
    return insert_call(node, _ATEN.mul.Tensor, x, 1 / divisor)


@_rewrites(
    _ATEN.hardtanh.default,
    _ATEN.relu6.default,
    _ATEN.clamp_min.default,
    _ATEN.clamp_max.default,
    _ATEN.clip.default,
)
def _clamp(program: Program, node: Node) -> Node | None:
    """One clamp(x, low, high)."""
    arguments = arguments_of(node)
    low = 0.0 if node.target is _ATEN.relu6.default else arguments.get("min_val")
    high = 6.0 if node.target is _ATEN.relu6.default else arguments.get("max_val")
    low, high = arguments.get("min", low), arguments.get("max", high)
    args = (arguments["self"], low, *([] if high is None else [high]))
    same = infer(_ATEN.clamp.default, args, {}) == node_specs(node)
    return insert_call(node, _ATEN.clamp.default, *args) if same else None


@_rewrites(_ATEN.clamp.default)
def _relu(program: Program, node: Node) -> Node | None:
    """clamp(x, 0) as relu(x)."""
    arguments = arguments_of(node)
    is_relu = arguments["min"] == 0 and arguments["max"] is None
    if not is_relu or node_spec(arguments["self"]) != node_spec(node):
        return None
    return insert_call(node, _ATEN.relu.default, arguments["self"])


@_rewrites(_ATEN.square.default)
def _square(program: Program, node: Node) -> Node | None:
    """A square as x * x."""
    return insert_call(node, _ATEN.mul.Tensor, node.args[0], node.args[0])


@_rewrites(_ATEN.pow.Tensor_Scalar)
def _power(program: Program, node: Node) -> Node | None:
    """Squares and cubes as products; powers 0.5, -0.5, -1 as PyTorch itself computes them."""
    x, exponent = node.args
    assert isinstance(x, Node)
    if node_spec(x) != node_spec(node):
        return None
    if exponent in (2, 3):
        square = insert_call(node, _ATEN.mul.Tensor, x, x)
        return square if exponent == 2 else insert_call(node, _ATEN.mul.Tensor, square, x)
    unary = {0.5: _ATEN.sqrt.default, -0.5: _ATEN.rsqrt.default, -1: _ATEN.reciprocal.default}
    if exponent in unary and node_spec(x).torch_dtype.is_floating_point:
        return insert_call(node, unary[exponent], x)  # type: ignore[index]
    return None


_REDUCTIONS = {
    _ATEN.mean.default: _ATEN.mean.dim,
    _ATEN.sum.default: _ATEN.sum.dim_IntList,
    _ATEN.max.default: _ATEN.amax.default,
    _ATEN.min.default: _ATEN.amin.default,
}


@_rewrites(*_REDUCTIONS)
def _full_reduction(program: Program, node: Node) -> Node | None:
    """A reduction of everything as one over all axes."""
    x = node.args[0]
    assert isinstance(x, Node)
    axes = list(range(len(shape_of(x))))
    return insert_call(node, _REDUCTIONS[node.target], x, axes, **node.kwargs)  # type: ignore[index]


@_rewrites(_ATEN.mean.dim, _ATEN.sum.dim_IntList, _ATEN.amax.default, _ATEN.amin.default)
def _reduction_axes(program: Program, node: Node) -> Node | None:
    """Axes listed, in ascending order."""
    x, axes = arguments_of(node)["self"], arguments_of(node)["dim"]
    wanted = sorted([axes] if isinstance(axes, int) else axes or range(len(shape_of(x))))
    if axes == wanted:
        return None
    return insert_call(node, node.target, x, wanted, *node.args[2:], **node.kwargs)


def _is_constant(value: Any) -> bool:
    return not isinstance(value, Node) or value.op == "get_attr"


def _uniform_value(program: Program, value: Any) -> float | None:
    """The number that all elements of a constant are; None for other values."""
    weight = weight_of(program, value)
    if weight is None or not weight.numel() or weight.dtype == torch.bool:
        return None
    first = weight.flatten()[0]
    return first.item() if bool((weight == first).all()) else None


def _gives_the_same(node: Node, args: tuple[Any, ...]) -> bool:
    return isinstance(args[0], Node) and infer(node.target, args, node.kwargs) == node_specs(node)
