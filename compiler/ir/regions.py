"""Fused regions: the nodes that one kernel computes, and the order in which the kernels run.

Nodes with the same number in `meta["region"]` form a region; every other call is a region of its
own. What takes one result out of several (`getitem`) always belongs to the operator that gave it.
"""

import heapq
import operator
from collections.abc import Iterator
from dataclasses import dataclass

from torch.fx import Node

from ..errors import CompileError
from .op_kinds import Kind, kind_of
from .program import Program, origin_of

_Members = list[Node]


@dataclass(frozen=True)
class Region:
    """One kernel's worth of nodes, in execution order."""

    nodes: tuple[Node, ...]
    inputs: tuple[Node, ...]  # values from outside, weights too, in the order they are first read
    outputs: tuple[Node, ...]  # nodes read outside, or returned by the program
    anchor: Node | None  # the product, convolution, pool or reduction in it

    @property
    def result(self) -> Node:
        """The last node."""
        return self.nodes[-1]


def regions(program: Program) -> list[Region]:
    """All regions of the program, each after the regions whose results it reads.

    Raises:
        CompileError: Two regions need each other's results, so neither can be one kernel (a
            region that is not convex needs its own).
    """
    groups, home = _groups(program)
    order = _schedule(groups, home)
    returned = set(program.output_nodes)
    return [_region(groups[index], returned) for index in order]


def has_several_results(node: Node) -> bool:
    """Whether the value of `node` is a tuple, which only `getitem` can read."""
    return isinstance(node.meta["val"], (tuple, list))


def _groups(program: Program) -> tuple[list[_Members], dict[Node, int]]:
    """The nodes of each region, and the region of each node."""
    groups: list[_Members] = []
    home: dict[Node, int] = {}
    by_key: dict[int, int] = {}
    for node in program.graph.nodes:
        if node.op != "call_function":
            continue
        if node.target is operator.getitem:
            index = home[node.args[0]]
        elif "region" in node.meta:
            index = by_key.setdefault(node.meta["region"], len(groups))
        else:
            index = len(groups)
        if index == len(groups):
            groups.append([])
        groups[index].append(node)
        home[node] = index
    return groups, home


def _schedule(groups: list[_Members], home: dict[Node, int]) -> list[int]:
    """Regions in dependency order; among those that are ready, by the place of the last node."""
    place = {node: position for position, node in enumerate(home)}
    readers: list[set[int]] = [set() for _ in groups]
    waits = [0] * len(groups)
    for node, index in home.items():
        for user in node.users:
            target = home.get(user, index)
            if target != index and target not in readers[index]:
                readers[index].add(target)
                waits[target] += 1
    ready = [(place[groups[i][-1]], i) for i, count in enumerate(waits) if not count]
    heapq.heapify(ready)
    order: list[int] = []
    while ready:
        _, index = heapq.heappop(ready)
        order.append(index)
        for target in readers[index]:
            waits[target] -= 1
            if not waits[target]:
                heapq.heappush(ready, (place[groups[target][-1]], target))
    if len(order) != len(groups):
        raise _cycle(groups[next(i for i, count in enumerate(waits) if count)])
    return order


def _region(members: _Members, returned: set[Node]) -> Region:
    inside = set(members)
    inputs = dict.fromkeys(
        source for node in members for source in node.all_input_nodes if source not in inside
    )
    outputs = [
        node
        for node in members
        if not has_several_results(node)
        and (node in returned or any(user not in inside for user in node.users))
    ]
    return Region(tuple(members), tuple(inputs), tuple(outputs), next(_anchors(members), None))


def _anchors(members: _Members) -> Iterator[Node]:
    return (node for node in members if kind_of(node) in (Kind.ANCHOR, Kind.REDUCE))


def _cycle(members: _Members) -> CompileError:
    return CompileError(
        "fused regions need each other's results",
        at=str(origin_of(members[-1])),
        got=", ".join(node.name for node in members),
        fix="a region must hold every node on a path between two of its nodes",
    )
