"""Groups nodes into regions, each of which becomes one kernel."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch.fx import Node

from ..compiler.ir.op_kinds import Kind, is_cheap, kind_of
from ..compiler.ir.program import Program, node_spec
from ..compiler.pass_base import Pass
from .attention_moves import ATTENTION, with_moves

_ATEN = torch.ops.aten
# Reductions that read each element once, so that what feeds them is computed once as well.
_ONE_PASS = {
    _ATEN.sum,
    _ATEN.mean,
    _ATEN.amax,
    _ATEN.amin,
    _ATEN.any,
    _ATEN.prod,
    _ATEN.linalg_vector_norm,
}


@dataclass(frozen=True)
class FuseRegions(Pass):
    """Give nodes that one kernel should compute the same number in `meta["region"]`.

    A region is one of these, and all but its last value are read only inside, so that no path
    leaves a region and comes back (it is convex by construction):

    1. An anchor (product, convolution, pool, ...) and the elementwise operations that follow it
       in its shape; their other operands, as in a residual addition, come from outside. Around an
       attention, moves and views that keep rows whole instead: it reads and writes in place.
       A weight that is widened for the anchor alone is widened in its kernel.
    2. A reduction or normalization with the elementwise operations that follow it, in its own
       shape or broadcast back over the rows that were reduced, and those that feed it, if they
       are cheap enough to be computed in each of its passes over a row.
    3. A tree of elementwise operations, which may start with moves and gathers and end with a
       move, or a chain of moves alone. An operation on a smaller shape joins if it is cheap,
       because it is computed again for every element it is broadcast to.

    Args:
        max_ops: Most operators of a region.
        integers: Whether operators of int8 join others; on microcontrollers each is a layer.

    Needs: canonical operators.
    Keeps: values exact; the graph itself.
    Skips: views (the planner makes them aliases) and operators with several results.
    """

    name = "fuse-regions"
    contract = "exact"

    max_ops: int = 32
    integers: bool = True

    def run(self, program: Program) -> int:
        nodes = program.graph.nodes
        before = {node: node.meta.pop("region") for node in nodes if "region" in node.meta}
        groups = [
            group
            for group in _Fusion(program, self.max_ops, self.integers).groups()
            if len(group) > 1
        ]
        after = {node: number for number, group in enumerate(groups) for node in group}
        for node, number in after.items():
            node.meta["region"] = number
        return 0 if before == after else max(len(groups), 1)


class _Fusion:
    """Groups under construction: every node is in exactly one, at first alone."""

    def __init__(self, program: Program, max_ops: int, integers: bool) -> None:
        self.max_ops = max_ops
        self.calls = [node for node in program.graph.nodes if node.op == "call_function"]
        self.place = {node: position for position, node in enumerate(self.calls)}
        self.kind = {
            node: kind_of(node) if integers or not _is_int8(node) else Kind.OPAQUE
            for node in self.calls
        }
        self.group = {node: [node] for node in self.calls}

    def groups(self) -> list[list[Node]]:
        """All groups, each in graph order, by the place of their last node."""
        for node in self.calls:
            if node.target is ATTENTION:
                self._merge(self._in_order(with_moves(node, self._is_alone)))
        for kind in (Kind.ANCHOR, Kind.REDUCE):
            for node in self.calls:
                if self.kind[node] is kind and self._is_alone(node):
                    self._merge(self._with_epilogue(node))
        for node in self.calls:
            if self._is_widened_weight(node):
                self._merge(self._in_order([node, *self.group[next(iter(node.users))]]))
        for node in reversed(self.calls):
            if self.kind[node] in (Kind.ELEMENTWISE, Kind.MOVE) and self._is_alone(node):
                self._merge(self._with_producers(node))
        for node in self.calls:
            if self.kind[node] is Kind.REDUCE:
                self._absorb_prologue(node)
        return [group for node in self.calls if (group := self.group[node])[-1] is node]

    def _with_epilogue(self, seed: Node) -> list[Node]:
        """The seed and the longest run of elementwise readers that ends in one result.

        Readers are tried in graph order. While several values are read outside, the run is only a
        candidate: `x * sigmoid(x)` needs both of its operations to end in one result again.
        """
        shapes = {node_spec(seed).shape, *_rows_shape(seed)}
        inside, best = {seed}, [seed]
        while len(inside) < self.max_ops:
            readers = [user for node in inside for user in node.users if user not in inside]
            reader = min(readers, key=self._place_or_end, default=None)
            if reader is None or not self._is_free_elementwise(reader, shapes):
                break
            inside.add(reader)
            if len(_read_outside(inside)) == 1:
                best = self._in_order(inside)
        return best

    def _is_widened_weight(self, node: Node) -> bool:
        """Whether a node casts a weight for one product, which widens it where it is loaded."""
        if node.target is not _ATEN._to_copy.default or len(node.users) > 1:
            return False
        is_weight = all(source.op == "get_attr" for source in node.all_input_nodes)
        return is_weight and self.kind.get(next(iter(node.users))) is Kind.ANCHOR

    def _is_free_elementwise(self, node: Node, shapes: set[tuple[int, ...]]) -> bool:
        return (
            self.kind.get(node) is Kind.ELEMENTWISE
            and self._is_alone(node)
            and node_spec(node).shape in shapes
        )

    def _with_producers(self, result: Node) -> list[Node]:
        """The result and, from late to early, the producers that only this group reads."""
        inside = {result}
        waiting = set(self._grown_from(result, result))
        while waiting and len(inside) < self.max_ops:
            producer = max(waiting, key=self.place.__getitem__)
            waiting.remove(producer)
            if self._may_start(producer, inside, result):
                inside.add(producer)
                waiting |= set(self._grown_from(producer, result)) - inside
        return self._in_order(inside)

    def _grown_from(self, node: Node, result: Node) -> list[Node]:
        """The operands through which a group grows; past a move inside it only more moves."""
        sources = [source for source in node.all_input_nodes if source.op == "call_function"]
        if node is result or self.kind[node] is Kind.ELEMENTWISE:
            return sources
        return [source for source in sources if self.kind[source] is Kind.MOVE]

    def _may_start(self, node: Node, inside: set[Node], result: Node) -> bool:
        """Whether a producer joins the tree that ends in `result`."""
        if not self._is_alone(node) or not inside.issuperset(node.users):
            return False
        if self.kind[node] in (Kind.MOVE, Kind.GATHER):
            return True
        is_elementwise = self.kind[node] is Kind.ELEMENTWISE
        return is_elementwise and (is_cheap(node) or _size(node) >= _size(result))

    def _absorb_prologue(self, reduction: Node) -> None:
        """Merge whole elementwise groups that only this reduction's group reads."""
        shape = node_spec(reduction.all_input_nodes[0]).shape
        is_one_pass = reduction.target.overloadpacket in _ONE_PASS  # type: ignore[union-attr]
        while True:
            group = self.group[reduction]
            sources = dict.fromkeys(s for node in group for s in node.all_input_nodes)
            feeding = [
                self.group[source]
                for source in sources
                if source in self.group
                and self.group[source] is not group
                and node_spec(source).shape == shape
                and set(group).issuperset(source.users)
                and self._is_prologue(self.group[source], is_one_pass)
                and len(group) + len(self.group[source]) <= self.max_ops
            ]
            if not feeding:
                return
            self._merge(self._in_order([*group, *feeding[0]]))

    def _is_prologue(self, group: list[Node], is_one_pass: bool) -> bool:
        return all(
            self.kind[node] is Kind.ELEMENTWISE and (is_one_pass or is_cheap(node))
            for node in group
        )

    def _merge(self, members: list[Node]) -> None:
        for node in members:
            self.group[node] = members

    def _is_alone(self, node: Node) -> bool:
        return len(self.group[node]) == 1

    def _in_order(self, nodes: Iterable[Node]) -> list[Node]:
        return sorted(nodes, key=self.place.__getitem__)

    def _place_or_end(self, node: Node) -> int:
        return self.place.get(node, len(self.calls))  # the output node comes last


def _is_int8(node: Node) -> bool:
    return getattr(node.meta["val"], "dtype", None) is torch.int8


def _read_outside(inside: set[Node]) -> list[Node]:
    return [node for node in inside if not inside.issuperset(node.users)]


def _size(node: Node) -> int:
    return node_spec(node).size


def _rows_shape(seed: Node) -> list[tuple[int, ...]]:
    """The shape before a reduction of trailing axes that were kept with size 1."""
    if kind_of(seed) is not Kind.REDUCE:
        return []
    before, after = node_spec(seed.all_input_nodes[0]).shape, node_spec(seed).shape
    if len(before) != len(after) or before == after:
        return []
    first = next(axis for axis, size in enumerate(after) if size != before[axis])
    return [before] if all(size == 1 for size in after[first:]) else []
