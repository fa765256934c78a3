"""Dependency analysis: which positions of which dimensions must be dropped together.

Every dimension of every value carries one atom for each of its positions. Going through the graph,
the rule of each operator unites atoms that must be dropped together (union-find) and locks those
that must stay; an operator without a rule locks all it reads. Atoms of weights that end up in one
class are one unit; units that appear in the same places are a group.

The idea of grouping by a dependency graph is that of DepGraph (Fang et al., Towards Any Structural
Pruning, CVPR 2023); here single positions are tracked, so that concatenation, splits and reshapes
need no offsets, and every size that is baked into the graph becomes a count of positions.
"""

import operator
from collections.abc import Sequence
from dataclasses import dataclass

from torch._ops import OpOverload
from torch.fx import Node

from ..ir.op_kinds import Kind, kind_of
from ..ir.program import Program, node_spec
from . import rules as _  # noqa: F401  # importing the folder registers its rules
from .arguments import ordered_arguments
from .constraints import settle
from .flow import Attention, Flow, Value
from .grouping import groups_of, locked_of
from .groups import Group, Locked
from .labels import Labels
from .registry import RULES
from .rules.elementwise import elementwise


@dataclass(frozen=True, eq=False)
class Coupling:
    """The groups of a program, in the order of the graph, and what is locked.

    It describes the program as it was analyzed: after `shrink`, analyze again.
    """

    groups: tuple[Group, ...]
    locked: tuple[Locked, ...]
    flow: Flow


def analyze(
    program: Program, *, through_norms: bool = False, attention: Attention = "heads"
) -> Coupling:
    """Find what can be dropped from a program, and what must go with it.

    Args:
        program: Read only.
        through_norms: Let what a norm or mean is taken over be pruned too; such groups are not
            `exact`: the statistics are then those of what is left.
        attention: Whether whole heads are units, or the same dimensions of every head.
    """
    flow = Flow(program, through_norms=through_norms, attention=attention)
    for node in program.graph.nodes:
        flow.node = node
        if node.op == "output":
            _lock_outputs(flow, program.output_nodes)
        else:
            flow.values[node] = _value(flow, node)
    settle(flow.atoms, flow.constraints)
    groups = groups_of(flow)
    return Coupling(groups, locked_of(flow, groups), flow)


def _value(flow: Flow, node: Node) -> Value:
    if node.op == "placeholder":
        return flow.fixed(node_spec(node).shape, f"it goes with input {node.name}")
    if node.op == "get_attr":
        return flow.weight(node)
    if node.target is operator.getitem:
        source, index = node.args
        assert isinstance(source, Node) and isinstance(index, int), node
        values = flow.values[source]
        return values[index] if isinstance(values, tuple) else values
    if isinstance(node.target, OpOverload) and node.target in RULES:
        return RULES[node.target](flow, node, *ordered_arguments(node))
    if kind_of(node) is Kind.ELEMENTWISE:
        return elementwise(flow, node)
    return flow.unknown(f"{node.target} reads it")


def _lock_outputs(flow: Flow, nodes: Sequence[Node]) -> None:
    for node in nodes:
        labels = flow.of(node)
        assert isinstance(labels, Labels), node
        flow.lock_all(labels, "it is an output of the program")
