"""Lookups: embeddings and constant or computed positions."""

from collections.abc import Sequence

import numpy as np
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
    table, rows = flow.apart(weight), flow.of(indices).vanishing(False)
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
        return _constant_positions(flow, node, labels, dim, index)
    labels = flow.lock_dim(labels, dim, _LOOKED_UP)
    return labels.with_block(dim, flow.fixed_block(dim, node_spec(node).shape[dim], _LOOKED_UP))


@couples(_ATEN.index.Tensor)
def index(flow: Flow, node: Node, x: Node, indices: Sequence[Node | None]) -> Labels:
    """Looked up dimensions stay whole, and are replaced by those of the indices.

    Constant positions of one dimension are those of a slice.
    """
    labels, shape = flow.of(x), node_spec(node).shape
    given = [dim for dim, index in enumerate(indices) if index is not None]
    operands = [index for index in indices if index is not None]
    for operand in operands:
        flow.lock_all(flow.of(operand), _LOOKED_UP)
    first = operands[0]
    if len(operands) == 1 and first.op == "get_attr" and _is_row_of_numbers(first):
        return _constant_positions(flow, node, labels, given[0], first)
    for dim in given:
        labels = flow.lock_dim(labels, dim, _LOOKED_UP)
    rest = [dim for dim in range(len(labels.shape)) if dim not in given]
    width = len(shape) - len(rest)
    adjacent = given == list(range(given[0], given[-1] + 1))
    start = given[0] if adjacent else 0
    free = [dim for dim in range(len(shape)) if not start <= dim < start + width]
    places = dict(zip(rest, free, strict=True))
    blocks = [b.moved(places) for b in labels.blocks if not set(b.dims) & set(given)]
    looked = range(start, start + width)
    fixed: list[Block] = [flow.fixed_block(dim, shape[dim], _LOOKED_UP) for dim in looked]
    return Labels(shape, (*blocks, *fixed))


@couples(_ATEN.gather.default)
def gather(flow: Flow, node: Node, x: Node, dim: int, index: Node, *_: object) -> Labels:
    """Each element from the row of x that it is in; rows of both go together."""
    labels, places = flow.of(x), flow.apart(index)
    dim %= len(labels.shape)
    labels = flow.lock_dim(labels, dim, _LOOKED_UP)
    blocks = [places.block(dim)]
    for other in range(len(labels.shape)):
        if other != dim:
            labels = flow.alone(labels, other)
            if labels.shape[other] != places.shape[other]:
                flow.lock(labels.atoms(other), _LOOKED_UP)
                flow.lock(places.atoms(other), _LOOKED_UP)
                blocks.append(places.block(other))
            else:
                flow.unite(labels, other, places, other)
                blocks.append(labels.block(other))
    return Labels(node_spec(node).shape, tuple(blocks))


def _constant_positions(flow: Flow, node: Node, labels: Labels, dim: int, index: Node) -> Labels:
    positions = flow.program.weight(index).numpy().astype(np.int64) % labels.shape[dim]
    pick_survivors(flow, node, labels.block(dim), dim, positions)
    return picked(flow, labels, dim, positions)


def _is_row_of_numbers(index: Node) -> bool:
    spec = node_spec(index)
    return len(spec.shape) == 1 and spec.torch_dtype in (torch.int64, torch.int32)
