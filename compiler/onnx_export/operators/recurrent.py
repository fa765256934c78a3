"""Recurrent layers; ONNX has its own order of gates and one matrix for each direction."""

from collections.abc import Sequence

import torch

from ..emitter import Emitter, Value
from ..registry import emits

_ATEN = torch.ops.aten
_GATES = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}  # PyTorch's places in ONNX's order


@emits(_ATEN.lstm.input)
def lstm(
    emit: Emitter,
    x: Value,
    states: Sequence[Value],
    weights: Sequence[Value],
    has_biases: bool,
    layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> list[Value]:
    return _stacked(emit, "LSTM", x, states, weights, has_biases, bidirectional, batch_first, {})


@emits(_ATEN.gru.input)
def gru(
    emit: Emitter,
    x: Value,
    state: Value,
    weights: Sequence[Value],
    has_biases: bool,
    layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> list[Value]:
    options: dict[str, object] = {"linear_before_reset": 1}
    return _stacked(
        emit, "GRU", x, [state], weights, has_biases, bidirectional, batch_first, options
    )


@emits(_ATEN.rnn_tanh.input, _ATEN.rnn_relu.input)
def rnn(
    emit: Emitter,
    x: Value,
    state: Value,
    weights: Sequence[Value],
    has_biases: bool,
    layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> list[Value]:
    function = "Tanh" if "tanh" in emit.operator else "Relu"
    options: dict[str, object] = {"activations": [function] * (1 + bidirectional)}
    return _stacked(
        emit, "RNN", x, [state], weights, has_biases, bidirectional, batch_first, options
    )


def _stacked(
    emit: Emitter,
    op_type: str,
    x: Value,
    states: Sequence[Value],
    weights: Sequence[Value],
    has_biases: bool,
    bidirectional: bool,
    batch_first: bool,
    options: dict[str, object],
) -> list[Value]:
    """The layers one after the other; x [T, N, I] and states [layers * directions, N, H]."""
    directions, each = 1 + bidirectional, 4 if has_biases else 2
    per_layer = directions * each
    if len(weights) % per_layer:
        raise emit.refused("projections of the hidden state")
    count, hidden = len(weights) // per_layer, states[0].shape[-1]
    options = {**options, "hidden_size": hidden}
    if bidirectional:
        options["direction"] = "bidirectional"
    time, batch = (1, 0) if batch_first else (0, 1)
    steps, samples = x.shape[time], x.shape[batch]
    sequence = emit.transpose(x, (1, 0, 2)) if batch_first else x
    first = [_parts(emit, state, count, directions) for state in states]
    last: list[list[Value]] = []
    for layer in range(count):
        own = weights[layer * per_layer : (layer + 1) * per_layer]
        packed = _packed(emit, op_type, own, each, directions)
        begin = [parts[layer] for parts in first]
        results = emit.several(
            op_type, sequence, *packed, None, *begin, count=1 + len(states), **options
        )
        last.append(results[1:])
        turned = emit("Transpose", results[0], perm=[0, 2, 1, 3])  # [T, D, N, H]
        sequence = emit.reshape(turned, (steps, samples, directions * hidden))
    if batch_first:
        sequence = emit("Transpose", sequence, perm=[1, 0, 2])
    ends = [emit("Concat", *parts, axis=0) for parts in zip(*last, strict=True)]
    return [sequence, *ends]


def _parts(emit: Emitter, state: Value, count: int, directions: int) -> list[Value]:
    """The states of each layer."""
    if count == 1:
        return [state]
    sizes = emit.ints([directions] * count)
    return emit.several("Split", state, sizes, count=count, axis=0)


def _packed(
    emit: Emitter, op_type: str, weights: Sequence[Value], each: int, directions: int
) -> list[Value | None]:
    """Weights of inputs and of states, and biases, of one layer: [D, ...] with ONNX's gates."""
    groups = [weights[d * each : (d + 1) * each] for d in range(directions)]
    columns = list(zip(*groups, strict=True))
    packed: list[Value | None] = [_of_directions(emit, op_type, column) for column in columns[:2]]
    if each == 2:
        return [*packed, None]
    biases = [_of_directions(emit, op_type, column) for column in columns[2:]]
    return [*packed, emit("Concat", *biases, axis=1)]


def _of_directions(emit: Emitter, op_type: str, parts: Sequence[Value]) -> Value:
    """[D, gates * H, ...] of parts [gates * H, ...], by nodes, so that weights keep their names."""
    gates = _GATES[op_type]
    ordered = []
    for part in parts:
        size = part.shape[0] // len(gates)
        value = part
        if len(gates) > 1:
            split = emit.several(
                "Split", part, emit.ints([size] * len(gates)), count=len(gates), axis=0
            )
            value = emit("Concat", *(split[gate] for gate in gates), axis=0)
        ordered.append(emit.reshape(value, (1, *part.shape)))
    return ordered[0] if len(ordered) == 1 else emit("Concat", *ordered, axis=0)
