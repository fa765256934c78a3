"""Sums, products and functions of elements of quantized tensors as integer operators."""

from typing import Any

import torch
from torch.fx import Node
from torch.fx.node import map_arg

from ...compiler.ir.op_kinds import Kind, kind_of
from ...compiler.ir.program import Program, node_spec
from ...compiler.ir.rewrite import arguments_of, insert_call, shape_of
from ...compiler.quantization import ops as ops
from ...compiler.quantization.scales import Affine, PairSum, Rescaling
from .values import (
    NOT_QUANTIZED,
    QUANTIZE,
    Quantized,
    Target,
    add_constant,
    constant,
    quantized,
)

_ATEN = torch.ops.aten
_PENJING = torch.ops.penjing


def rescaled(target: Target, x: Quantized) -> Node:
    """The integers of x in the steps of the target."""
    plan = PairSum.of(x.range, None, target.range, (target.factor, 1.0))
    return insert_call(
        target.quantize,
        _PENJING.rescale_int8.default,
        x.node,
        plan.left,
        plan.offset,
        plan.shift,
        target.low,
        target.high,
    )


def pair_sum(program: Program, target: Target) -> Node | str:
    """x + alpha y, x - alpha y -> add_int8."""
    arguments = arguments_of(target.root)
    x, y = quantized(arguments["self"]), quantized(arguments["other"])
    sign = -1.0 if target.root.target is _ATEN.sub.Tensor else 1.0
    alpha = sign * arguments["alpha"]
    added = constant(program, arguments["other"]) if y is None else None
    if x is not None and added is not None:
        return affine(program, target, x, torch.ones(1), added * alpha)
    added = constant(program, arguments["self"]) if x is None else None
    if y is not None and added is not None:
        return affine(program, target, y, torch.tensor([alpha]), added)
    if x is None or y is None:
        return NOT_QUANTIZED
    factors = target.factor, target.factor * alpha
    plan = PairSum.of(x.range, y.range, target.range, factors)
    return insert_call(
        target.quantize,
        _PENJING.add_int8.default,
        x.node,
        y.node,
        plan.left,
        plan.right,
        plan.offset,
        plan.shift,
        target.low,
        target.high,
    )


def product(program: Program, target: Target) -> Node | str:
    """x * y -> mul_int8."""
    arguments = arguments_of(target.root)
    x, y = quantized(arguments["self"]), quantized(arguments["other"])
    factors = constant(program, arguments["other"]) if y is None else None
    if x is not None and factors is not None:
        return affine(program, target, x, factors, torch.zeros(1))
    factors = constant(program, arguments["self"]) if x is None else None
    if y is not None and factors is not None:
        return affine(program, target, y, factors, torch.zeros(1))
    if x is None or y is None:
        return NOT_QUANTIZED
    scale = target.factor * x.range.scale * y.range.scale / target.range.scale
    return insert_call(
        target.quantize,
        _PENJING.mul_int8.default,
        x.node,
        y.node,
        x.range.zero_point,
        y.range.zero_point,
        *Rescaling.of_one(scale),
        *target.bounds,
    )


def quotient(program: Program, target: Target) -> Node | str:
    """x / constant -> affine_int8."""
    arguments = arguments_of(target.root)
    x, divisor = quantized(arguments["self"]), constant(program, arguments["other"])
    if x is None or divisor is None:
        return "a quotient of two values" if x is not None else NOT_QUANTIZED
    return affine(program, target, x, 1 / divisor.double(), torch.zeros(1))


def affine(
    program: Program, target: Target, x: Quantized, factors: torch.Tensor, added: torch.Tensor
) -> Node | str:
    """factors * x + added -> affine_int8."""
    if shape_of(x.node) != shape_of(target.root):
        return "a constant that is larger than the value"
    scaled = factors * target.factor, added * target.factor
    plan = Affine.of(x.range, *scaled, target.range)
    return insert_call(
        target.quantize,
        _PENJING.affine_int8.default,
        x.node,
        add_constant(program, target.root, "multiplier", plan.multiplier),
        add_constant(program, target.root, "offset", plan.offset),
        plan.shift,
        target.low,
        target.high,
    )


def table(program: Program, target: Target) -> Node | str:
    """Any function of the elements of one quantized tensor -> table_int8.

    The function is evaluated at compile time, by PyTorch, for each of the 256 integers.
    """
    result = target.quantize.args[0]
    assert isinstance(result, Node)
    inside, leaves = _tree(target.quantize, result)
    constants = {leaf: value for leaf in leaves if (value := _number(program, leaf)) is not None}
    operands = [leaf for leaf in leaves if leaf not in constants]
    x = quantized(operands[0]) if len(operands) == 1 else None
    if not inside or x is None:
        return f"{target.root.target} has no integer operator for these operands"
    if shape_of(x.node) != shape_of(result):
        return "a function of an element that is repeated"
    values: dict[Node, Any] = {operands[0]: x.range.reals(), **constants}
    for node in inside:
        args, kwargs = map_arg((node.args, node.kwargs), values.__getitem__)
        values[node] = node.target(*args, **kwargs)  # type: ignore[operator]
    entries = QUANTIZE(values[result], *target.quantize.args[1:])
    node = add_constant(program, target.root, "table", entries)
    return insert_call(target.quantize, _PENJING.table_int8.default, x.node, node)


def _tree(quantize: Node, result: Node) -> tuple[list[Node], list[Node]]:
    """The elementwise nodes that only `quantize` reads, in graph order, and what they read."""
    inside: set[Node] = set()
    leaves: list[Node] = []
    waiting = {result}
    while waiting:
        node = max(waiting)  # the last one: all that read it have been seen
        waiting.remove(node)
        if _is_float_function(node) and (inside | {quantize}).issuperset(node.users):
            inside.add(node)
            waiting |= set(node.all_input_nodes)
        else:
            leaves.append(node)
    return sorted(inside), leaves


def _is_float_function(node: Node) -> bool:
    """Whether a node computes real elements from elements, but is no border to integers."""
    if node.op != "call_function" or quantized(node) is not None:
        return False
    return kind_of(node) is Kind.ELEMENTWISE and node_spec(node).torch_dtype == torch.float32


def _number(program: Program, leaf: Node) -> torch.Tensor | None:
    """A constant of one element."""
    value = constant(program, leaf)
    return value.reshape(()) if value is not None and value.numel() == 1 else None


POINTWISE = {
    _ATEN.add.Tensor: pair_sum,
    _ATEN.sub.Tensor: pair_sum,
    _ATEN.mul.Tensor: product,
    _ATEN.div.Tensor: quotient,
}
