"""Operators that put one tensor into another: assignments, written without side effects."""

from dataclasses import replace

import torch
from torch.fx import Node

from ...ir.program import Program, node_spec
from ..arguments import set_argument
from ..flow import Flow
from ..join import join
from ..labels import Block, Labels
from ..registry import couples
from ..survivors import Survivors

_ATEN = torch.ops.aten


@couples(_ATEN.copy.default)
def copy(flow: Flow, node: Node, x: Node, source: Node, *_: object) -> Labels:
    """The source, broadcast to the shape of x; what x holds is lost."""
    joined = join(flow, [flow.of(x), flow.of(source)], node_spec(node).shape)
    pairs = zip(joined.labels.blocks, joined.vanishing, strict=True)
    blocks = [replace(block, vanishes=zeros[1]) for block, zeros in pairs]
    return Labels(joined.labels.shape, tuple(blocks))


@couples(_ATEN.slice_scatter.default)
def slice_scatter(
    flow: Flow,
    node: Node,
    x: Node,
    source: Node,
    dim: int,
    start: int | None,
    end: int | None,
    step: int,
) -> Labels:
    """x with some positions of one dimension replaced by those of the source."""
    shape = node_spec(node).shape
    dim %= len(shape)
    into, part = flow.decided(flow.of(x), dim), flow.decided(flow.of(source), dim)
    atoms, places = into.atoms(dim), slice(start, end, step)
    flow.atoms.union(atoms[places], part.atoms(dim))
    if step == 1:
        _count_places(flow, node, into, dim, places)
    else:
        flow.lock(atoms, "it is written to in steps")
    rest = [other for other in range(len(shape)) if other != dim]
    joined = join(flow, [into.part(rest), part.part(rest)], [shape[other] for other in rest])
    blocks = [
        Block(tuple(rest[place] for place in block.dims), block.atoms, all(zeros))
        for block, zeros in zip(joined.labels.blocks, joined.vanishing, strict=True)
    ]
    vanishes = into.vanishes(dim) and part.vanishes(dim)
    return Labels(shape, (*blocks, Block((dim,), atoms, vanishes)))


def _count_places(flow: Flow, node: Node, into: Labels, dim: int, places: slice) -> None:
    first, last, _ = places.indices(into.shape[dim])

    def shrink(_: Program, survivors: Survivors) -> None:
        alive = survivors.mask(into.block(dim), dim)
        set_argument(node, "start", int(alive[:first].sum()))
        set_argument(node, "end", int(alive[:last].sum()))

    flow.rewrites.append(shrink)
