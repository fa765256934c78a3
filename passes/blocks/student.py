"""The program that loses blocks, beside the one whose values it is to keep."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from torch.fx import Node

from ...compiler.ir.program import Program
from ..channels.readers import Reader, reader_of
from ..channels.tables import tables_of
from .block import Block
from .closing import Place, place_of
from .invert import can_invert
from .removal import remove_block
from .shortcuts import find_shortcuts, reach_of


@dataclass(frozen=True, eq=False)
class Junction:
    """Where a layer before a gap ends up, and what is to come of it.

    Args:
        goal: The node of the teacher whose value the end of the tail is to have.
        tail: The norm or activation between; nothing where the place itself has the goal.
    """

    goal: Node
    tail: tuple[Node, ...] = ()


@dataclass(eq=False)
class Student:
    """A program that is changed in place, with a copy of what it was: the teacher.

    Args:
        program: Loses blocks.
        teacher: As it was before.
        twins: For each node of the program the one of the teacher that it was copied to.
        stand_ins: For what stands in for a removed block, the node of the teacher whose value it
            is to have now.
        junctions: The same for the sums before those, in the order of removal.
        gaps: Everything that stands in for a removed block, fitted or not.
    """

    program: Program
    teacher: Program
    twins: dict[Node, Node]
    stand_ins: dict[Node, Node] = field(default_factory=dict)
    junctions: dict[Node, Junction] = field(default_factory=dict)
    gaps: list[Node] = field(default_factory=list)

    @classmethod
    def of(cls, program: Program) -> "Student":
        """The program with a copy of itself as its teacher."""
        teacher = program.copy()
        return cls(
            program, teacher, dict(zip(program.graph.nodes, teacher.graph.nodes, strict=True))
        )

    def remove(self, block: Block) -> bool:
        """Take a block out; whether what stands in for it may be fitted to replace it."""
        found = self.junction(block)
        remove_block(self.program, block)
        self.gaps.append(block.entry)
        if found is None:
            return False
        place, junction = found
        self.stand_ins[block.entry] = junction.goal
        self.junctions[place] = junction
        return True

    def junction(self, block: Block) -> tuple[Node, Junction] | None:
        """The place to fit once the block is gone, None if something else reads its value too."""
        goal = self.goal(block.exit)
        inside = set(block.nodes)
        if not set(block.entry.users) <= inside:
            return None
        tail: list[Node] = []
        place = block.entry
        while block.entry_sum is not None and place is not block.entry_sum:
            tail.insert(0, place)
            place = next(source for source in place.all_input_nodes if source.op != "get_attr")
            if set(place.users) != {tail[0]}:
                return None
        return (place, Junction(goal, tuple(tail))) if can_invert(tail) else None

    def goal(self, node: Node) -> Node:
        """The node of the teacher whose value `node` should have."""
        return self.stand_ins.get(node, self.twins[node])

    def layers(self, places: Collection[Node] = ()) -> list[tuple[Reader, Place]]:
        """The layers that can be fitted, in graph order, and where their results end up.

        Args:
            places: Where results may end up beside residual sums and junctions.
        """
        sums = {shortcut.sum for shortcut in find_shortcuts(self.program, reach_of(self.program))}
        ends = {*sums, *self.junctions, *places}
        calls = [node for node in self.program.graph.nodes if node.op == "call_function"]
        readers = [reader for call in calls if (reader := fitted_at(call)) is not None]
        found = [(reader, place_of(reader.call, ends)) for reader in readers]
        return [(reader, self._behind_tail(place)) for reader, place in found]

    def goal_at(self, place: Place) -> Node:
        """The node of the teacher whose value the end of the place's tail should have."""
        junction = self.junctions.get(place.node)
        return self.twins[place.node] if junction is None else junction.goal

    def _behind_tail(self, place: Place) -> Place:
        junction = self.junctions.get(place.node)
        return place if junction is None else replace(place, tail=junction.tail)


def fitted_at(call: Node) -> Reader | None:
    """The layer, or the sum of embeddings, at `call`."""
    return reader_of(call) or tables_of(call)
