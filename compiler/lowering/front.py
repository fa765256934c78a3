"""The first layers of a network, which can be computed row by row (targets/cortex_m)."""

from collections.abc import Sequence

from torch.fx import Node

from ...targets.cortex_m.layer import NodeArguments
from ...targets.cortex_m.row_streams import can_stream, least_bytes
from ..errors import CompileError
from ..ir.program import Program, node_spec
from ..ir.regions import Region, regions
from .node_arguments import node_arguments

_MOST_LENGTHS = 4


class CannotStream(CompileError):
    """The first layers of a network cannot be computed row by row."""

    def __init__(self, at: str, got: str) -> None:
        super().__init__(
            "the first layers cannot be computed row by row",
            at=at,
            got=got,
            fix="leave out stream=True",
        )


def find_front(program: Program, todo: Sequence[Region]) -> list[Node]:
    """The layers from the only input on, each of which is all that reads the one before."""
    if len(program.input_nodes) != 1:
        return []
    alone = {region.nodes[0]: region for region in todo if len(region.nodes) == 1}
    front: list[Node] = []
    (node,) = program.input_nodes
    while len(node.users) == 1:
        (reader,) = node.users
        if reader not in alone or not can_stream(node_arguments(program, reader)[0]):
            break
        front.append(reader)
        node = reader
    return front


def front_arguments(program: Program, front: Sequence[Node]) -> list[NodeArguments]:
    """The layers as targets/cortex_m sees them."""
    return [node_arguments(program, node)[0] for node in front]


def least_stream_bytes(program: Program, length: int) -> int:
    """Memory that the first layers need at least, row by row, with their result."""
    front = find_front(program, regions(program))
    return least_bytes(front_arguments(program, front[:length]))


def stream_lengths(program: Program) -> list[int]:
    """How many of the first layers are worth computing row by row.

    The last one's result is smaller than all before it. Empty where there are no two of them.
    """
    lengths: list[int] = []
    smallest = None
    for index, node in enumerate(find_front(program, regions(program))):
        size = node_spec(node).nbytes
        if smallest is None or size < smallest:
            smallest = size
            lengths += [index + 1] * (index > 0)
    return lengths[:_MOST_LENGTHS]
