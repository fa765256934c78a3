"""Broadcasting: the labels of a result from those of several operands."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from .flow import Flow
from .labels import Block, Labels

_ACROSS = "it is broadcast across dimensions that are split in another way"


@dataclass(frozen=True)
class Joined:
    """The labels of a broadcast result.

    Args:
        labels: `vanishes` is not set.
        vanishing: For each block of `labels`, whether each operand is 0 where a unit is dropped.
    """

    labels: Labels
    vanishing: list[tuple[bool, ...]]


def join(flow: Flow, operands: Sequence[Labels], shape: Sequence[int]) -> Joined:
    """Unite the operands where they meet in a result of that shape."""
    placed = [_placed(operand, shape) for operand in operands]
    blocks: list[Block] = []
    for operand in placed:
        for block in operand:
            blocks = _with(flow, blocks, block)
    covered = {dim for block in blocks for dim in block.dims}
    for dim, size in enumerate(shape):
        if dim not in covered:
            blocks.append(flow.fixed_block(dim, size, "nothing is known of it"))
    vanishing = [tuple(_vanishes(operand, block) for operand in placed) for block in blocks]
    return Joined(Labels(tuple(shape), tuple(blocks)), vanishing)


def join_batches(flow: Flow, matrices: Sequence[Labels], shape: Sequence[int]) -> list[Block]:
    """The blocks of the batch dimensions of a product, all but the last two of each operand.

    A product is 0 where any of its operands is.
    """
    parts = [matrix.part(range(max(len(matrix.shape) - 2, 0))) for matrix in matrices]
    joined = join(flow, parts, shape)
    pairs = zip(joined.labels.blocks, joined.vanishing, strict=True)
    return [replace(block, vanishes=any(zeros)) for block, zeros in pairs]


def _placed(labels: Labels, shape: Sequence[int]) -> list[Block]:
    """The blocks of an operand in dimensions of the result, without those that are broadcast."""
    offset = len(shape) - len(labels.shape)
    places = {dim: dim + offset for dim in range(len(labels.shape))}
    return [
        block.moved(places)
        for block in labels.blocks
        if all(labels.shape[dim] == shape[places[dim]] for dim in block.dims)
    ]


def _with(flow: Flow, blocks: list[Block], new: Block) -> list[Block]:
    """The blocks of the result when one more block of an operand is seen."""
    met = [block for block in blocks if set(block.dims) & set(new.dims)]
    rest = [block for block in blocks if block not in met]
    if not met:
        return [*rest, new]
    if len(met) == 1 and set(met[0].dims) == set(new.dims):
        flow.atoms.union(met[0].atoms, new.ordered(met[0].dims).atoms)
        return blocks
    widest = max((*met, new), key=lambda block: len(block.dims))
    others = [block for block in (*met, new) if block is not widest]
    if all(len(block.dims) == 1 and block.dims[0] in widest.dims for block in others):
        for block in others:
            flow.follow(widest, block.dims[0], block.atoms)
        return [*rest, widest]
    fixed: dict[int, Block] = {}
    for block in (*met, new):
        flow.lock(block.atoms, _ACROSS)
        for dim, size in zip(block.dims, block.atoms.shape, strict=True):
            fixed.setdefault(dim, flow.fixed_block(dim, size, _ACROSS))
    return [*rest, *fixed.values()]


def _vanishes(operand: Sequence[Block], block: Block) -> bool:
    return any(set(each.dims) == set(block.dims) and each.vanishes for each in operand)
