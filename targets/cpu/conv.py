"""Convolutions: a register tile of output channels x neighboring columns.

The accumulation is P[n, o, (d, h,) w] over input channels and taps; the epilogue stores the tile.
Inputs are loaded as vectors along w, weights are single values, packed so that those of one tile
are neighbors. A depthwise convolution has no channels to share inputs between: its tile is one row.
"""

from typing import Any

from ..target import Target
from .nests import is_worth_threads, parallelize_tiles
from .stages import Stage, stage_of
from .tiles import block_rows, vectors_per_row

MOST_TAPS = 3  # taps of one row that are unrolled


def schedule(sch: Any, stage: Stage, target: Target, parallel: bool) -> set[str]:
    """Schedule one "conv" or "depthwise" accumulation with its epilogue; the names it scheduled."""
    product = stage.block
    lanes = min(target.lanes(32), stage.extents[-1])
    tail = _epilogue(sch, stage) or sch.cache_write(product, 0, "global")
    outputs = stage_of(sch, tail).extents
    rank = len(outputs) - len(stage.extents)  # -1: one image without a batch axis
    rows = block_rows(target, outputs[1 + rank]) if stage.template == "conv" else 1
    *images, o, w = _channel_last_but_one(sch, tail, 1 + rank)
    o_outer, o_inner = sch.split(o, [None, rows])
    if outputs[1 + rank] % rows:
        sch.annotate(o_outer, "pragma_loop_partition_hint", 1)
    w_outer, vectors, vector = _columns(sch, w, lanes, vectors_per_row(target, rows))
    batch, space = images[: 1 + rank], images[1 + rank :]
    sch.reorder(*batch, o_outer, *space, w_outer, o_inner, vectors, vector)
    sch.compute_at(product, w_outer, preserve_unit_loops=True)
    sch.set_scope(product, 0, "local")
    sch.vectorize(vector)
    sch.unroll(o_inner)
    sch.unroll(vectors)
    if parallel and is_worth_threads(stage):
        parallelize_tiles(sch, batch, o_outer)
    _accumulate(sch, stage, lanes)
    return {stage.name, stage_of(sch, tail).name}


def _accumulate(sch: Any, stage: Stage, lanes: int) -> None:
    """Channels and taps outside, the block of vectors inside."""
    loops = sch.get_loops(stage.block)
    count = len(stage.reduce_axes)
    reduce, tile = loops[-count:], loops[-count - len(stage.axes) : -count]
    *outer, w = tile
    vectors, vector = sch.split(w, [None, lanes])
    sch.reorder(*reduce, *outer, vectors, vector)
    sch.vectorize(vector)
    for loop in (*outer, vectors):
        sch.unroll(loop)
    if count > 1 and int(sch.get(reduce[-1]).extent) <= MOST_TAPS:
        sch.unroll(reduce[-1])
    init = sch.decompose_reduction(stage.block, reduce[0])
    zero = sch.get_loops(init)
    sch.vectorize(zero[-1])
    for loop in zero[-len(stage.axes) - 1 : -1]:
        sch.unroll(loop)


def _epilogue(sch: Any, stage: Stage) -> Any:
    """The one elementwise reader that walks channels and positions as the accumulation does."""
    readers = sch.get_consumers(stage.block)
    if len(readers) != 1:
        return None
    reader = stage_of(sch, readers[0])
    loads = [load for load in reader.loads if load.source.same_as(stage.store.buffer)]
    space = len(stage.axes) - 2
    if reader.kind != "injective" or reader.template or len(loads) != 1:
        return None
    same = reader.extents[-space:] == stage.extents[-space:]
    pairs = zip(loads[0].indices[-space:], reader.axes[-space:], strict=True)
    return readers[0] if same and all(index.same_as(axis) for index, axis in pairs) else None


def _channel_last_but_one(sch: Any, tail: Any, channel: int) -> list[Any]:
    """The loops of the stored result with the channel loop before the innermost one."""
    loops = list(sch.get_loops(tail))
    *others, w = loops[:channel] + loops[channel + 1 :]
    return [*others, loops[channel], w]


def _columns(sch: Any, w: Any, lanes: int, vectors: int) -> tuple[Any, Any, Any]:
    extent = int(sch.get(w).extent)
    vectors = max(1, min(vectors, extent // lanes))
    outer, middle, inner = sch.split(w, [None, vectors, lanes])
    if extent % (vectors * lanes):
        sch.annotate(outer, "pragma_loop_partition_hint", 1)
    return outer, middle, inner
