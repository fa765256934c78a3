"""Depthwise sums of int8, all taps of a result in one expression, some together.

The accumulation is P[n, position..., o], channels last. A tile is some neighboring positions of one
vector of channels as straight code, one position after the other: what several read is loaded, and
joined to words, once. Rows of positions that share words are in one tile.
"""

import math
from typing import Any

from ..target import Target
from .depthwise import Slide, epilogue_of, order_tiles, split_tile, straight_code
from .nests import parallelize_tiles
from .peel import PEEL_LANES
from .stages import Stage, stage_of
from .threads import is_worth_threads

LANES = 8  # channels of a vector: their products have 16 bits
MOST_TAPS = 49  # of a result as straight code
_MOST_COLUMNS = 4  # neighbors of a tile: with more, LLVM spills what it joined and loaded early
_LOOP = 6  # instructions around a tile
_PARTIAL = 12  # instructions lost to a partial tile


def schedule(sch: Any, stage: Stage, target: Target, parallel: bool) -> set[str]:
    """Schedule one "taps" stage with its epilogue."""
    slides = _slides(stage)
    together = int(stage.node.annotations["together"])
    tile = [1] * (len(slides) - 1) + [tile_columns(slides)]
    tile[0] *= together
    tail = epilogue_of(sch, stage) or sch.cache_write(stage.block, 0, "global")
    loops = sch.get_loops(tail)
    batch, space, o = loops[: -len(slides) - 1], loops[-len(slides) - 1 : -1], loops[-1]
    channels, vector = split_tile(sch, o, LANES, hint=PEEL_LANES)
    pairs = [split_tile(sch, loop, size) for loop, size in zip(space, tile, strict=True)]
    outer, inner = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    order = order_tiles(target, slides, tile, outer, channels)
    sch.reorder(*batch, *order, *inner, vector)
    sch.compute_at(stage.block, order[-1], preserve_unit_loops=True)
    sch.set_scope(stage.block, 0, "local")
    straight_code(sch, inner, vector)
    *own, lanes = sch.get_loops(stage.block)[-len(stage.axes) :]
    straight_code(sch, own, lanes)
    if parallel and is_worth_threads(stage, target):
        parallelize_tiles(sch, batch, order[0])
    return {stage.name, stage_of(sch, tail).name}


def tile_columns(slides: tuple[Slide, ...]) -> int:
    """Neighboring positions of a row that make a tile: those that load the least."""
    *others, last = slides
    rows = math.prod(slide.taps for slide in others)

    def instructions(columns: int) -> int:
        rest = last.outputs % columns
        whole = last.outputs // columns * (rows * last.inputs(columns) + _LOOP)
        return whole + (rows * last.inputs(rest) + _LOOP + _PARTIAL if rest else 0)

    return min(range(1, min(_MOST_COLUMNS, last.outputs) + 1), key=instructions)


def _slides(stage: Stage) -> tuple[Slide, ...]:
    notes = stage.node.annotations
    options = (map(int, notes[name]) for name in ("taps", "stride", "dilation"))
    return tuple(Slide(*sizes) for sizes in zip(stage.extents[1:-1], *options, strict=True))
