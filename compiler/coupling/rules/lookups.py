"""Lookups: embeddings and constant or computed positions."""

from collections.abc import Sequence

import torch
from torch.fx import Node

from ...ir.program import node_spec
from ..flow import Flow
from ..labels import Block, Labels
from ..picking import pick_survivors, picked
from ..registry import couples

_ATEN = torch.ops.aten
_LOOKED_UP = "its positions are looked up by number"


@couples(_ATEN.embedding.default)
def embedding(flow: Flow, node: Node, weight: Node, indices: Node, *_: object) -> Labels:
    """Weight [number, features], indices [...] -> [..., features]."""
    table, rows = flow.of(weight), flow.of(indices).vanishing(False)
    flow.lock_dim(table, 0, _LOOKED_UP)
    flow.use(weight, 1, "out")
    features = table.block(1).moved({1: len(rows.shape)})
    return Labels(node_spec(node).shape, (*rows.blocks, features))


@couples(_ATEN.index_select.default)
def index_select(flow: Flow, node: Node, x: Node, dim: int, index: Node) -> Labels:
    """Constant positions are those of a slice; computed ones keep the dimension whole."""
    labels = flow.of(x)
    dim %= len(labels.shape)
    flow.lock_all(flow.of(index), _LOOKED_UP)
    if index.op == "get_attr":
        positions = flow.program.weight(index).numpy().astype("int64").reshape(-1)
        pick_survivors(flow, node, labels.block(dim), dim, positions)
        return picked(flow, labels, dim, positions)
    labels = flow.lock_dim(labels, dim, _LOOKED_UP)
    return labels.with_block(dim, flow.fixed_block(dim, node_spec(node).shape[dim], _LOOKED_UP))


@couples(_ATEN.index.Tensor)
def index(flow: Flow, node: Node, x: Node, indices: Sequence[Node | None]) -> Labels:
    """Looked up dimensions stay whole, and are replaced by those of the indices."""
    labels, shape = flow.of(x), node_spec(node).shape
    given = [dim for dim, index in enumerate(indices) if index is not None]
    for dim in given:
        labels = flow.lock_dim(labels, dim, _LOOKED_UP)
    for operand in indices:
        if operand is not None:
            flow.lock_all(flow.of(operand), _LOOKED_UP)
    rest = [dim for dim in range(len(labels.shape)) if dim not in given]
    width = len(shape) - len(rest)
    adjacent = given == list(range(given[0], given[-1] + 1))
    first = given[0] if adjacent else 0
    free = [dim for dim in range(len(shape)) if not first <= dim < first + width]
    places = dict(zip(rest, free, strict=True))
    blocks = [b.moved(places) for b in labels.blocks if not set(b.dims) & set(given)]
    looked = range(first, first + width)
    fixed: list[Block] = [flow.fixed_block(dim, shape[dim], _LOOKED_UP) for dim in looked]
    return Labels(shape, (*blocks, *fixed))
