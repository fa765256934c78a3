"""Moves that move nothing: results whose elements already lie where their layout wants them."""

from collections.abc import Sequence

import torch
from torch.fx import Node

from ...targets.cpu.flatten import dense_strides
from ..ir.layout import Layout
from ..ir.op_kinds import Kind, kind_of
from ..ir.program import node_spec
from ..ir.regions import Region

PERMUTE = torch.ops.aten.permute.default


def only_moves(region: Region) -> bool:
    """Whether a region is a chain of views and permutations of one value."""
    one = len(region.inputs) == len(region.outputs) == 1
    return one and all(n.target is PERMUTE or kind_of(n) is Kind.VIEW for n in region.nodes)


def moved_strides(region: Region, layout: Layout | None) -> tuple[int, ...] | None:
    """Where the elements of a chain's result lie in the buffer of its source.

    Returns the elements from one index to the next for each axis; None if there are no such
    numbers, or the first element is not at the start.

    Args:
        region: Views and permutations only.
        layout: How the source is stored; None: row-major.
    """
    (source,) = region.inputs
    shape = node_spec(source).shape
    if layout is None:
        strides = dense_strides(shape)
    elif layout.has_border:
        return None
    else:
        batch, *space, channel = layout.strides(shape)
        strides = [batch, channel, *space]
    moved = torch.empty_strided(shape, strides, device="meta")
    for node in region.nodes:
        if node.target is PERMUTE:
            moved = moved.permute(node.args[1])  # type: ignore[arg-type]
            continue
        try:
            moved = moved.view(node_spec(node).shape)
        except RuntimeError:  # elements that become neighbors lie apart
            return None
    return moved.stride()


def are_dense(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether elements with these strides lie row-major, without gaps."""
    return _are_same(shape, strides, dense_strides(shape))


def are_channels_last(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether a tensor [N, C, ...] with these strides is stored channels last, without a border."""
    if len(shape) < 3:
        return False
    batch, *space, channel = Layout.without_border(len(shape)).strides(shape)
    return _are_same(shape, strides, [batch, channel, *space])


def is_only_moved(node: Node) -> bool:
    """Whether every reader of a value is a view or a permutation."""
    readers = [user for user in node.users if user.op == "call_function"]
    moves = (user.target is PERMUTE or kind_of(user) is Kind.VIEW for user in readers)
    return len(readers) == len(node.users) and all(moves)


def _are_same(shape: Sequence[int], left: Sequence[int], right: Sequence[int]) -> bool:
    triples = zip(shape, left, right, strict=True)
    return 0 in shape or all(size == 1 or a == b for size, a, b in triples)
