"""What one unit of a group costs: bytes of weights and multiply-accumulates."""

from dataclasses import dataclass

from torch.fx import Node

from ..ir.inference import Specs
from ..ir.program import node_specs
from ..ir.tensor_spec import TensorSpec
from ..macs import macs
from .analyze import Coupling
from .groups import Group
from .labels import Labels
from .survivors import Survivors


@dataclass(frozen=True)
class UnitCost:
    """What a program saves when the first unit of a group is dropped; the others are like it."""

    bytes: int
    macs: int


def unit_cost(coupling: Coupling, group: Group) -> UnitCost:
    """The cost of one unit, from the shapes with and without it."""
    flow = coupling.flow
    survivors = Survivors(flow.atoms, group.classes[:1])

    def specs_without(node: Node) -> Specs:
        specs, labels = node_specs(node), flow.values[node]
        if isinstance(specs, tuple) or not isinstance(labels, Labels):
            return specs
        return TensorSpec(tuple(survivors.shape(labels)), specs.dtype)

    calls = {node for node in group.nodes for node in (node, *node.users)}
    calls |= {member.call for member in group.members}
    saved_macs = sum(macs(call) - macs(call, specs_without) for call in calls)
    saved_bytes = 0
    for name in {member.weight for member in group.members}:
        node = flow.program.graph.find_nodes(op="get_attr", target=name)[0]
        before, after = node_specs(node), specs_without(node)
        assert isinstance(before, TensorSpec) and isinstance(after, TensorSpec), name
        saved_bytes += before.nbytes - after.nbytes
    return UnitCost(saved_bytes, saved_macs)
