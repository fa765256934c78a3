"""The sequential part of a recurrent layer: for each time step, a product with the state.

The loop over time stays a loop, so that long sequences cost no compile time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from tvm import te, tirx

from ..builder import KernelBuilder
from .indices import Index
from .registers import in_steps, sequence
from .row_product import RowProduct, Sums
from .statements import Statements, for_each, load, loop, store


@dataclass(frozen=True)
class Sequences:
    """Sizes of a batch of sequences, and where a time step lies in a tensor of them."""

    batch: int
    time: int
    batch_first: bool

    def at(self, b: Index, t: Index, last: Index) -> list[Index]:
        """Index into, or shape of, a tensor of sequences."""
        return [b, t, last] if self.batch_first else [t, b, last]


@dataclass(frozen=True)
class Cell:
    """A kind of recurrent cell: how its gates make the next state, as statements in order."""

    gates: int
    step: Callable[["Unit"], list[Any]]


@dataclass(frozen=True, kw_only=True)
class Direction:
    """What one direction of a layer computes with."""

    inputs: te.Tensor  # projected inputs, sequences of [gates * units]
    weights: te.Tensor  # [gates * units, hidden]
    bias: te.Tensor | None  # [gates * units]
    projection: te.Tensor | None  # [hidden, units]: h is this times what the cell gives
    place: int  # of its initial state among all layers and directions
    reverse: bool  # from the last time step to the first


def recur(
    cell: Cell,
    directions: Sequence[Direction],
    states: Sequence[te.Tensor],
    sequences: Sequences,
    kernel: KernelBuilder,
) -> list[te.Tensor]:
    """Outputs of one layer for all time steps, then its last h (and c) [directions, batch, size].

    `states` are the initial ones of all layers and directions, same axes.
    """
    code = Statements()
    dtype = str(states[0].dtype)
    sizes = [int(state.shape[-1]) for state in states]
    shape = sequences.at(sequences.batch, sequences.time, sizes[0] * len(directions))
    outputs = code.output(shape, dtype)
    lasts = [code.output((len(directions), sequences.batch, size), dtype) for size in sizes]
    starts = [code.input(state) for state in states]
    for index, direction in enumerate(directions):
        for start, last, size in zip(starts, lasts, sizes, strict=True):
            begin = partial(_begin, start, direction.place, last, index)
            code.add(for_each([sequences.batch, size], begin))
        steps = _Steps(code, cell, direction, index, outputs, lasts, sequences, kernel)
        code.add(steps.over_time())
    return code.tensors("recurrence")[: 1 + len(states)]


class _Steps:
    """The statements of one direction of a layer."""

    def __init__(
        self,
        code: Statements,
        cell: Cell,
        direction: Direction,
        index: int,
        outputs: Any,
        states: Sequence[Any],
        sequences: Sequences,
        kernel: KernelBuilder,
    ) -> None:
        self.cell, self.index, self.sequences = cell, index, sequences
        self.outputs, self.states, self.reverse = outputs, states, direction.reverse
        self.size = int(states[0].shape[-1])  # of h
        self.units = int(direction.weights.shape[0]) // cell.gates
        self.inputs = code.input(direction.inputs)
        self.product = RowProduct(code, direction.weights, direction.bias, cell.gates, kernel)
        self.projection = None
        if direction.projection is not None:
            self.projection = RowProduct(code, direction.projection, None, 1, kernel)
            self.unprojected = code.output([self.units], self.product.dtype)

    def over_time(self) -> Any:
        """The loop over time steps, and over sequences inside, some at once."""
        step = tirx.Var("step", "int32")
        t = self.sequences.time - 1 - step if self.reverse else step
        most = self.product.most_rows if self.projection is None else 1
        tiles = -(-self.sequences.batch // most)
        rows = in_steps(
            self.sequences.batch, -(-self.sequences.batch // tiles), partial(self._rows, t)
        )
        return loop(step, 0, self.sequences.time, sequence(rows))

    def output(self, b: Index, t: Index, unit: Index) -> list[Index]:
        """Where the outputs have h of a time step."""
        return self.sequences.at(b, t, self.index * self.size + unit)

    def _rows(self, t: Index, first: Index, count: int) -> Any:
        """One time step of some sequences."""
        numbers = [first + i for i in range(count)]
        code = self.product.statements(
            [partial(self._old, b) for b in numbers], [partial(self._step, b, t) for b in numbers]
        )
        if self.projection is not None:
            code += self.projection.statements(
                [lambda k: load(self.unprojected, [k])],
                [
                    lambda sums: [
                        store(self.outputs, sums.load(0), self.output(first, t, sums.unit))
                    ]
                ],
            )
        for b in numbers:
            code.append(for_each([self.size], partial(self._keep, b, t)))
        return tirx.SeqStmt(code)

    def _old(self, b: Index, k: Index) -> Any:
        return load(self.states[0], [self.index, b, k])

    def _step(self, b: Index, t: Index, sums: Sums) -> list[Any]:
        return self.cell.step(Unit(self, b, t, sums))

    def _keep(self, b: Index, t: Index, at: Sequence[Index]) -> Any:
        """Make h the new one, now that no unit needs the old one any more."""
        (unit,) = at
        new = load(self.outputs, self.output(b, t, unit))
        return store(self.states[0], new, [self.index, b, unit])


@dataclass(frozen=True)
class Unit:
    """One hidden unit at one time step, as a cell reads and writes it.

    What a cell writes it can read again, but for h: that stays the one of the step before.
    """

    steps: _Steps
    b: Index
    t: Index
    sums: Sums  # recurrent projections, one for each gate, with their bias

    @property
    def dtype(self) -> str:
        """The dtype that the cell computes in."""
        return self.steps.product.dtype

    def inputs(self, gate: int) -> Any:
        """The input projection of a gate."""
        place = gate * self.steps.units + self.sums.unit
        at = self.steps.sequences.at(self.b, self.t, place)
        return load(self.steps.inputs, at).astype(self.dtype)

    def hidden(self) -> Any:
        """The h of the step before."""
        return self._state(0)

    def memory(self) -> Any:
        """The c of an LSTM."""
        return self._state(1)

    def set_memory(self, value: Any) -> Any:
        """The statement that writes c."""
        return store(self.steps.states[1], value, [self.steps.index, self.b, self.sums.unit])

    def set_hidden(self, value: Any) -> Any:
        """The statement that writes the new h, or what the projection makes h from."""
        if self.steps.projection is not None:
            return store(self.steps.unprojected, value, [self.sums.unit])
        return store(self.steps.outputs, value, self.steps.output(self.b, self.t, self.sums.unit))

    def _state(self, which: int) -> Any:
        value = load(self.steps.states[which], [self.steps.index, self.b, self.sums.unit])
        return value.astype(self.dtype)


def _begin(start: Any, place: int, state: Any, index: int, at: Sequence[Index]) -> Any:
    return store(state, load(start, [place, *at]), [index, *at])
