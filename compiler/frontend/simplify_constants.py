"""Less work and memory for constants, most of them left behind by the building of masks.

1. A gather whose constant positions pick everything in order is a reshape.
2. A conjunction with a mask that is True everywhere is its other operand.
3. A constant that repeats itself along a dimension is stored once, where its reader broadcasts.
"""

from typing import Any

import torch
from torch._ops import OpOverload
from torch.fx import Node

from ..errors import CompileError
from ..ir.inference import infer
from ..ir.program import Program, node_spec, node_specs, origin_of
from .forms.emitter import Emitter

_ATEN = torch.ops.aten
_MOST_ELEMENTS = 1 << 24  # of a gather that is tried out
_AND = frozenset({_ATEN.bitwise_and.Tensor, _ATEN.logical_and.default})


def simplify_constants(program: Program) -> int:
    """Rewrite as above; the number of rewrites."""
    count = 0
    narrow: dict[Node, Node] = {}
    for node in list(program.graph.nodes):
        if node.target is _ATEN.index.Tensor:
            count += _simplify_gather(program, node)
        elif node.target in _AND:
            count += _simplify_conjunction(program, node)
        count += _narrow_constants(program, node, narrow)
    program.tidy()
    return count


def _simplify_gather(program: Program, node: Node) -> bool:
    source, indices = node.args
    assert isinstance(source, Node)
    assert isinstance(indices, (list, tuple))
    tensors = [None if index is None else _constant(program, index) for index in indices]
    given = [index for index in indices if index is not None]
    size = node_spec(source).size
    if size != node_spec(node).size or size > _MOST_ELEMENTS:
        return False
    if any(_constant(program, index) is None for index in given):
        return False
    places = torch.arange(size).reshape(node_spec(source).shape)
    picked: torch.Tensor = _ATEN.index.Tensor(places, tensors)
    if not torch.equal(picked.flatten(), places.flatten()):
        return False
    _replace(node, source, _ATEN.reshape.default)
    return True


def _simplify_conjunction(program: Program, node: Node) -> bool:
    for mask, other in (node.args, tuple(reversed(node.args))):
        value = _constant(program, mask)
        is_true = value is not None and value.dtype == torch.bool and bool(value.all())
        if is_true and isinstance(other, Node) and node_spec(other).dtype == "bool":
            _replace(node, other, _ATEN.expand.default)
            return True
    return False


def _replace(node: Node, source: Node, target: OpOverload) -> None:
    """Let the readers of `node` read `target(source, shape)`, or `source` if it has the shape."""
    value, shape = source, node_spec(node).shape
    if node_spec(source).shape != shape:
        emit = Emitter(node.graph)
        emit.origin = origin_of(node)
        with node.graph.inserting_before(node):
            value = emit(target, source, list(shape))
    node.replace_all_uses_with(value)


def _narrow_constants(program: Program, node: Node, narrow: dict[Node, Node]) -> int:
    """Read narrowed constants; `narrow` maps each constant that was tried to its narrow form."""
    count = 0
    for operand in _broadcast_operands(node):
        if operand not in narrow:
            narrow[operand] = _narrow_form(program, operand)
        if narrow[operand] is operand:
            continue
        before = node.args, node.kwargs
        node.replace_input_with(operand, narrow[operand])
        if _still_gives_the_same(node):
            count += 1
        else:
            node.args, node.kwargs = before
    return count


def _broadcast_operands(node: Node) -> list[Node]:
    operands: list[Node] = []
    if node.target is _ATEN.scaled_dot_product_attention.default:
        operands = [node.args[3]] if len(node.args) > 3 and isinstance(node.args[3], Node) else []
    elif isinstance(node.target, OpOverload) and torch.Tag.pointwise in node.target.tags:
        operands = node.all_input_nodes
    return [operand for operand in operands if operand.op == "get_attr"]


def _narrow_form(program: Program, operand: Node) -> Node:
    """A constant of size 1 in each dimension along which `operand` is the same everywhere."""
    value = program.weight(operand)
    if isinstance(value, torch.nn.Parameter):
        return operand
    narrow = value
    for dim, size in enumerate(value.shape):
        first = narrow.narrow(dim, 0, min(size, 1))
        if size > 1 and torch.equal(narrow, first.expand_as(narrow)):
            narrow = first
    if narrow is value:
        return operand
    return program.add_weight(narrow.clone(memory_format=torch.contiguous_format), like=operand)


def _still_gives_the_same(node: Node) -> bool:
    try:
        return infer(node.target, node.args, node.kwargs) == node_specs(node)
    except (RuntimeError, CompileError):  # the operator wants this operand whole
        return False


def _constant(program: Program, value: Any) -> torch.Tensor | None:
    is_weight = isinstance(value, Node) and value.op == "get_attr"
    return program.weight(value).detach() if is_weight else None
