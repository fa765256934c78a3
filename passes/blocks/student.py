"""The program that loses blocks, beside the one whose values it is to keep."""

from dataclasses import dataclass, field

from torch.fx import Node

from ...compiler.ir.program import Program
from ..channels.readers import Reader, reader_of
from .block import Block
from .closing import Place, place_of
from .removal import ends_of, remove_block
from .shortcuts import find_shortcuts, reach_of


@dataclass(eq=False)
class Student:
    """A program that is changed in place, with a copy of what it was: the teacher.

    Args:
        program: Loses blocks.
        teacher: As it was before.
        twins: For each node of the program the one of the teacher that it was copied to.
        junctions: The nodes that stand in for removed blocks, in the order of removal, each with
            the node of the teacher whose value it is to give now.
    """

    program: Program
    teacher: Program
    twins: dict[Node, Node]
    junctions: dict[Node, Node] = field(default_factory=dict)

    @classmethod
    def of(cls, program: Program) -> "Student":
        """The program with a copy of itself as its teacher."""
        teacher = program.copy()
        return cls(
            program, teacher, dict(zip(program.graph.nodes, teacher.graph.nodes, strict=True))
        )

    def remove(self, block: Block, *, own_tail: bool) -> None:
        """Take a block out; `own_tail` as in `remove_block`."""
        is_free = stands_alone(block, own_tail=own_tail)
        kept, gone = ends_of(block, own_tail=own_tail)
        goal = self.goal(gone)
        remove_block(self.program, block, own_tail=own_tail)
        if is_free:
            self.junctions[kept] = goal

    def goal(self, node: Node) -> Node:
        """The node of the teacher whose value `node` should have."""
        return self.junctions.get(node, self.twins[node])

    def layers(self) -> list[tuple[Reader, Place]]:
        """The layers that can be fitted, in graph order, and where their results end up."""
        sums = {shortcut.sum for shortcut in find_shortcuts(self.program, reach_of(self.program))}
        ends = {*sums, *self.junctions}
        calls = [node for node in self.program.graph.nodes if node.op == "call_function"]
        readers = [reader for call in calls if (reader := reader_of(call)) is not None]
        return [(reader, place_of(reader.call, ends)) for reader in readers]


def stands_alone(block: Block, *, own_tail: bool) -> bool:
    """Whether only the block reads what will stand in for it: then that may change its values."""
    inside = set(block.nodes)
    if not own_tail or block.entry_sum is None:
        return set(block.entry.users) <= inside
    node, path = block.entry, []
    while node is not block.entry_sum:
        path.append(node)
        node = next(source for source in node.all_input_nodes if source.op != "get_attr")
    return all(set(each.users) <= inside | set(path) for each in (*path, block.entry_sum))
