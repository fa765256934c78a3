"""Loops of register tiles: how every product's loops are split, and the micro-kernel inside."""

import math
from collections.abc import Sequence
from typing import Any

from ..target import Target
from .peel import HINT
from .stages import Stage, stage_of
from .tiles import is_arm


def split_tiles(sch: Any, loop: Any, *factors: int) -> list[Any]:
    """Split a loop into tiles of prod(factors) iterations: (which tile, *loops of a tile).

    Where the last tile is partial it will be straight code of its own, not a condition in all of
    them. Reorder and fuse before: TVM does neither with an annotated loop's neighbors fused.
    """
    size = 1
    for factor in factors:
        size *= factor
    partial = int(sch.get(loop).extent) % size != 0
    outer, *inner = sch.split(loop, [None, *factors])
    if partial:
        sch.annotate(outer, HINT, 1)
    return [outer, *inner]


def stored_lanes(sch: Any, tail: Any, columns: int, target: Target) -> int:
    """Columns of a tile that its epilogue stores as one vector.

    What is narrowed to 8 bits comes from two or four vectors, if the tile has so many.
    """
    lanes = target.lanes(32)
    narrows = str(stage_of(sch, tail).store.buffer.ty.dtype) == "int8"
    most = 4 if narrows else 1
    vectors = max(1, columns // lanes)
    return min(columns, lanes) * next(count for count in (most, 2, 1) if vectors % count == 0)


def store_tile(sch: Any, rows: Sequence[Any], vectors: Any, vector: Any) -> None:
    """Unroll the loops in which an epilogue stores a register tile, `vector` as one vector."""
    sch.vectorize(vector)
    for loop in (*rows, vectors):
        sch.unroll(loop)


def micro_kernel(
    sch: Any, product: Any, target: Target, *, steps: int = 1, left: int | None = None
) -> None:
    """Order the loops of a reduction whose result is a register tile.

    Call it once `product` is computed at the loop over tiles (`preserve_unit_loops=True`) in scope
    "local". Its spatial axes are then one tile: all are unrolled, the last (a whole number of
    vectors, or less than one) in vectors. The reduction runs outside of them, and its last axis in
    unrolled blocks of `steps`; the tile starts at zero before it.

    Args:
        sch: The schedule.
        product: The block of the accumulation.
        target: The CPU.
        steps: Iterations of the last reduction axis per block. The last block may be partial.
        left: Which read of the block is the operand that the last reduction axis walks
            contiguously and the columns share. On ARM its elements are loaded as vectors along
            that axis, so that products are by lane. None: it is loaded element by element.
    """
    stage = stage_of(sch, product)
    lanes = target.lanes(32)
    loops = sch.get_loops(product)
    count = len(stage.reduce_axes)
    reduce, (*rows, columns) = loops[-count:], loops[-count - len(stage.axes) : -count]
    vectors, vector = sch.split(columns, [None, min(lanes, int(sch.get(columns).extent))])
    by_lane = left is not None and is_arm(target) and steps > 1
    if by_lane:
        steps = _distinct_steps(stage, left, int(sch.get(rows[-1]).extent), steps, lanes)
    group = min(lanes, steps) if by_lane else 1
    outer, groups, inner = split_tiles(sch, reduce[-1], max(1, steps // group), group)
    # The operand that comes from memory again and again is in the outer loop: on ARM rows are in
    # registers, elsewhere an element of a row is spread over one.
    tile = [vectors, *rows] if by_lane else [*rows, vectors]
    sch.reorder(*reduce[:-1], outer, groups, inner, *tile, vector)
    sch.vectorize(vector)
    for loop in (groups, inner, *rows, vectors):
        sch.unroll(loop)
    if by_lane:
        _load_by_vectors(sch, product, left, groups)
    init = sch.decompose_reduction(product, [*reduce[:-1], outer][0])
    *zero_rows, zero_vectors, zero = sch.get_loops(init)[-len(stage.axes) - 1 :]
    store_tile(sch, zero_rows, zero_vectors, zero)


def _distinct_steps(stage: Stage, left: int | None, rows: int, steps: int, lanes: int) -> int:
    """At most `steps`, so that a block loads no vector twice for neighboring rows.

    Rows of a strided image overlap: LLVM would keep what two of them read, far apart in the block,
    in registers that the tile needs.
    """
    source, row = stage.node.reads[left].source, stage.axes[-2]
    load = next(load for load in stage.loads if load.source.same_as(source))
    strides = zip(load.indices, stage.strides(source), strict=True)
    distance = sum(size for index, size in strides if index.same_as(row))
    again = math.lcm(distance, lanes)  # elements from a vector to where it is that of another row
    return lanes if 0 < again < min(steps, rows * distance) else steps


def _load_by_vectors(sch: Any, product: Any, left: int | None, at: Any) -> None:
    """Load what one group of steps reads of an operand before the steps, along its last axis."""
    cache = sch.cache_read(product, left, "local", [product])
    sch.compute_at(cache, at, preserve_unit_loops=True)
    depth = next(i for i, loop in enumerate(sch.get_loops(product)) if _is_same(sch, loop, at))
    *rows, vector = sch.get_loops(cache)[depth + 1 :]
    sch.vectorize(vector)
    for loop in rows:
        sch.unroll(loop)


def _is_same(sch: Any, loop: Any, other: Any) -> bool:
    return bool(sch.get(loop).same_as(sch.get(other)))
