"""Which values of one program are which of another that passes made of it."""

from dataclasses import dataclass

import torch
from torch.fx import Node

from ..ir.op_kinds import Kind, kind_of
from ..ir.program import Program, origin_of
from ..ir.rewrite import shape_of
from .difference import is_float

_DECOMPOSED = torch.ops.quantized_decomposed
_QUANTIZE = _DECOMPOSED.quantize_per_tensor.default
_DEQUANTIZE = _DECOMPOSED.dequantize_per_tensor.default
_BATCH_NORM = torch.ops.aten.batch_norm.default


@dataclass(frozen=True)
class Match:
    """A value in two programs."""

    first: Node
    second: Node

    @property
    def module_path(self) -> str:
        """The module that computes it."""
        return origin_of(self.first).module_path


def match(first: Program, second: Program) -> list[Match]:
    """Real values of `first` that `second` has too, in graph order.

    A value is the same if its name, module and shape are; a new one is the same as the old one if
    both are the last of their module. What follows a value and is gone in `second` (a batch norm,
    an activation) has become part of it: then it is what both have. Values that are rounded in
    `second` are taken after rounding.
    """
    pairs = _pairs(first, second)
    for node in _values(first):
        _absorb(node, pairs)
    used: set[Node] = set()
    found = []
    for node in _values(first):
        if node in pairs and pairs[node] not in used:
            used.add(pairs[node])
            found.append(Match(node, _rounded(pairs[node])))
    return found


def _pairs(first: Program, second: Program) -> dict[Node, Node]:
    """By name, or as the last value of a module."""
    theirs = {node.name: node for node in _values(second)}
    names = {node.name for node in first.graph.nodes}
    last = {origin_of(node).module_path: node for node in _values(second)}
    ends = {origin_of(node).module_path: node for node in _values(first)}
    pairs = {}
    for node in _values(first):
        path = origin_of(node).module_path
        other = theirs.get(node.name)
        if other is None and ends[path] is node and path in last and last[path].name not in names:
            other = last[path]
        if other is not None and _are_alike(node, other) and origin_of(other).module_path == path:
            pairs[node] = other
    return pairs


def _absorb(node: Node, pairs: dict[Node, Node]) -> None:
    """Give the partner of an operand to a node that has become part of the operand."""
    if node in pairs or not (kind_of(node) is Kind.ELEMENTWISE or node.target is _BATCH_NORM):
        return
    sources = [source for source in node.all_input_nodes if source in pairs]
    if len(sources) == 1 and len(sources[0].users) == 1 and _are_alike(sources[0], node):
        pairs[node] = pairs.pop(sources[0])


def _are_alike(first: Node, second: Node) -> bool:
    return shape_of(first) == shape_of(second)


def _rounded(node: Node) -> Node:
    """What readers of a node read: its rounded value where all of them read that."""
    if len(node.users) != 1:
        return node
    (reader,) = node.users
    if reader.target is not _QUANTIZE or len(reader.users) != 1:
        return node
    (real,) = reader.users
    return real if real.target is _DEQUANTIZE else node


def _values(program: Program) -> list[Node]:
    """Calls that give real numbers and depend on an input."""
    depends: set[Node] = set(program.input_nodes)
    found = []
    for node in program.graph.nodes:
        if node.op == "call_function" and not depends.isdisjoint(node.all_input_nodes):
            depends.add(node)
            if is_float(node.meta["val"]):
                found.append(node)
    return found
