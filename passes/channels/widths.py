"""What a program costs when some units are dropped, from its shapes alone."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from torch.fx import Node

from ...compiler.coupling import Coupling, Group
from ...compiler.ir.program import Program, node_specs
from ...compiler.ir.tensor_spec import TensorSpec
from ...compiler.macs import macs
from ...targets.target import Target
from .instructions import instructions
from .units import Ints, Keep

Widths: TypeAlias = Mapping[Group, Keep]  # groups that are not in it stay as they are


@dataclass(frozen=True)
class _Part:
    """Positions of one dimension that belong to units of a group."""

    dim: int
    group: Group
    units: Ints

    def dropped(self, keep: Keep) -> int:
        """How many positions go."""
        mine = self.units[self.units >= 0]
        return int(np.count_nonzero(~keep[mine]))


class CostModel:
    """Counts multiply-adds, bytes of weights and estimated instructions of a pruned program.

    Args:
        program: As it was analyzed.
        coupling: Its analysis.
        target: What `instructions` are estimated for.
    """

    def __init__(self, program: Program, coupling: Coupling, target: Target | None) -> None:
        self._target = target
        self._weights: dict[str, list[_Part]] = {}
        self._nodes: dict[Node, list[_Part]] = {}
        for group in coupling.groups:
            for member in group.members:
                part = _Part(member.dim, group, member.units)
                self._weights.setdefault(member.weight, []).append(part)
            for node, (dim, units) in group.nodes.items():
                self._nodes.setdefault(node, []).append(_Part(dim, group, units))
        self._sizes = {
            name: (TensorSpec.of(tensor).shape, tensor.element_size())
            for name, tensor in program.weights.items()
        }
        self._calls = [node for node in program.graph.nodes if node.op == "call_function"]
        self._working = [node for node in self._calls if macs(node)]

    def cost(self, measure: str, widths: Widths) -> float:
        """Multiply-adds ("macs"), "bytes" of weights or "instructions" of one inference."""
        return {"macs": self._macs, "bytes": self._bytes, "instructions": self._instructions}[
            measure
        ](widths)

    def _macs(self, widths: Widths) -> float:
        return sum(macs(node, lambda each: self._specs(each, widths)) for node in self._working)

    def _bytes(self, widths: Widths) -> float:
        total = 0
        for name, (shape, element) in self._sizes.items():
            left = _left(shape, self._weights.get(name, []), widths)
            total += element * int(np.prod(left, dtype=np.int64))
        return total

    def _instructions(self, widths: Widths) -> float:
        assert self._target is not None
        target = self._target
        return sum(
            instructions(node, target, lambda each: self._specs(each, widths))
            for node in self._calls
        )

    def _specs(self, node: Node, widths: Widths) -> TensorSpec | tuple[TensorSpec | None, ...]:
        specs = node_specs(node)
        is_weight = node.op == "get_attr"
        parts = self._weights.get(str(node.target)) if is_weight else self._nodes.get(node)
        if not parts or not isinstance(specs, TensorSpec):
            return specs
        return replace(specs, shape=_left(specs.shape, parts, widths))


def _left(shape: tuple[int, ...], parts: list[_Part], widths: Widths) -> tuple[int, ...]:
    sizes = list(shape)
    for part in parts:
        if part.group in widths:
            sizes[part.dim] -= part.dropped(widths[part.group])
    return tuple(sizes)
