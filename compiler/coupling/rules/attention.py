"""Scaled dot product attention: heads of queries, keys and values; the scale stays as it was."""

import math
from dataclasses import replace

import numpy as np
import torch
from torch.fx import Node

from ...ir.program import Program, node_spec
from ..arguments import set_argument
from ..atoms import HEAD_DIM, HEADS
from ..flow import Flow
from ..join import join
from ..labels import Block, Labels
from ..registry import couples
from ..survivors import Survivors

_ATEN = torch.ops.aten
_SOFTMAX = "a softmax over it"


@couples(_ATEN.scaled_dot_product_attention.default)
def attention(
    flow: Flow,
    node: Node,
    query: Node,
    key: Node,
    value: Node,
    mask: Node | None,
    dropout: float,
    is_causal: bool,
    scale: float | None,
    enable_gqa: bool,
) -> Labels:
    """Query [..., L, E], key [..., S, E], value [..., S, F], mask [..., L, S] -> [..., L, F].

    With `enable_gqa`, a head of keys and values goes with the query heads that read it.
    """
    q, k, v = (_matrix(flow, operand) for operand in (query, key, value))
    flow.sum_over(q, -1, k, -1)
    flow.unite(k, -2, v, -2)
    flow.lock(k.atoms(-2), _SOFTMAX)
    heads = q.shape[-3] if enable_gqa else 0
    batches = [_batch(q), *(_batch(_repeated(flow, x, heads)) for x in (k, v))]
    if mask is not None:
        batches.append(_batch(_masked(flow, flow.of(mask), q)))
    shape = node_spec(node).shape
    joined = join(flow, batches, shape[:-2])
    pairs = zip(joined.labels.blocks, joined.vanishing, strict=True)
    blocks = [replace(block, vanishes=zeros[2]) for block, zeros in pairs]
    for block in blocks:
        flow.atoms.mark(block.atoms, HEADS)
    for labels in (q, v):
        flow.atoms.mark(labels.atoms(-1), HEAD_DIM)
    if scale is None:
        _freeze_scale(flow, node, q)
    length, width = len(shape) - 2, len(shape) - 1
    rows = Block((length,), q.atoms(-2))
    return Labels(shape, (*blocks, rows, Block((width,), v.atoms(-1), v.vanishes(-1))))


def _matrix(flow: Flow, operand: Node) -> Labels:
    return flow.decided(flow.decided(flow.of(operand), -1), -2)


def _batch(labels: Labels) -> Labels:
    return labels.part(range(max(len(labels.shape) - 2, 0)))


def _repeated(flow: Flow, labels: Labels, heads: int) -> Labels:
    """The labels where each head of [..., heads, S, E] is repeated for its query heads."""
    if not heads or labels.shape[-3] == heads:
        return labels
    dim = len(labels.shape) - 3
    labels = flow.alone(labels, dim)
    block = labels.block(dim)
    repeated = np.repeat(block.atoms, heads // labels.shape[dim])
    return labels.with_block(dim, replace(block, atoms=repeated))


def _masked(flow: Flow, mask: Labels, query: Labels) -> Labels:
    """The mask [..., L, S], its rows united with those of the queries."""
    for dim in (-1, -2)[: len(mask.shape)]:
        mask = flow.alone(mask, dim)
    if mask.shape:
        flow.lock(mask.atoms(-1), _SOFTMAX)
    if len(mask.shape) > 1 and mask.shape[-2] == query.shape[-2]:
        flow.unite(mask, -2, query, -2)
    return mask


def _freeze_scale(flow: Flow, node: Node, query: Labels) -> None:
    """Keep the scale of the unpruned width, which is the default."""
    width = query.shape[-1]

    def shrink(_: Program, survivors: Survivors) -> None:
        if survivors.count(query, len(query.shape) - 1) != width:
            set_argument(node, "scale", 1 / math.sqrt(width))

    flow.rewrites.append(shrink)
