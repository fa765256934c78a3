"""How labels go through a reshape: merged dimensions repeat atoms, split ones share them out."""

from collections.abc import Sequence
from math import prod

import numpy as np

from .atoms import STORED
from .constraints import Box
from .flow import Flow
from .labels import Block, Labels

_MERGED = "it is merged with another dimension that can be pruned"
_REPEATS = "it repeats what another dimension holds"

Segment = tuple[list[int], list[int]]


def reshaped(flow: Flow, labels: Labels, shape: Sequence[int]) -> Labels:
    """The labels after a reshape to `shape`.

    Where dimensions are merged, one of them decides and the others are locked; its atoms repeat.
    Where one is split, the atoms show which part they depend on; if they depend on several (the
    rows of a layer, split into heads), these make a joint block.
    """
    if 0 in shape:
        flow.lock_all(labels, "it is empty")
        return flow.fixed(shape, "it is empty")
    segments = _segments(labels.shape, shape)
    for inside, _ in segments:
        labels = _merged(flow, labels, inside)
    blocks = [flow.fixed_block(dim, 1, "") for dim, size in enumerate(shape) if size == 1]
    for block in labels.blocks:
        if prod(block.atoms.shape) > 1:
            touched = [segment for segment in segments if set(segment[0]) & set(block.dims)]
            dims = [dim for _, outside in touched for dim in outside]
            atoms = block.ordered(sorted(block.dims)).atoms.reshape([shape[dim] for dim in dims])
            blocks += simplified(flow, Block(tuple(dims), atoms, block.vanishes))
    return Labels(tuple(shape), tuple(blocks))


def simplified(flow: Flow, block: Block) -> list[Block]:
    """The block without the dimensions that its atoms do not depend on; these are fixed."""
    if not block.is_joint and block.atoms.size > 1:
        return [block]
    if flow.atoms.is_locked(block.atoms).all():
        return [Block((dim,), block.rows(dim)[:, 0], block.vanishes) for dim in block.dims]
    roots = Block(block.dims, flow.atoms.find(block.atoms))
    deciding = [dim for dim in block.dims if _depends_on(roots, dim)]
    deciding = deciding or [max(block.dims, key=lambda dim: block.atoms.shape[block.axis(dim)])]
    first = tuple(slice(None) if dim in deciding else 0 for dim in block.dims)
    rest = Block(tuple(deciding), block.atoms[first], block.vanishes)
    if rest.is_joint:
        flow.constraints.append(Box(rest))
    sizes = dict(zip(block.dims, block.atoms.shape, strict=True))
    repeating = [dim for dim in block.dims if dim not in deciding]
    return [rest, *(flow.fixed_block(dim, sizes[dim], _REPEATS) for dim in repeating)]


def _depends_on(roots: Block, dim: int) -> bool:
    rows = roots.rows(dim)
    return bool((rows != rows[:1]).any())


def _segments(before: Sequence[int], after: Sequence[int]) -> list[Segment]:
    """The smallest runs of dimensions with equal products; those of size 1 are left out."""
    inside = [dim for dim, size in enumerate(before) if size != 1]
    outside = [dim for dim, size in enumerate(after) if size != 1]
    segments: list[Segment] = []
    while inside:
        segment: Segment = ([inside.pop(0)], [outside.pop(0)])
        while (left := _size(before, segment[0])) != (right := _size(after, segment[1])):
            source, target = (inside, segment[0]) if left < right else (outside, segment[1])
            target.append(source.pop(0))
        segments.append(segment)
    return segments


def _size(shape: Sequence[int], dims: Sequence[int]) -> int:
    return prod(shape[dim] for dim in dims)


def _merged(flow: Flow, labels: Labels, dims: Sequence[int]) -> Labels:
    """Labels in which one block covers all of `dims`."""
    blocks = list(dict.fromkeys(labels.block(dim) for dim in dims))
    if len(blocks) == 1:
        return labels
    main = max(blocks, key=lambda block: _freedom(flow, block))
    for dim in dims:
        if dim not in main.dims:
            labels = flow.lock_dim(labels, dim, _MERGED)
    others = [dim for dim in dims if dim not in main.dims]
    sizes = [*main.atoms.shape, *(labels.shape[dim] for dim in others)]
    atoms = main.atoms.reshape(*main.atoms.shape, *(1 for _ in others))
    wide = Block((*main.dims, *others), np.broadcast_to(atoms, sizes), main.vanishes)
    rest = [block for block in labels.blocks if not set(block.dims) & set(wide.dims)]
    return Labels(labels.shape, (*rest, wide))


def _freedom(flow: Flow, block: Block) -> int:
    """2 where positions of a weight can be dropped, 1 where repetitions can, 0 where nothing."""
    free = ~flow.atoms.is_locked(block.atoms)
    return int(free.any()) + int((free & flow.atoms.marked(block.atoms, STORED)).any())
