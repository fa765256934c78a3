"""The original beside a program that is pruned in place."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.fx import Node

from ...compiler.coupling import Group
from ...compiler.ir.program import Program
from .units import Ints, Keep


@dataclass(frozen=True)
class Teacher:
    """A copy of a program as it was, and what of its values the pruned one still has.

    Args:
        program: The copy.
        nodes: For each node of the pruned program that was there before: that of the copy.
        left: For a node of the pruned program and a dimension: the positions that are left.
    """

    program: Program
    nodes: Mapping[Node, Node]
    left: dict[tuple[Node, int], Ints] = field(default_factory=dict)

    @classmethod
    def of(cls, program: Program) -> "Teacher":
        """A copy of a program that is going to be pruned in place."""
        copy = program.copy()
        return cls(copy, dict(zip(program.graph.nodes, copy.graph.nodes, strict=True)))

    def note(self, keep: Mapping[Group, Keep]) -> None:
        """Remember what the next shrinking of the program will drop."""
        alive: dict[tuple[Node, int], Keep] = {}
        for group, mask in keep.items():
            for node, (dim, units) in group.nodes.items():
                stays = (units < 0) | mask[units]
                alive[node, dim] = alive.get((node, dim), np.array(True)) & stays
        for place, stays in alive.items():
            before = self.left.get(place, np.arange(len(stays)))
            self.left[place] = before[stays]

    def what_is_left(self, node: Node, value: Tensor) -> Tensor:
        """Of the original's value, the part that `node` of the pruned program should have."""
        for (other, dim), positions in self.left.items():
            if other is node:
                value = value.index_select(dim, torch.from_numpy(positions))
        return value
