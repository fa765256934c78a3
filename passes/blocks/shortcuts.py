"""The sums that close residual blocks, and the norm or activation that may follow them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch.fx import Node

from ...compiler.ir.op_kinds import Kind, kind_of
from ...compiler.ir.program import Program, node_specs
from ...compiler.ir.rewrite import arguments_of

_ATEN = torch.ops.aten
_NORMS = (_ATEN.layer_norm, _ATEN.rms_norm, _ATEN.group_norm, _ATEN.batch_norm)
_POSITIVE = (_ATEN.relu, _ATEN.hardtanh)
_POOLS = (_ATEN.max_pool1d, _ATEN.max_pool2d, _ATEN.max_pool3d)
_STEPS = (Kind.ELEMENTWISE, Kind.VIEW, Kind.MOVE)
Reach = Mapping[Node, int]


@dataclass(frozen=True)
class Shortcut:
    """A sum `skip + branch` whose branch is computed from what the skip carries."""

    sum: Node
    skip: Node
    branch: Node


def find_shortcuts(program: Program, reach: Reach) -> list[Shortcut]:
    """Every residual sum, in graph order.

    A sum is residual where one operand depends on the other, or on a value that the other is the
    sum of (parallel branches: `(x + attention(x)) + mlp(x)`).
    """
    carried: dict[Node, tuple[Node, ...]] = {}
    found = []
    for node in program.graph.find_nodes(op="call_function", target=_ATEN.add.Tensor):
        left, right = node.args[0], node.args[1]
        if not _is_sum_of_values(node):
            continue
        for skip, branch in ((left, right), (right, left)):
            sources = (skip, *carried.get(skip, ()))
            if any(depends(branch, source, reach) for source in sources):
                carried[node] = sources
                found.append(Shortcut(node, skip, branch))
                break
    return found


def reach_of(program: Program) -> Reach:
    """For every node the set of nodes that it is computed from, itself included, as bits."""
    reach: dict[Node, int] = {}
    for index, node in enumerate(program.graph.nodes):
        reach[node] = 1 << index
        for source in node.all_input_nodes:
            reach[node] |= reach[source]
    return reach


def depends(node: Node, source: Node, reach: Reach) -> bool:
    """Whether `node` is computed from `source`."""
    return node is not source and reach[source] & reach[node] == reach[source]


def tail_of(shortcut: Shortcut, skips: Collection[Node]) -> tuple[list[Node], Node | None]:
    """The tail that belongs to the block, and what the same tail reads at the block's entry.

    A norm or activation after the sum belongs to it where the shortcut begins behind such a one
    too, provided that another shortcut begins at its end, or that the one at the entry follows a
    sum: a norm that starts another stage is none. An activation that never changes what is positive
    already also belongs to it: its reader sees the entry's values either way; then there is no sum
    at the entry.

    Args:
        shortcut: Any.
        skips: Where shortcuts begin.
    """
    chain = chain_after(shortcut.sum)
    for length in range(len(chain), 0, -1):
        tail = chain[:length]
        source = _before(shortcut.skip, tail)
        if source is None or node_specs(tail[-1]) != node_specs(shortcut.skip):
            continue
        carries_on = tail[-1] in skips or _is_sum_of_values(source)
        if carries_on and node_specs(source) == node_specs(shortcut.sum):
            return tail, source
    if chain and _is_positive(shortcut.skip) and _packet(chain[0]) is _ATEN.relu:
        return chain[:1], None
    return [], None


def chain_after(node: Node) -> list[Node]:
    """What follows `node` alone: norms, moves, and elementwise operations with weights."""
    chain: list[Node] = []
    while len(node.users) == 1:
        reader = next(iter(node.users))
        is_step = kind_of(reader) in _STEPS or _packet(reader) in _NORMS
        if not is_step or _computed(reader) != [node]:
            break
        chain.append(reader)
        node = reader
    return chain


def _is_sum_of_values(node: Node) -> bool:
    """Whether two tensors of the result's shape are added, none of them a weight."""
    if node.target is not _ATEN.add.Tensor:
        return False
    left, right = node.args[0], node.args[1]
    if not isinstance(left, Node) or not isinstance(right, Node) or left is right:
        return False
    is_plain = arguments_of(node)["alpha"] == 1 and node.meta["val"].is_floating_point()
    same = node_specs(left) == node_specs(right) == node_specs(node)
    return is_plain and same and "get_attr" not in (left.op, right.op)


def _before(node: Node, chain: list[Node]) -> Node | None:
    """What the same operations as in `chain`, ending at `node`, are applied to."""
    for step in reversed(chain):
        sources = _computed(node)
        if node.target is not step.target or len(sources) != 1:
            return None
        if kind_of(node) in (Kind.VIEW, Kind.MOVE) and node.args[1:] != step.args[1:]:
            return None
        node = sources[0]
    return node


def _computed(node: Node) -> list[Node]:
    return [source for source in node.all_input_nodes if source.op != "get_attr"]


def _is_positive(node: Node) -> bool:
    while _packet(node) in _POOLS:
        node = node.all_input_nodes[0]
    if _packet(node) is _ATEN.hardtanh:
        return float(arguments_of(node)["min_val"]) >= 0
    return _packet(node) in _POSITIVE


def _packet(node: Node) -> object:
    return getattr(node.target, "overloadpacket", None)
