"""Matrix products: a register tile over packed panels, the epilogue inside the tile.

The accumulation is P[..., m, n] = sum_k A[..., m, k] * B[..., k, n]. A tile of rows x columns
accumulators stays in registers over the whole reduction; on cores that multiply by lane, `steps`
columns of A are loaded as one vector per row. Tile sizes: tiles.py.
"""

import math
from typing import Any

from tvm import tirx

from ..target import Target
from .group_tiles import group_tile
from .half_arithmetic import for_sums
from .integer_ops import for_dots, multiplies_words
from .loops import micro_kernel, split_tiles, store_tile, stored_lanes
from .narrow_operands import block_steps, widen_panels
from .nests import parallelize_tiles
from .pack_rows import has_whole_tiles, packed_operand, schedule_packing
from .stages import Stage, stage_of, stages, touches, uses
from .threads import is_worth_threads
from .tiles import Tile, product_tile

ENOUGH_TILES = 8  # of the outer loop, so that threads end at nearly the same time


def schedule(sch: Any, stage: Stage, target: Target, parallel: bool) -> set[str]:
    """Schedule one "gemm" accumulation and its epilogue; returns the names of what it scheduled."""
    product = stage.block
    target = for_sums(target, str(stage.store.buffer.ty.dtype))
    target = for_dots(target) if multiplies_words(stage.store.value) else target
    packed = packed_operand(sch, stage)
    if packed is None:
        stage = with_flat_rows(sch, stage_of(sch, stage.block))
    tail = epilogue_of(sch, stage) or sch.cache_write(product, 0, "global")
    batch, m, n = tile_loops(sch, tail, stage)
    tile = _tile(stage, target, packed, int(sch.get(m).extent))
    rows_outer, rows = split_tiles(sch, m, tile.rows)
    width = stored_lanes(sch, tail, tile.columns, target)
    cols_outer, vectors, vector = split_tiles(sch, n, tile.columns // width, width)
    outer, inner = _order(sch, tile, rows_outer, cols_outer, parallel)
    sch.reorder(*batch, outer, inner, rows, vectors, vector)
    sch.compute_at(product, inner, preserve_unit_loops=True)
    sch.set_scope(product, 0, "local")
    store_tile(sch, [rows], vectors, vector)
    if parallel and is_worth_threads(stage, target):
        parallelize_tiles(sch, batch, outer)
    scheduled = {stage.name, stage_of(sch, tail).name}
    if packed is not None:
        whole = outer is rows_outer and has_whole_tiles(packed[0])
        at = rows_outer if whole else None
        shared = parallel and is_worth_threads(packed[0], target)
        scheduled.add(schedule_packing(sch, packed[0], at, shared))
    at = cols_outer if outer is cols_outer else None
    widen_panels(sch, stage, target, at, int(sch.get(rows_outer).extent))
    left = packed[1] if packed else cacheable_left(stage)
    steps = tile.steps if packed else block_steps(stage, left, tile.steps)
    micro_kernel(sch, product, target, steps=steps, left=left)
    return scheduled


def _tile(stage: Stage, target: Target, packed: tuple[Stage, int] | None, rows: int) -> Tile:
    """The register tile of the product; its sizes are those in which the rule packed operands."""
    notes = dict(stage.node.annotations.items())
    panel, words = (int(notes.get(name, 0)) for name in ("panel", "group_words"))
    depth = math.prod(int(v.dom.extent) for v in stage.node.iter_vars if int(v.iter_type) == 2)
    if words:
        return group_tile(target, rows, stage.extents[-1], depth, words, panel=panel)
    height = packed[0].extents[2] if packed else 0
    return product_tile(target, rows, stage.extents[-1], depth, panel=panel, height=height)


def _order(sch: Any, tile: Tile, rows: Any, panels: Any, parallel: bool) -> tuple[Any, Any]:
    """The loops over tiles: the outer one as caches like it, if threads find enough there."""
    outer, inner = (panels, rows) if tile.rows_inside else (rows, panels)
    counts = [int(sch.get(loop).extent) for loop in (outer, inner)]
    swap = parallel and counts[0] < min(ENOUGH_TILES, counts[1])
    return (inner, outer) if swap else (outer, inner)


def cacheable_left(stage: Stage) -> int | None:
    """Which read of the accumulation is A, if a tile of its rows is a tile in memory."""
    left = _left_operand(stage)
    return left[0] if left is not None and _has_plain_rows(stage, left) else None


def epilogue_of(sch: Any, stage: Stage) -> Any:
    """The one elementwise reader that keeps the product's rows and columns, if there is one."""
    readers = sch.get_consumers(stage.block)
    if len(readers) != 1:
        return None
    reader = stage_of(sch, readers[0])
    if reader.kind != "injective" or reader.template:
        return None
    loads = [load for load in reader.loads if load.source.same_as(stage.store.buffer)]
    count = _column_axes(reader.extents, stage)
    if len(loads) != 1 or count == 0:
        return None
    *outer, last = loads[0].indices
    inner_axes, outer_axes = reader.axes[-count:], reader.axes[:-count]
    mixed = any(uses(i, a) for i in outer for a in inner_axes) or any(
        uses(last, a) for a in outer_axes
    )
    batched = len(stage.axes) > 2  # each row axis is then a loop of its own
    if mixed or (batched and not all(_is_plain(index, outer_axes) for index in outer)):
        return None
    return readers[0]


def _is_plain(index: Any, axes: list[Any]) -> bool:
    """Whether an index is one of the axes or a constant, so that tiles of axes are tiles there."""
    return isinstance(index, tirx.IntImm) or any(index.same_as(axis) for axis in axes)


def _column_axes(extents: list[int], stage: Stage) -> int:
    """How many trailing axes of the reader make up the product's columns; 0 = they do not."""
    rows = math.prod(stage.extents[:-1])
    for count in range(1, len(extents) + 1):
        if math.prod(extents[:-count]) == rows:
            fits = math.prod(extents[-count:]) <= stage.extents[-1]
            return count if fits else 0
    return 0


def tile_loops(sch: Any, tail: Any, stage: Stage) -> tuple[list[Any], Any, Any]:
    """Batch loops, the row loop and the column loop of the stage that stores the result."""
    extents = stage_of(sch, tail).extents
    count = max(1, _column_axes(extents, stage))
    if count > 1:
        columns = _row_major(extents, len(extents) - count, count)
        sch.transform_block_layout(tail, columns)
    if len(stage.axes) == 2 and len(extents) - count > 1:
        rows = _row_major(stage_of(sch, tail).extents, 0, len(extents) - count)
        sch.transform_block_layout(tail, rows)
    *outer, n = sch.get_loops(tail)
    if not outer:
        m, n = sch.split(n, [1, None])
        return [], m, n
    *batch, m = outer
    return batch, m, n


def _row_major(sizes: list[int], first: int, count: int) -> Any:
    """The index map that makes `count` axes one: regions of fused loops would be no tiles."""

    def flat(*at: Any) -> list[Any]:
        position: Any = 0
        for index, size in zip(at[first:], sizes[first : first + count], strict=False):
            position = position * size + index
        return [*at[:first], position, *at[first + count :]]

    return tirx.IndexMap.from_func(flat, len(sizes), index_dtype="int32")


def with_flat_rows(sch: Any, stage: Stage) -> Stage:
    """The stage with the leading axes of A made one axis, as the rows of the product are.

    A tile of rows would else read a region of A that is no tile, and that no cache can hold.
    """
    left = _left_operand(stage)
    if left is None or len(stage.axes) > 2 or _has_plain_rows(stage, left):
        return stage
    source = left[1].source
    if any(touches(other, source) for other in stages(sch) if other.kind == "opaque"):
        return stage  # no schedule changes what statements read and write
    sizes = [int(size) for size in source.ty.shape]
    sch.transform_layout(stage.block, ("read", left[0]), _row_major(sizes, 0, len(sizes) - 1))
    return stage_of(sch, stage.block)


def _has_plain_rows(stage: Stage, left: tuple[int, Any]) -> bool:
    return all(_is_plain(index, stage.axes) for index in left[1].indices[:-1])


def _left_operand(stage: Stage) -> tuple[int, Any] | None:
    """Which read of the accumulation is A, and its load: it walks k contiguously, never columns."""
    column, depth = stage.axes[-1], stage.reduce_axes[-1]
    buffers = [region.source for region in stage.node.reads]
    for load in stage.loads:
        sizes = [int(size) for size in load.source.ty.shape]
        long = [i for i, size in zip(load.indices, sizes, strict=True) if size > 1]
        along_k = bool(long) and long[-1].same_as(depth)
        if along_k and not any(uses(i, column) for i in load.indices):
            return next(i for i, b in enumerate(buffers) if b.same_as(load.source)), load
    return None
