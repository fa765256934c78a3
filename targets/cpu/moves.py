"""Stages that read along another axis than they write: tiles transposed in registers.

A tile is some vectors that are neighbors where they are read, and others where they are written.
In between, log2(lanes) times, vectors are interleaved in pairs, which every vector unit can do:
zip1 and zip2 on ARM, unpack on x86. The edges that are no whole tile are copied one by one.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import tvm_ffi
from tvm import ir, s_tir, tirx

from ..target import Target
from .axes import Axis, digits, merged_axes, substituted
from .stages import Stage, collect
from .threads import is_worth_threads

_BITS = 128  # of the vectors that are interleaved: wider ones cross the lanes of x86
_INTERLEAVED = 4  # rows that vectors are loaded from or stored to at once: ld4, st4
_SERIAL, _PARALLEL = tirx.ForKind.SERIAL, tirx.ForKind.PARALLEL


@dataclass(frozen=True)
class Move:
    """A stage that stores along `along` what it loads along `across`."""

    stage: Stage
    store: Any  # the stage's statement, by the variables of the axes
    others: tuple[Axis, ...]
    across: Axis
    along: Axis
    loads: tuple[Any, ...]  # those along `across`
    lanes: int

    @property
    def has_tiles(self) -> bool:
        """Whether both axes hold vectors. Else LLVM loads or stores a few rows interleaved."""
        return min(self.across.extent, self.along.extent) >= self.lanes


def move_of(stage: Stage, target: Target) -> Move | None:
    """The stage as a move, if it reads something along another axis than it writes."""
    if stage.kind != "injective" or target.simd_bits < _BITS or not stage.axes:
        return None
    bits = tvm_ffi.dtype(str(stage.store.buffer.ty.dtype)).bits
    if bits < 8:
        return None
    if collect(stage.store.value, ir.Call):  # a guard may forbid to read a vector
        return None
    variables, extents, store = digits(stage)
    loads = collect(store.value, ir.TensorLoad)
    axes = merged_axes(stage, variables, extents, [store, *loads])
    along = next((axis for axis in axes or [] if axis.steps[0] == 1), None)
    if axes is None or along is None:
        return None
    which = [number for number in range(len(loads)) if along.steps[number + 1] not in (0, 1)]
    same_type = all(loads[k].source.ty.dtype == store.buffer.ty.dtype for k in which)
    across = [a for a in axes if which and all(a.steps[k + 1] == 1 for k in which)]
    if len(across) != 1 or not same_type:
        return None
    others = tuple(axis for axis in axes if axis not in (across[0], along))
    loaded = tuple(loads[k] for k in which)
    move = Move(stage, store, others, across[0], along, loaded, _BITS // bits)
    few = min(across[0].extent, along.extent) <= _INTERLEAVED
    return move if move.has_tiles or few else None


def schedule(sch: Any, move: Move, target: Target, parallel: bool) -> None:
    """Put tiles in the place of the stage's loops."""
    put(sch, move.stage, nest(move, target, parallel and is_worth_threads(move.stage, target)))


def put(sch: Any, stage: Stage, body: Any) -> None:
    """Put a statement in the place of the stage's loops."""
    whole = [_whole(region.source) for region in stage.node.reads]
    block = s_tir.SBlock([], whole, [_whole(stage.store.buffer)], stage.name, body)
    outer = sch.get_loops(stage.block)
    place = sch.get_sref(outer[0]) if outer else sch.get_sref(stage.block)
    sch.state.replace(place, s_tir.SBlockRealize([], True, block), {stage.node: block})


def _whole(buffer: Any) -> Any:
    return tirx.BufferRegion(buffer, [ir.Range(0, int(size)) for size in buffer.ty.shape])


def nest(move: Move, target: Target, parallel: bool) -> Any:
    """All loops: over the other axes, and inside over tiles, then what is left of both axes."""
    variables = [tirx.Var(f"i{number}", "int32") for number in range(len(move.others))]
    pairs = zip(move.others, variables, strict=True)
    outside = [pair for axis, variable in pairs for pair in axis.bind(variable)]
    largest = (2, 2) if target.simd_registers >= 32 else (1, 2)
    whole = math.prod(axis.extent for axis in move.others) > 1
    pieces = list(_pieces(move, outside, largest, parallel and not whole))
    body = tirx.SeqStmt(pieces) if len(pieces) > 1 else pieces[0]
    for number, (axis, variable) in reversed(
        list(enumerate(zip(move.others, variables, strict=True)))
    ):
        kind = _PARALLEL if parallel and whole and number == 0 else _SERIAL
        body = tirx.For(variable, 0, axis.extent, kind, body)
    return body


