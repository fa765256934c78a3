"""Rows times a matrix inside of statements, the sums of a block of units in vector registers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from tvm import te, tirx

from ..builder import Array, KernelBuilder
from .gemm import accumulator
from .indices import Index, guarded
from .registers import allocated, in_steps, registers, sequence, unrolled, vector
from .statements import Statements, load, loop, store

_VECTORS = {1: 4, 3: 2, 4: 2}  # gates -> vectors of units per block: 4 to 8 sums in flight


@dataclass(frozen=True)
class _Vector:
    """Neighboring units, whose sums are one vector for each gate."""

    sums: Any  # [(row * vectors + vector) * gates + gate, lane], in registers
    place: int  # of the sums of gate 0
    first: Index  # unit in lane 0
    count: int  # lanes in use

    def each(self, body: Callable[[Any], Any]) -> Any:
        """A statement for all lanes at once."""
        return vector(self.count, body)


@dataclass(frozen=True)
class Sums:
    """The finished sums of one unit, one for each gate."""

    vector: _Vector
    lane: Any

    @property
    def unit(self) -> Index:
        """The unit whose sums they are."""
        return self.vector.first + self.lane

    def load(self, gate: int) -> Any:
        """The sum of a gate, or what was stored over it."""
        return load(self.vector.sums, [self.vector.place + gate, self.lane])

    def store(self, gate: int, value: Any) -> Any:
        """The statement that puts a value in the place of the sum of a gate."""
        return store(self.vector.sums, value, [self.vector.place + gate, self.lane])


Row = Callable[[Index], Any]  # k -> element
Finish = Callable[[Sums], list[Any]]  # sums of a unit -> statements that use them


class RowProduct:
    """sums[gate, unit] = bias[gate, unit] + sum_k row[k] * weights[gate, unit, k].

    Args:
        code: The statements it is part of.
        weights: [gates * units, k]; a constant is packed at compile time.
        bias: [gates * units] or None.
        gates: Sums of each unit.
        kernel: The kernel it is part of.
    """

    def __init__(
        self,
        code: Statements,
        weights: te.Tensor,
        bias: te.Tensor | None,
        gates: int,
        kernel: KernelBuilder,
    ) -> None:
        rows, self._depth = (int(size) for size in weights.shape)
        self._gates, self._units = gates, rows // gates
        self.dtype = accumulator(str(weights.dtype))
        self._lanes = kernel.lanes(self.dtype)
        self._steps = min(4, self._lanes)
        self._registers = max(16, kernel.target.simd_registers)
        self._width = min(_VECTORS[gates], -(-self._units // self._lanes)) * self._lanes
        self._weights = code.input(_packed(weights, gates, self._width, kernel))
        self._bias = None if bias is None else code.input(bias)

    @property
    def most_rows(self) -> int:
        """How many rows at once leave registers for weights and inputs."""
        sums = self._gates * self._width // self._lanes
        return max(1, self._registers * 3 // 4 // sums)

    def statements(self, rows: Sequence[Row], finishes: Sequence[Finish]) -> list[Any]:
        """Compute the sums of all units for some rows, at most `most_rows`.

        Each row has a function that says what to do with the sums of a unit.
        """
        whole, rest = divmod(self._units, self._width)
        block = tirx.Var("block", "int32")
        code = []
        if whole:
            body = self._block(block, self._width, rows, finishes)
            code.append(loop(block, 0, whole, body))
        if rest:
            code.append(self._block(whole, rest, rows, finishes))
        return code

    def _block(
        self, block: Index, units: int, rows: Sequence[Row], finishes: Sequence[Finish]
    ) -> Any:
        """The first `units` units of a block."""
        starts = range(0, units, self._lanes)
        shape = (len(rows) * len(starts) * self._gates, self._lanes)
        sums = registers(shape, self.dtype, "sums")

        def vector_of(row: int, number: int) -> _Vector:
            place = (row * len(starts) + number) * self._gates
            start = starts[number]
            first = block * self._width + start
            return _Vector(sums, place, first, min(self._lanes, units - start))

        tile = [[vector_of(row, v) for v in range(len(starts))] for row in range(len(rows))]
        each = [(v, gate) for vectors in tile for v in vectors for gate in range(self._gates)]
        clear = [v.each(partial(self._start, v, gate)) for v, gate in each]
        summed = in_steps(self._depth, self._steps, partial(self._add_some, tile, rows, block))
        use = [
            v.each(partial(_finished, v, finish))
            for vectors, finish in zip(tile, finishes, strict=True)
            for v in vectors
        ]
        return allocated([sums], [*clear, *summed, *use])

    def _add_some(
        self,
        tile: Sequence[Sequence[_Vector]],
        rows: Sequence[Row],
        block: Index,
        first: Index,
        count: int,
    ) -> Any:
        """Add the products of `count` elements of each row, loaded together."""
        cache = registers((len(rows), count), self.dtype, "row")

        def read(i: int, k: Index) -> Any:
            return store(cache, rows[i](first + k), [i, k])

        def add(k: Index) -> Any:
            return sequence(
                [
                    v.each(partial(self._add, v, gate, load(cache, [i, k]), block, first + k))
                    for i, vectors in enumerate(tile)
                    for v in vectors
                    for gate in range(self._gates)
                ]
            )

        reads = [vector(count, partial(read, i)) for i in range(len(rows))]
        return allocated([cache], [*reads, unrolled(count, add)])

    def _start(self, vector: _Vector, gate: int, lane: Any) -> Any:
        sums = Sums(vector, lane)
        if self._bias is None:
            return sums.store(gate, tirx.const(0, self.dtype))
        return sums.store(gate, load(self._bias, [gate * self._units + sums.unit]))

    def _add(self, vector: _Vector, gate: int, x: Any, block: Index, k: Index, lane: Any) -> Any:
        sums = Sums(vector, lane)
        place = sums.unit - block * self._width
        weight = load(self._weights, [block, k, gate, place]).astype(self.dtype)
        return sums.store(gate, sums.load(gate) + x.astype(self.dtype) * weight)


def _finished(vector: _Vector, finish: Finish, lane: Any) -> Any:
    return sequence(finish(Sums(vector, lane)))


def _packed(weights: te.Tensor, gates: int, width: int, kernel: KernelBuilder) -> te.Tensor:
    """The weights as [unit / width, k, gate, width], zeros added, so that blocks read in order."""
    if kernel.is_constant(weights):
        transform = partial(pack_gates, gates=gates, width=width)
        return kernel.pack(weights, transform, f"gates{gates}_{width}")
    rows, depth = (int(size) for size in weights.shape)
    units = rows // gates

    def element(block: Index, k: Index, gate: Index, place: Index) -> Any:
        unit = block * width + place
        value = weights(gate * units + unit, k)
        return guarded([unit < units] if units % width else [], value, tirx.const(0, weights.dtype))

    shape = (-(-units // width), depth, gates, width)
    return te.compute(shape, element, name="gates", attrs={"schedule": "pack"})


def pack_gates(weights: Array, *, gates: int, width: int) -> Array:
    """[gates * units, k] -> [unit / width, k, gate, width]."""
    split = weights.reshape(gates, -1, weights.shape[-1])
    padded = np.pad(split, [(0, 0), (0, -split.shape[1] % width), (0, 0)])
    blocks = padded.reshape(gates, -1, width, weights.shape[-1])
    return blocks.transpose(1, 3, 0, 2)
