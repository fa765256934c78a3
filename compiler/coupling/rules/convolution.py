"""Convolutions: channels in and out; grouped ones by whole groups or the same part of each."""

import numpy as np
import torch
from torch.fx import Node

from ...ir.program import Program, node_spec
from ..arguments import set_argument
from ..atoms import Ints
from ..flow import Flow
from ..labels import Block, Labels
from ..registry import couples
from ..survivors import Survivors

_ATEN = torch.ops.aten
_SPATIAL = "it is a position in space"
_WINDOW = "it is a position of a convolution's window"
_WHOLE = "groups are dropped whole"


_DIRECT = (
    *(_ATEN.conv1d.default, _ATEN.conv2d.default, _ATEN.conv3d.default),
    *(_ATEN.conv1d.padding, _ATEN.conv2d.padding, _ATEN.conv3d.padding),
)
_TRANSPOSED = (
    *(_ATEN.conv_transpose1d.default, _ATEN.conv_transpose2d.input),
    _ATEN.conv_transpose3d.input,
)
CONVOLUTIONS = frozenset({*_DIRECT, *_TRANSPOSED})


@couples(*_DIRECT)
def convolution(
    flow: Flow,
    node: Node,
    x: Node,
    weight: Node,
    bias: Node | None,
    stride: object,
    padding: object,
    dilation: object,
    groups: int,
) -> Labels:
    """Weight [out, in / groups, window]."""
    kernel, labels = flow.apart(weight), _source(flow, x, weight)
    source, outputs = labels.atoms(1 - len(kernel.shape)), kernel.atoms(0)
    flow.use(weight, 0, "out")
    flow.use(weight, 1, "in")
    if groups == 1:
        flow.atoms.union(source, kernel.atoms(1))
    elif _by_whole_groups(groups, kernel.shape[1]):
        firsts = _tied(flow, source, groups, axis=1)
        flow.atoms.union(firsts, _tied(flow, outputs, groups, axis=1))
        flow.lock(kernel.atoms(1), _WHOLE)
        _count_groups(flow, node, firsts)
    else:
        flow.atoms.union(_tied(flow, source, groups, axis=0), kernel.atoms(1))
        _tied(flow, outputs, groups, axis=0)
    return _result(flow, node, labels, weight, bias, outputs)


@couples(*_TRANSPOSED)
def transposed_convolution(
    flow: Flow,
    node: Node,
    x: Node,
    weight: Node,
    bias: Node | None,
    stride: object,
    padding: object,
    output_padding: object,
    groups: int,
    dilation: object,
) -> Labels:
    """Weight [in, out / groups, window]."""
    kernel, labels = flow.apart(weight), _source(flow, x, weight)
    source, outputs = labels.atoms(1 - len(kernel.shape)), kernel.atoms(1)
    flow.atoms.union(source, kernel.atoms(0))
    whole = groups > 1 and _by_whole_groups(groups, kernel.shape[1])
    flow.use(weight, 0, "out" if whole else "in")
    flow.use(weight, 1, "in" if whole else "out")
    if whole:
        firsts = _tied(flow, source, groups, axis=1)
        flow.lock(outputs, _WHOLE)
        outputs = np.repeat(firsts, kernel.shape[1])
        _count_groups(flow, node, firsts)
    elif groups > 1:
        _tied(flow, source, groups, axis=0)
        outputs = np.tile(outputs, groups)
    return _result(flow, node, labels, weight, bias, outputs)


def _source(flow: Flow, x: Node, weight: Node) -> Labels:
    """The labels of the input: its channels stand alone, nothing of its space can be dropped."""
    labels, spatial = flow.of(x), len(flow.apart(weight).shape) - 2
    for dim in range(-spatial, 0):
        labels = flow.lock_dim(labels, dim, _SPATIAL)
        flow.lock_dim(flow.apart(weight), dim, _WINDOW)
    return flow.alone(labels, -spatial - 1)


def _by_whole_groups(groups: int, width: int) -> bool:
    """Whether dropping whole groups leaves more choices than the same part of each."""
    return groups >= width


def _tied(flow: Flow, channels: Ints, groups: int, *, axis: int) -> Ints:
    """Unite channels, seen as [groups, width], along an axis; the atoms of the other one."""
    table = channels.reshape(groups, -1)
    first = table.take([0], axis)
    flow.atoms.union(first, table)
    return first.ravel()


def _count_groups(flow: Flow, node: Node, groups: Ints) -> None:
    def shrink(_: Program, survivors: Survivors) -> None:
        set_argument(node, "groups", int(survivors.alive(groups).sum()))

    flow.rewrites.append(shrink)


def _result(
    flow: Flow, node: Node, source: Labels, weight: Node, bias: Node | None, outputs: Ints
) -> Labels:
    shape, batched = node_spec(node).shape, len(source.shape) == len(flow.apart(weight).shape)
    vanishes = flow.apart(weight).vanishes(0)
    if bias is not None:
        flow.atoms.union(outputs, flow.apart(bias).atoms(0))
        flow.use(bias, 0, "scale")
        vanishes = vanishes and flow.apart(bias).vanishes(0)
    spatial = range(int(batched) + 1, len(shape))
    blocks = [flow.fixed_block(dim, shape[dim], _SPATIAL) for dim in spatial]
    blocks.append(Block((int(batched),), outputs, vanishes))
    if batched:
        blocks.append(Block((0,), flow.alone(source, 0).atoms(0)))
    return Labels(shape, tuple(blocks))
