"""Reductions, and what else looks along a dimension: softmax and cumulative sums."""

from collections.abc import Sequence

import torch
from torch.fx import Node

from ...ir.program import node_spec
from ..atoms import INEXACT
from ..flow import Flow
from ..labels import Labels
from ..registry import couples

_ATEN = torch.ops.aten
Dims = Sequence[int] | int | None
SOFTMAXES = (
    *(_ATEN.softmax.int, _ATEN._softmax.default),
    *(_ATEN.log_softmax.int, _ATEN._log_softmax.default),
)


@couples(_ATEN.sum.dim_IntList, _ATEN.sum.default)
def total(
    flow: Flow, node: Node, x: Node, dims: Dims = None, keep: bool = False, *_: object
) -> Labels:
    """A dimension may shrink if what is dropped adds 0."""
    labels = flow.of(x)
    for dim in _dims(dims, labels):
        labels = flow.decided(labels, dim)
        if not labels.vanishes(dim):
            flow.lock(labels.atoms(dim), "a sum over it, and dropped units would not be 0")
    return _without(flow, labels, dims, node)


@couples(_ATEN.linalg_vector_norm.default)
def vector_norm(flow: Flow, node: Node, x: Node, order: float, dims: Dims, *_: object) -> Labels:
    """As a sum: |0| adds nothing to a norm of positive order."""
    labels = flow.of(x)
    for dim in _dims(dims, labels):
        labels = flow.decided(labels, dim)
        if order <= 0 or not labels.vanishes(dim):
            flow.lock(labels.atoms(dim), "a norm over it")
    return _without(flow, labels, dims, node)


@couples(_ATEN.mean.dim, _ATEN.mean.default, _ATEN.var.correction)
def mean(flow: Flow, node: Node, x: Node, dims: Dims = None, *_: object) -> Labels:
    """What is averaged stays whole, but for `through_norms`."""
    labels = flow.of(x)
    for dim in _dims(dims, labels):
        if flow.through_norms and not labels.block(dim).is_joint:
            flow.atoms.mark(labels.atoms(dim), INEXACT)
        else:
            labels = flow.lock_dim(labels, dim, "a mean over it")
    return _without(flow, labels, dims, node)


@couples(
    *(_ATEN.amax.default, _ATEN.amin.default, _ATEN.prod.dim_int, _ATEN.any.dim, _ATEN.any.dims),
    *(_ATEN.argmax.default, _ATEN.argmin.default, _ATEN.any.default, _ATEN.prod.default),
)
def extreme(flow: Flow, node: Node, x: Node, dims: Dims = None, *_: object) -> Labels:
    """What is looked along stays whole."""
    labels = flow.of(x)
    for dim in _dims(dims, labels):
        labels = flow.lock_dim(labels, dim, "a reduction over it")
    return _without(flow, labels, dims, node)


@couples(*SOFTMAXES)
def softmax(flow: Flow, node: Node, x: Node, dim: int, *_: object) -> Labels:
    """What it is taken over stays whole."""
    return flow.lock_dim(flow.of(x), dim, "a softmax over it").vanishing(False)


@couples(_ATEN.cumsum.default, _ATEN.cumprod.default)
def cumulative(flow: Flow, node: Node, x: Node, dim: int, *_: object) -> Labels:
    """What it runs along stays whole."""
    return flow.lock_dim(flow.of(x), dim, "a cumulative sum along it")


def _dims(dims: Dims, labels: Labels) -> list[int]:
    rank = len(labels.shape)
    if dims is None or dims == []:
        return list(range(rank))
    return [dim % rank for dim in ([dims] if isinstance(dims, int) else dims)]


def _without(flow: Flow, labels: Labels, dims: Dims, node: Node) -> Labels:
    """The labels of the result: reduced dimensions are gone, or of size 1; zeros give 0."""
    shape, reduced = node_spec(node).shape, set(_dims(dims, labels))
    kept = [dim for dim in range(len(labels.shape)) if dim not in reduced]
    keeps_rank = len(shape) == len(labels.shape)
    places = {dim: dim if keeps_rank else place for place, dim in enumerate(kept)}
    blocks = [b.moved(places) for b in labels.blocks if not set(b.dims) & reduced]
    if keeps_rank:
        blocks += [flow.fixed_block(dim, shape[dim], "") for dim in reduced]
    return Labels(shape, tuple(blocks))
