"""What picks, joins and reorders positions: slices, selections, concatenation, rolls, shuffles."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.fx import Node

from ...ir.program import Program, node_spec
from ..arguments import set_argument
from ..atoms import Ints
from ..constraints import Box, Keeps
from ..flow import Flow
from ..join import join
from ..labels import Block, Labels
from ..picking import pick_survivors, picked
from ..registry import couples
from ..survivors import Survivors

_ATEN = torch.ops.aten


@couples(_ATEN.slice.Tensor)
def slice_(
    flow: Flow, node: Node, x: Node, dim: int, start: int | None, end: int | None, step: int
) -> Labels:
    """Positions of one dimension; after pruning, those of them that stay."""
    labels = flow.of(x)
    dim %= len(labels.shape)
    positions = np.arange(*slice(start, end, step).indices(labels.shape[dim]))
    if len(positions):
        pick_survivors(flow, node, labels.block(dim), dim, positions)
    return picked(flow, labels, dim, positions)


@couples(_ATEN.select.int)
def select(flow: Flow, node: Node, x: Node, dim: int, index: int) -> Labels:
    """The one position that is read must stay."""
    labels = flow.of(x)
    rank, size = len(labels.shape), labels.shape[dim]
    dim, index = dim % rank, index % size
    block = labels.block(dim)
    if block.is_joint:
        flow.constraints.append(Keeps(block, dim, index, flow.at))
    else:
        flow.lock(block.atoms[index : index + 1], "it is selected by its number")

    def shrink(_: Program, survivors: Survivors) -> None:
        set_argument(node, "index", int(survivors.mask(block, dim)[:index].sum()))

    flow.rewrites.append(shrink)
    one = picked(flow, labels, dim, np.array([index]))
    return one.part([other for other in range(rank) if other != dim])


@couples(_ATEN.cat.default)
def cat(flow: Flow, node: Node, operands: Sequence[Node], dim: int) -> Labels:
    """The joined dimension has the positions of all; the others are dropped together."""
    parts, shape = [flow.of(operand) for operand in operands], node_spec(node).shape
    dim %= len(shape)
    if len({frozenset(part.block(dim).dims) for part in parts}) > 1:
        parts = [flow.alone(part, dim) for part in parts]
    dims = parts[0].block(dim).dims
    pieces = [part.block(dim).ordered(dims) for part in parts]
    axis = pieces[0].axis(dim)
    atoms = np.concatenate([piece.atoms for piece in pieces], axis)
    whole = Block(dims, atoms, all(piece.vanishes for piece in pieces))
    if whole.is_joint:
        flow.constraints.append(Box(whole))
    rest = [other for other in range(len(shape)) if other not in dims]
    joined = join(flow, [part.part(rest) for part in parts], [shape[other] for other in rest])
    blocks = [
        Block(tuple(rest[place] for place in block.dims), block.atoms, all(zeros))
        for block, zeros in zip(joined.labels.blocks, joined.vanishing, strict=True)
    ]
    return Labels(shape, (*blocks, whole))


@couples(_ATEN.flip.default)
def flip(flow: Flow, node: Node, x: Node, dims: Sequence[int]) -> Labels:
    """Positions in reverse."""
    labels = flow.of(x)
    for dim in dims:
        dim %= len(labels.shape)
        labels = picked(flow, labels, dim, np.arange(labels.shape[dim])[::-1])
    return labels


@couples(_ATEN.roll.default)
def roll(flow: Flow, node: Node, x: Node, shifts: Sequence[int], dims: Sequence[int]) -> Labels:
    """Positions moved round; the shift becomes the number of those that stay among the moved."""
    labels = source = flow.of(x)
    if not dims:
        flow.lock_all(labels, "it is rolled as one row")
        return labels.vanishing(False)
    dims = [dim % len(labels.shape) for dim in dims]
    moved: dict[int, int] = {}
    for dim, shift in zip(dims, shifts, strict=True):
        size = labels.shape[dim]
        moved[dim] = (moved.get(dim, 0) + shift) % size
        labels = picked(flow, labels, dim, np.roll(np.arange(size), shift))

    def shrink(_: Program, survivors: Survivors) -> None:
        masks = {dim: survivors.mask(source.block(dim), dim) for dim in moved}
        counts = [int(mask[len(mask) - moved[dim] :].sum()) for dim, mask in masks.items()]
        node.args, node.kwargs = (node.args[0], counts, list(moved)), {}

    flow.rewrites.append(shrink)
    return labels


@couples(_ATEN.repeat_interleave.self_int)
def repeat_interleave(
    flow: Flow, node: Node, x: Node, repeats: int, dim: int | None, *_: object
) -> Labels:
    """Each position several times."""
    labels = flow.of(x)
    if dim is None:
        flow.lock_all(labels, "it is repeated as one row")
        return flow.fixed(node_spec(node).shape, "it is repeated as one row")
    dim %= len(labels.shape)
    return picked(flow, labels, dim, np.arange(labels.shape[dim]).repeat(repeats))


@couples(_ATEN.glu.default)
def glu(flow: Flow, node: Node, x: Node, dim: int) -> Labels:
    """Each position of the first half with its gate in the second."""
    labels = flow.alone(flow.of(x), dim)
    dim %= len(labels.shape)
    first, second = labels.atoms(dim).reshape(2, -1)
    flow.atoms.union(first, second)
    return picked(flow, labels, dim, np.arange(len(first)))


@couples(_ATEN.pixel_shuffle.default)
def pixel_shuffle(flow: Flow, node: Node, x: Node, factor: int) -> Labels:
    """[C * r * r, H, W] -> [C, H * r, W * r]: the r * r channels of one go together."""
    return _channels(flow, node, x, _tied(flow, x, factor * factor))


@couples(_ATEN.pixel_unshuffle.default)
def pixel_unshuffle(flow: Flow, node: Node, x: Node, factor: int) -> Labels:
    """[C, H * r, W * r] -> [C * r * r, H, W]: each channel becomes r * r."""
    return _channels(flow, node, x, _tied(flow, x, 1).repeat(factor * factor))


@couples(_ATEN.channel_shuffle.default, _ATEN.native_channel_shuffle.default)
def channel_shuffle(flow: Flow, node: Node, x: Node, groups: int) -> Labels:
    """[groups, width] -> [width, groups]: the same part of each group goes."""
    labels = flow.alone(flow.of(x), 1)
    table = labels.atoms(1).reshape(groups, -1)
    flow.atoms.union(table[:1], table)
    return labels.with_block(1, Block((1,), table.T.reshape(-1), labels.vanishes(1)))


def _tied(flow: Flow, x: Node, width: int) -> Ints:
    """One atom for each `width` channels, dimension -3, which go together."""
    table = flow.alone(flow.of(x), -3).atoms(-3).reshape(-1, width)
    flow.atoms.union(table[:, :1], table)
    return table[:, 0]


def _channels(flow: Flow, node: Node, x: Node, atoms: Ints) -> Labels:
    """The result of moving channels into space or back."""
    labels, shape = flow.alone(flow.of(x), -3), node_spec(node).shape
    channel, reason = len(shape) - 3, "it is a position in space"
    for dim in (-1, -2):
        labels = flow.lock_dim(labels, dim, reason)
    space = [flow.fixed_block(dim, shape[dim], reason) for dim in (channel + 1, channel + 2)]
    channels = Block((channel,), atoms, labels.vanishes(channel))
    return Labels(shape, (*labels.part(range(channel)).blocks, channels, *space))
