"""Normalizations: statistics of single channels allow pruning, those over channels do not."""

from collections.abc import Sequence

import torch
from torch.fx import Node

from ...ir.program import Program
from ..arguments import set_argument
from ..atoms import INEXACT
from ..flow import Flow
from ..labels import Block, Labels
from ..registry import couples
from ..survivors import Survivors

_ATEN = torch.ops.aten


@couples(_ATEN.batch_norm.default)
def batch_norm(
    flow: Flow,
    node: Node,
    x: Node,
    weight: Node | None,
    bias: Node | None,
    mean: Node | None,
    variance: Node | None,
    *_: object,
) -> Labels:
    """Each channel, dimension 1, has its own statistics."""
    labels = flow.alone(flow.of(x), 1)
    return _per_channel(flow, labels, weight, bias, mean, variance)


@couples(_ATEN.instance_norm.default)
def instance_norm(
    flow: Flow,
    node: Node,
    x: Node,
    weight: Node | None,
    bias: Node | None,
    mean: Node | None,
    variance: Node | None,
    *_: object,
) -> Labels:
    """Each channel of each sample has its own statistics."""
    labels = flow.alone(flow.of(x), 1)
    for dim in range(2, len(labels.shape)):
        labels = flow.lock_dim(labels, dim, "an instance norm over it")
    return _per_channel(flow, labels, weight, bias, mean, variance)


@couples(_ATEN.group_norm.default)
def group_norm(
    flow: Flow, node: Node, x: Node, groups: int, weight: Node | None, bias: Node | None, *_: object
) -> Labels:
    """Whole groups of channels go; with `through_norms`, the same part of each group."""
    labels = flow.alone(flow.of(x), 1)
    for dim in range(2, len(labels.shape)):
        labels = flow.lock_dim(labels, dim, "a group norm over it")
    result = _per_channel(flow, labels, weight, bias)
    table = labels.atoms(1).reshape(groups, -1)
    if flow.through_norms and table.shape[1] > 1:
        flow.atoms.union(table[:1], table)
        flow.atoms.mark(table, INEXACT)
        return result
    flow.atoms.union(table[:, :1], table)
    if groups == 1:
        flow.lock(table, "a norm over it")

    def shrink(_: Program, survivors: Survivors) -> None:
        set_argument(node, "num_groups", int(survivors.alive(table[:, 0]).sum()))

    flow.rewrites.append(shrink)
    return result


@couples(_ATEN.layer_norm.default)
def layer_norm(
    flow: Flow,
    node: Node,
    x: Node,
    shape: Sequence[int],
    weight: Node | None,
    bias: Node | None,
    *_: object,
) -> Labels:
    """What it is taken over stays whole, but for `through_norms`."""
    return _over_last(flow, node, flow.of(x), len(shape), weight, bias)


@couples(_ATEN.rms_norm.default)
def rms_norm(
    flow: Flow, node: Node, x: Node, shape: Sequence[int], weight: Node | None, *_: object
) -> Labels:
    """What it is taken over stays whole, but for `through_norms`."""
    return _over_last(flow, node, flow.of(x), len(shape), weight)


def _per_channel(flow: Flow, labels: Labels, *vectors: Node | None) -> Labels:
    """The labels with channels, dimension 1, that go with vectors: weight and bias come first."""
    for vector in vectors:
        if vector is not None:
            flow.unite(labels, 1, flow.apart(vector), 0)
            flow.use(vector, 0, "scale")
    channels = Block((1,), labels.atoms(1), _gives_zero(flow, *vectors[:2]))
    return labels.vanishing(False).with_block(1, channels)


def _over_last(flow: Flow, node: Node, labels: Labels, count: int, *vectors: Node | None) -> Labels:
    """The labels after a norm over the last `count` dimensions, with vectors of that shape."""
    first = len(labels.shape) - count
    for dim in range(first, len(labels.shape)):
        if flow.through_norms:
            labels = flow.decided(labels, dim)
            flow.atoms.mark(labels.atoms(dim), INEXACT)
        else:
            labels = flow.lock_dim(labels, dim, "a norm over it")
        for vector in vectors:
            if vector is not None:
                flow.unite(labels, dim, flow.apart(vector), dim - first)
                flow.use(vector, dim - first, "scale")
    scaled = _gives_zero(flow, *vectors)

    def shrink(_: Program, survivors: Survivors) -> None:
        sizes = [survivors.count(labels, dim) for dim in range(first, len(labels.shape))]
        set_argument(node, "normalized_shape", sizes)

    flow.rewrites.append(shrink)
    result = labels.vanishing(False)
    for dim in range(first, len(labels.shape)):
        block = result.block(dim)
        result = result.with_block(dim, Block(block.dims, block.atoms, scaled))
    return result


def _gives_zero(flow: Flow, weight: Node | None, bias: Node | None = None) -> bool:
    """Whether scaling by the weight and adding the bias gives 0 at dropped units."""
    scaled = weight is not None and flow.apart(weight).vanishes(-1)
    return scaled and (bias is None or flow.apart(bias).vanishes(-1))
