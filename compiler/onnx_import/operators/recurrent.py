"""Recurrent layers: PyTorch's own where they say the same, else one step after the other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..call import Call
from ..registry import onnx_op
from .recurrent_steps import Cell, activations_of, run_steps

_MOST_STEPS = 1000
_DIRECTIONS = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}


@dataclass(frozen=True)
class _Layer:
    """A recurrent layer; its directions are one axis of all its weights.

    Args:
        x: [T, N, I].
        weight: [D, gates * H, I].
        recurrent: [D, gates * H, H].
        biases: [D, 2 gates * H], those of `weight` first; or None.
        states: Each [D, N, H].
        lengths: Steps of each sequence, None if all have T.
        is_reverse: For each direction.
        is_batch_first: Whether the node has the batch in front of time and directions.
    """

    x: Tensor
    weight: Tensor
    recurrent: Tensor
    biases: Tensor | None
    states: list[Tensor]
    lengths: Tensor | None
    is_reverse: list[bool]
    is_batch_first: bool

    @property
    def size(self) -> int:
        return self.recurrent.shape[-1]


def _layer(call: Call, state_inputs: Sequence[int]) -> _Layer:
    """What the inputs and attributes of a node mean."""
    direction = call.attribute("direction", "forward")
    if direction not in _DIRECTIONS:
        raise call.refused(f"attribute direction is {direction!r}")
    is_batch_first = bool(call.attribute("layout", 0))
    x, weight, recurrent = (call.tensor(index) for index in range(3))
    x = x.transpose(0, 1) if is_batch_first else x
    ways, size = len(_DIRECTIONS[direction]), recurrent.shape[-1]
    if call.attribute("hidden_size", size) != size or recurrent.shape[0] != ways:
        raise call.refused(f"{ways} directions, weights of {list(recurrent.shape)}")
    none = torch.zeros(ways, x.shape[1], size, dtype=x.dtype)
    states = [_directions_first(call.optional(index), is_batch_first) for index in state_inputs]
    return _Layer(
        x,
        weight,
        recurrent,
        call.optional(3),
        [none if state is None else state for state in states],
        _lengths(call, x.shape[0]),
        _DIRECTIONS[direction],
        is_batch_first,
    )


def _directions_first(state: Tensor | None, is_batch_first: bool) -> Tensor | None:
    return state if state is None or not is_batch_first else state.transpose(0, 1)


def _lengths(call: Call, steps: int) -> Tensor | None:
    if not call.has(4) or (call.is_known(4) and set(call.known_ints(4)) == {steps}):
        return None
    return call.tensor(4)


@onnx_op("LSTM")
def lstm(call: Call) -> tuple[Tensor, ...]:
    layer = _layer(call, (5, 6))
    activations = activations_of(call, ["Sigmoid", "Tanh", "Tanh"], len(layer.is_reverse))
    peepholes, forgets = call.optional(7), bool(call.attribute("input_forget", 0))
    if activations is None and peepholes is None and not forgets and _is_plain(call, layer):
        return _native(layer, torch.lstm, [0, 2, 3, 1])  # i, o, f, c -> i, f, c, o

    def cell(way: int) -> Cell:
        functions = activations_of(call, ["Sigmoid", "Tanh", "Tanh"], 2, always=True)
        assert functions is not None
        to_gate, to_cell, to_hidden = functions[3 * way : 3 * way + 3]
        peeps = None if peepholes is None else peepholes[way].chunk(3)

        def step(gates: Tensor, states: list[Tensor], recurrent: Tensor) -> list[Tensor]:
            hidden, old = states
            total = gates + torch.matmul(hidden, recurrent.t())
            enter, leave, keep, new = total.chunk(4, -1)
            if peeps is not None:
                enter, keep = enter + peeps[0] * old, keep + peeps[2] * old
            entering = to_gate(enter)
            kept = 1 - entering if forgets else to_gate(keep)
            now = kept * old + entering * to_cell(new)
            leave = leave if peeps is None else leave + peeps[1] * now
            return [to_gate(leave) * to_hidden(now), now]

        return step

    return _stepwise(call, layer, cell, _summed_biases(layer))


@onnx_op("GRU")
def gru(call: Call) -> tuple[Tensor, ...]:
    layer = _layer(call, (5,))
    activations = activations_of(call, ["Sigmoid", "Tanh"], len(layer.is_reverse))
    resets_after = bool(call.attribute("linear_before_reset", 0))
    if activations is None and resets_after and _is_plain(call, layer):
        return _native(layer, torch.gru, [1, 0, 2])  # z, r, h -> r, z, h

    def cell(way: int) -> Cell:
        functions = activations_of(call, ["Sigmoid", "Tanh"], 2, always=True)
        assert functions is not None
        to_gate, to_hidden = functions[2 * way : 2 * way + 2]
        size = layer.size
        inner = None if layer.biases is None else layer.biases[way, 3 * size :]

        def step(gates: Tensor, states: list[Tensor], recurrent: Tensor) -> list[Tensor]:
            hidden = states[0]
            both, last = recurrent[: 2 * size], recurrent[2 * size :]
            known = torch.matmul(hidden, both.t())
            known = known if inner is None else known + inner[: 2 * size]
            update, reset = to_gate(gates[..., : 2 * size] + known).chunk(2, -1)
            seen = hidden if resets_after else reset * hidden
            linear = torch.matmul(seen, last.t())
            linear = linear if inner is None else linear + inner[2 * size :]
            linear = reset * linear if resets_after else linear
            new = to_hidden(gates[..., 2 * size :] + linear)
            return [(1 - update) * new + update * hidden]

        return step

    outer = None if layer.biases is None else layer.biases.chunk(2, -1)[0]
    return _stepwise(call, layer, cell, outer)


@onnx_op("RNN")
def rnn(call: Call) -> tuple[Tensor, ...]:
    layer = _layer(call, (5,))
    names = set(call.attribute("activations", ["Tanh"]))
    natives = {"Tanh": torch.rnn_tanh, "Relu": torch.rnn_relu}
    if len(names) == 1 and (native := natives.get(min(names))) and _is_plain(call, layer):
        return _native(layer, native, [0])

    def cell(way: int) -> Cell:
        functions = activations_of(call, ["Tanh"], 2, always=True)
        assert functions is not None
        to_hidden = functions[way]

        def step(gates: Tensor, states: list[Tensor], recurrent: Tensor) -> list[Tensor]:
            return [to_hidden(gates + torch.matmul(states[0], recurrent.t()))]

        return step

    return _stepwise(call, layer, cell, _summed_biases(layer))


def _is_plain(call: Call, layer: _Layer) -> bool:
    """Whether sequences are all of one length and values are not clipped."""
    return layer.lengths is None and "clip" not in call.attributes


def _summed_biases(layer: _Layer) -> Tensor | None:
    if layer.biases is None:
        return None
    first, second = layer.biases.chunk(2, -1)
    return first + second


def _native(
    layer: _Layer, function: Callable[..., tuple[Tensor, ...]], order: list[int]
) -> tuple[Tensor, ...]:
    """The layer as PyTorch's; `order` has the gates of ONNX in PyTorch's order."""

    def ordered(value: Tensor) -> Tensor:
        gates = value.chunk(len(order))
        return torch.cat([gates[index] for index in order]) if len(order) > 1 else value

    parameters: list[Tensor] = []
    for way in range(len(layer.is_reverse)):
        parameters += [ordered(layer.weight[way]), ordered(layer.recurrent[way])]
        if layer.biases is not None:
            parameters += [ordered(half) for half in layer.biases[way].chunk(2)]
    is_backward = layer.is_reverse == [True]
    x = layer.x.flip(0) if is_backward else layer.x
    states = layer.states if len(layer.states) > 1 else layer.states[0]
    options = layer.biases is not None, 1, 0.0, False, len(layer.is_reverse) == 2, False
    joined, *last = function(x, states, parameters, *options)
    joined = joined.flip(0) if is_backward else joined
    steps, batch = joined.shape[:2]
    all_states = joined.reshape(steps, batch, len(layer.is_reverse), layer.size)
    return _results(layer, all_states.transpose(1, 2), last)


def _stepwise(
    call: Call, layer: _Layer, cell: Callable[[int], Cell], biases: Tensor | None
) -> tuple[Tensor, ...]:
    """The layer one step after the other, each direction on its own."""
    if layer.x.shape[0] > _MOST_STEPS:
        raise call.refused(f"{layer.x.shape[0]} steps of a layer that PyTorch does not have")
    directions = []
    for way, is_reverse in enumerate(layer.is_reverse):
        gates = torch.matmul(layer.x, layer.weight[way].t())
        gates = gates if biases is None else gates + biases[way]
        states, recurrent = [state[way] for state in layer.states], layer.recurrent[way]
        directions.append(run_steps(cell(way), gates, states, recurrent, layer.lengths, is_reverse))
    all_states = torch.stack([direction[0] for direction in directions], 1)
    parts = zip(*(direction[1] for direction in directions), strict=True)
    return _results(layer, all_states, [torch.stack(list(states)) for states in parts])


def _results(layer: _Layer, all_states: Tensor, last: list[Tensor]) -> tuple[Tensor, ...]:
    """All states [T, D, N, H] and the last ones [D, N, H], in the layout of the node."""
    if not layer.is_batch_first:
        return (all_states, *last)
    return (all_states.permute(2, 0, 1, 3), *(state.transpose(0, 1) for state in last))
