"""Reshape, expand and permute: the same elements under other dimensions."""

from collections.abc import Sequence

import torch
from torch.fx import Node

from ...ir.program import Program, node_spec
from ..arguments import set_argument
from ..flow import Flow
from ..labels import Block, Labels
from ..registry import couples
from ..reshaping import reshaped
from ..survivors import Survivors

_ATEN = torch.ops.aten


@couples(
    _ATEN.reshape.default,
    _ATEN.view.default,
    _ATEN._unsafe_view.default,
    _ATEN.flatten.using_ints,
    _ATEN.unflatten.int,
    _ATEN.squeeze.default,
    _ATEN.squeeze.dim,
    _ATEN.squeeze.dims,
    _ATEN.unsqueeze.default,
)
def reshape(flow: Flow, node: Node, x: Node, *_: object) -> Labels:
    """Positions keep their atoms; the sizes in the call are counts of what stays."""
    shape = list(node_spec(node).shape)
    result = reshaped(flow, flow.of(x), shape)

    def shrink(_: Program, survivors: Survivors) -> None:
        if (smaller := survivors.shape(result)) != shape:
            node.target, node.kwargs = _ATEN.reshape.default, {}
            node.args = (node.args[0], smaller)

    flow.rewrites.append(shrink)
    return result


@couples(_ATEN.expand.default)
def expand(flow: Flow, node: Node, x: Node, *_: object) -> Labels:
    """New positions repeat what is there, so any number of them may stay."""
    shape, labels = node_spec(node).shape, flow.of(x)
    offset = len(shape) - len(labels.shape)
    places = {dim: dim + offset for dim in range(len(labels.shape))}
    moved = [block.moved(places) for block in labels.blocks]
    kept = [b for b in moved if b.is_joint or b.atoms.size == shape[b.dims[0]]]
    covered = {dim for block in kept for dim in block.dims}
    fresh = [Block((d,), flow.atoms.new(n, 0)) for d, n in enumerate(shape) if d not in covered]
    result = Labels(shape, (*kept, *fresh))

    def shrink(_: Program, survivors: Survivors) -> None:
        set_argument(node, "size", survivors.shape(result))

    flow.rewrites.append(shrink)
    return result


@couples(_ATEN.permute.default)
def permute(flow: Flow, node: Node, x: Node, dims: Sequence[int]) -> Labels:
    """Dimensions in another order."""
    return flow.of(x).part([dim % len(dims) for dim in dims])


@couples(_ATEN.transpose.int)
def transpose(flow: Flow, node: Node, x: Node, first: int, second: int) -> Labels:
    """Two dimensions exchanged."""
    dims = list(range(len(flow.of(x).shape)))
    dims[first], dims[second] = dims[second], dims[first]
    return flow.of(x).part(dims)


@couples(_ATEN.t.default)
def t(flow: Flow, node: Node, x: Node) -> Labels:
    """The dimensions of a matrix exchanged."""
    return flow.of(x).part(list(reversed(range(len(flow.of(x).shape)))))