def _pieces(
    move: Move, outside: list[Any], largest: tuple[int, int], parallel: bool
) -> Iterator[Any]:
    """A loop nest for each combination of large tiles, small tiles and single elements."""
    cuts = [
        list(_cuts(axis.extent, move.lanes, blocks)) if move.has_tiles else [(0, axis.extent, 1)]
        for axis, blocks in zip((move.across, move.along), largest, strict=True)
    ]
    for first_a, count_a, size_a in cuts[0]:
        for first_b, count_b, size_b in cuts[1]:
            whole = size_a > 1 and size_b > 1
            a, b = tirx.Var("a", "int32"), tirx.Var("b", "int32")
            if whole:
                at = first_a + a * size_a, first_b + b * size_b
                body = _tile(move, outside, at, (size_a // move.lanes, size_b // move.lanes))
                counts = [(a, count_a), (b, count_b)]
            else:
                body = _element(move, outside, first_a + a, first_b + b, {})
                counts = [(a, count_a * size_a), (b, count_b * size_b)]
            if move.across.extent < move.along.extent:  # the lines of the shorter axis stay near
                counts.reverse()
            (outer, many), (inner, few) = counts
            kind = _SERIAL if move.has_tiles else tirx.ForKind.UNROLLED
            body = tirx.For(inner, 0, few, kind, body)
            kind = _PARALLEL if parallel and (whole or not move.has_tiles) else _SERIAL
            yield tirx.For(outer, 0, many, kind, body)


def _cuts(extent: int, lanes: int, blocks: int) -> Iterator[tuple[int, int, int]]:
    """An axis in parts: (first element, number of tiles, elements of one tile)."""
    first = 0
    for size in dict.fromkeys((lanes * blocks, lanes, 1)):
        count = (extent - first) // size
        if count:
            yield first, count, size
            first += count * size


def _tile(move: Move, outside: list[Any], at: tuple[Any, Any], blocks: tuple[int, int]) -> Any:
    """Load, interleave and store `blocks` of lanes x lanes elements, across and along."""
    lanes, rounds = move.lanes, move.lanes.bit_length() - 1
    dtype = str(move.store.buffer.ty.dtype)
    statements: list[Any] = []
    every = [(i, j, r) for j in range(blocks[1]) for r in range(lanes) for i in range(blocks[0])]
    buffers: dict[int, Any] = {}
    for number, load in enumerate(move.loads):
        shape = (*blocks, lanes, lanes)
        kept = [_local(shape, dtype, f"tile{number}_{k}") for k in range(rounds + 1)]
        buffers[number] = kept[-1]
        statements += [tirx.AllocBuffer(buffer) for buffer in kept]
        for i, j, r in every:
            place = at[0] + i * lanes, at[1] + j * lanes + r
            statements.append(_load(move, load, kept[0], (i, j, r), outside, place))
        for before, after in pairwise(kept):
            statements += [_interleaved(before, after, i, j, r) for i, j, r in every]
    for i, j, r in sorted(every, key=lambda entry: (entry[0], entry[2], entry[1])):

        def lane_value(lane: Any, i: int = i, j: int = j, r: int = r) -> Any:
            known = {number: (buffer, (i, j, r, lane)) for number, buffer in buffers.items()}
            a, b = at[0] + i * lanes + r, at[1] + j * lanes + lane
            return _element(move, outside, a, b, known)

        statements.append(_vector(lanes, lane_value))
    return tirx.SeqStmt(statements)


def _load(
    move: Move, load: Any, kept: Any, row: tuple[int, ...], outside: list[Any], at: Any
) -> Any:
    def lane_value(lane: Any) -> Any:
        pairs = [*outside, *move.across.bind(at[0] + lane), *move.along.bind(at[1])]
        return tirx.BufferStore(kept, substituted(load, pairs), [*row, lane])

    return _vector(move.lanes, lane_value)


def _interleaved(before: Any, after: Any, i: int, j: int, r: int) -> Any:
    """Row r of a round: one half of rows r // 2 and r // 2 + lanes / 2, element by element.

    As a shuffle: LLVM looks through loads of single elements, and inserts them one by one.
    """
    lanes = int(before.shape[-1])
    half = lanes // 2
    pair = [_row(before, i, j, r // 2 + which * half) for which in (0, 1)]
    picked = [lane % 2 * lanes + r % 2 * half + lane // 2 for lane in range(lanes)]
    value = tirx.Shuffle(pair, [tirx.const(lane, "int32") for lane in picked])
    return tirx.BufferStore(after, value, [i, j, r, tirx.Ramp(0, 1, lanes)])


def _row(buffer: Any, i: int, j: int, r: int) -> Any:
    return tirx.BufferLoad(buffer, [i, j, r, tirx.Ramp(0, 1, int(buffer.shape[-1]))])


def _element(
    move: Move, outside: list[Any], a: Any, b: Any, known: dict[int, tuple[Any, Any]]
) -> Any:
    """The stage's statement for one element; some of its loads are known already."""
    pairs = [*outside, *move.across.bind(a), *move.along.bind(b)]

    def value(node: Any) -> Any:
        for number, (buffer, index) in known.items():
            if node.same_as(move.loads[number]):
                return tirx.BufferLoad(buffer, list(index))
        return node

    store = move.store
    kept = tvm_ffi.structural_map(store.value, (ir.TensorLoad, value))
    indices = [substituted(index, pairs) for index in store.indices]
    return tirx.BufferStore(store.buffer, substituted(kept, pairs), indices)


def _vector(lanes: int, statement: Callable[[Any], Any]) -> Any:
    lane = tirx.Var("lane", "int32")
    return tirx.For(lane, 0, lanes, tirx.ForKind.VECTORIZED, statement(lane))


def _local(shape: tuple[int, ...], dtype: str, name: str) -> Any:
    """A buffer that LLVM turns into registers."""
    return tirx.decl_buffer(shape, dtype, name, scope="local", layout=None)
