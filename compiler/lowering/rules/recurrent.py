"""Recurrent layers: input projections of all time steps as one product, then the recurrence."""

from collections.abc import Sequence
from functools import partial, update_wrapper
from typing import Any

import torch
from tvm import te, tirx

from ...errors import CompileError
from ...ir.tensor_spec import TensorSpec
from ..builder import KernelBuilder
from ..math import sigmoid, tanh
from ..registry import lowers
from .gemm import accumulator, flat_product, right_operand
from .indices import Index, shape_of
from .joining import cat
from .recurrence import Cell, Direction, Sequences, Unit, recur

aten = torch.ops.aten


def recurrent(
    cell: Cell,
    x: te.Tensor,
    hx: te.Tensor | Sequence[te.Tensor],
    params: Sequence[te.Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
    *,
    out: tuple[TensorSpec, ...],
    kernel: KernelBuilder,
) -> list[te.Tensor]:
    """Outputs for all time steps, the last h and perhaps the last c.

    Each layer and direction has weights W, U, biases b, d if `has_biases`, and perhaps P; a cell
    combines its gates of W x + b and U h + d. Each layer reads the outputs of the one before.
    """
    if train and dropout:
        raise CompileError("recurrent layers with dropout are random", fix="call model.eval()")
    states = list(hx) if isinstance(hx, Sequence) else [hx]
    batch, time = shape_of(x)[:2] if batch_first else shape_of(x)[1::-1]
    sequences = Sequences(batch, time, batch_first)
    ways = 2 if bidirectional else 1
    count = len(params) // (num_layers * ways)
    lasts: list[list[te.Tensor]] = []
    for layer in range(num_layers):
        places = range(layer * ways, (layer + 1) * ways)
        directions = [
            _direction(x, params[place * count :][:count], has_biases, place, ways, kernel)
            for place in places
        ]
        x, *last = recur(cell, directions, states, sequences, kernel)
        lasts.append(last)
    joined = [
        parts[0] if num_layers == 1 else cat(parts, 0, out=spec)
        for parts, spec in zip(zip(*lasts, strict=True), out[1:], strict=True)
    ]
    return [x, *joined]


def _direction(
    x: te.Tensor,
    params: Sequence[te.Tensor],
    has_biases: bool,
    place: int,
    ways: int,
    kernel: KernelBuilder,
) -> Direction:
    """One of the `ways` directions of a layer that reads x; `place` counts through all layers."""
    weights, recurrent_weights, *rest = params
    bias, recurrent_bias = rest[:2] if has_biases else (None, None)
    projection = rest[2 * has_biases :]
    dtype = accumulator(str(x.dtype))

    def finish(value: Any, at: Sequence[Index]) -> Any:
        return value if bias is None else value + bias(at[-1]).astype(dtype)

    spec = TensorSpec((*shape_of(x)[:2], int(weights.shape[0])), dtype)
    return Direction(
        inputs=flat_product(x, right_operand(weights, kernel, k_last=True), spec, finish),
        weights=recurrent_weights,
        bias=recurrent_bias,
        projection=projection[0] if projection else None,
        place=place,
        reverse=place % ways == 1,
    )


def _lstm_step(unit: Unit) -> list[Any]:
    """c' = sigmoid(f) c + sigmoid(i) tanh(g); h' = sigmoid(o) tanh(c'); gates i, f, g, o."""
    i, f, g, o = (unit.inputs(gate) + unit.sums.load(gate) for gate in range(4))
    memory = sigmoid(f) * unit.memory() + sigmoid(i) * tanh(g)
    return [unit.set_memory(memory), unit.set_hidden(sigmoid(o) * tanh(unit.memory()))]


def _gru_step(unit: Unit) -> list[Any]:
    """n = tanh(x_n + sigmoid(r) s_n); h' = (1 - sigmoid(z)) n + sigmoid(z) h; gates r, z, n."""
    r, z = (unit.inputs(gate) + unit.sums.load(gate) for gate in range(2))
    new = tanh(unit.inputs(2) + sigmoid(r) * unit.sums.load(2))
    kept = unit.sums.load(2)  # holds `new` by then
    return [
        unit.sums.store(2, new),
        unit.set_hidden(kept + sigmoid(z) * (unit.hidden() - kept)),
    ]


def _tanh_step(unit: Unit) -> list[Any]:
    """h' = tanh(x + s)."""
    return [unit.set_hidden(tanh(unit.inputs(0) + unit.sums.load(0)))]


def _relu_step(unit: Unit) -> list[Any]:
    """h' = max(x + s, 0)."""
    total = unit.inputs(0) + unit.sums.load(0)
    return [unit.set_hidden(tirx.max(total, tirx.const(0, unit.dtype)))]


CELLS = {
    aten.lstm.input: Cell(4, _lstm_step),
    aten.gru.input: Cell(3, _gru_step),
    aten.rnn_tanh.input: Cell(1, _tanh_step),
    aten.rnn_relu.input: Cell(1, _relu_step),
}
for _op, _cell in CELLS.items():
    lowers(_op)(update_wrapper(partial(recurrent, _cell), recurrent))
