"""Recurrent layers: a hidden unit is one unit of every layer, direction and gate."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.fx import Node

from ...ir.program import node_specs
from ..atoms import Ints
from ..flow import Flow, Value
from ..labels import Block, Labels
from ..registry import couples

_ATEN = torch.ops.aten
_GATES = {
    _ATEN.lstm.input: 4,
    _ATEN.gru.input: 3,
    _ATEN.rnn_tanh.input: 1,
    _ATEN.rnn_relu.input: 1,
}


@couples(*_GATES)
def recurrent(
    flow: Flow,
    node: Node,
    x: Node,
    states: Node | Sequence[Node],
    weights: Sequence[Node],
    has_biases: bool,
    layers: int,
    dropout: float,
    training: bool,
    bidirectional: bool,
    batch_first: bool,
) -> Value:
    """Weights of each layer and direction: [gates * H, in], [gates * H, H] and two biases.

    One tensor holds the states of all layers, so that all must be equally wide: the unit of the
    same number is dropped in each. A dropped unit starts at 0 and stays 0.
    """
    states = [states] if isinstance(states, Node) else list(states)
    hidden = [flow.of(state).shape[-1] for state in states]
    if len(set(hidden)) > 1:
        return flow.unknown("a recurrent layer with projections")
    initial = [_last_dim(flow, flow.of(state)) for state in states]
    units, directions = initial[0].atoms(-1), 1 + bidirectional
    for labels in initial[1:]:
        flow.atoms.union(units, labels.atoms(-1))
    source = _last_dim(flow, flow.of(x))
    each = 2 + 2 * has_biases
    for number in range(layers * directions):
        below = np.tile(units, directions) if number >= directions else source.atoms(-1)
        _tie(flow, weights[number * each : (number + 1) * each], below, units)
    zero = all(labels.vanishes(-1) for labels in initial)
    vanishes = zero and all(flow.apart(weight).vanishes(0) for weight in weights)
    outputs = Block((0,), np.tile(units, directions), vanishes)
    kept = Block((0,), units, vanishes)
    results = [_result(flow, node, index, kept) for index in range(1, len(states) + 1)]
    return (_result(flow, node, 0, outputs), *results)


def _last_dim(flow: Flow, labels: Labels) -> Labels:
    """The labels with nothing but the last dimension free."""
    for dim in range(len(labels.shape) - 1):
        labels = flow.lock_dim(labels, dim, "a recurrence along it")
    return flow.alone(labels, -1)


def _tie(flow: Flow, weights: Sequence[Node], below: Ints, units: Ints) -> None:
    """Unite the weights of one layer and direction with what it reads and gives."""
    from_below, from_before, *biases = weights
    flow.atoms.union(flow.apart(from_below).atoms(1), below)
    flow.atoms.union(flow.apart(from_before).atoms(1), units)
    for weight in weights:
        gates = flow.apart(weight).atoms(0).reshape(-1, len(units))
        flow.atoms.union(units, gates)
    for weight in (from_below, from_before):
        flow.use(weight, 0, "out")
        flow.use(weight, 1, "in")
    for bias in biases:
        flow.use(bias, 0, "scale")


def _result(flow: Flow, node: Node, index: int, last: Block) -> Labels:
    specs = node_specs(node)
    assert isinstance(specs, tuple), node
    spec = specs[index]
    assert spec is not None, node
    fixed = flow.fixed(spec.shape, "a recurrence along it")
    dim = len(spec.shape) - 1
    return fixed.with_block(dim, last.moved({0: dim}))
