"""Convolutions, channels last, as implicit matrix products.

The accumulation is P[n, position..., o] over taps and input channels. A tile is some neighboring
output positions x one panel of output channels: the positions are the rows of a product whose left
operand is the image itself, since the taps of one image row lie side by side in it. The weights
are packed in panels, and the epilogue stores the tile.
"""

import math
from typing import Any

from ..target import Target
from .half_arithmetic import for_sums
from .integer_ops import for_dots, multiplies_words
from .loops import micro_kernel, split_tiles, store_tile, stored_lanes
from .narrow_operands import block_steps, widen_panels
from .nests import parallelize_tiles
from .stages import Stage, stage_of, uses
from .threads import is_worth_threads
from .tiles import Tile, even_split, is_paired, most_rows, product_tile

LINE_BYTES = 64  # of a cache


def schedule(sch: Any, stage: Stage, target: Target, parallel: bool) -> set[str]:
    """Schedule one "conv" accumulation with its epilogue; the names it scheduled."""
    target = for_sums(target, str(stage.store.buffer.ty.dtype))
    target = for_dots(target) if multiplies_words(stage.store.value) else target
    product = stage.block
    tail = epilogue_of(sch, stage) or sch.cache_write(product, 0, "global")
    n, *space, o = sch.get_loops(tail)
    panel = panel_width(stage)
    *_, width, channels = stage.extents
    tile = conv_tile(target, width, channels, sum_length(stage), panel=panel)
    beside = _rows_beside(stage, target, tile)
    x_outer, x = split_tiles(sch, space[-1], tile.rows)
    rows, outer = [x], [*space[:-1], x_outer]
    if beside > 1:
        y_outer, y = split_tiles(sch, space[-2], beside)
        rows, outer = [y, x], [*space[:-2], y_outer, x_outer]
    width = stored_lanes(sch, tail, panel, target)
    o_outer, vectors, vector = split_tiles(sch, o, panel // width, width)
    many = int(sch.get(n).extent) * int(sch.get(outer[0]).extent)
    outside = panels_outside(stage, target, rank=len(space), rows=many)
    order = [o_outer, *outer] if outside else [outer[0], o_outer, *outer[1:]]
    sch.reorder(n, *order, *rows, vectors, vector)
    sch.compute_at(product, order[-1], preserve_unit_loops=True)
    sch.set_scope(product, 0, "local")
    store_tile(sch, rows, vectors, vector)
    tiles = math.prod(int(sch.get(loop).extent) for loop in outer)
    widen_panels(sch, stage, target, o_outer if outside else None, tiles)
    if parallel and is_worth_threads(stage, target):
        parallelize_tiles(sch, [n], order[0])
    left = image_read(stage)
    steps = block_steps(stage, left, _short_steps(stage, target, tile))
    micro_kernel(sch, product, target, steps=steps, left=left)
    return {stage.name, stage_of(sch, tail).name}


def _short_steps(stage: Stage, target: Target, tile: Tile) -> int:
    """Steps of one block; two where pairs are summed and a row of taps is six words, as of 7 x 3.

    It would be straight code for one vector of inputs and a half: LLVM then multiplies all words
    before it adds any product to a sum, and has registers for a few of them only.
    """
    length, lanes = int(stage.node.iter_vars[-1].dom.extent), target.lanes(32)
    halves = is_paired(target) and lanes < length < 2 * lanes and length % 2 == 0
    return 2 if halves else tile.steps


def conv_tile(target: Target, width: int, channels: int, depth: int, *, panel: int = 0) -> Tile:
    """The register tile for images of so many columns: its rows are neighbors in a row of them.

    Args:
        target: The CPU.
        width: Output positions in a row.
        channels: Output channels.
        depth: Products that are summed for one output.
        panel: If not 0, the weights are already packed in panels that wide.
    """
    return product_tile(target, width, channels, depth, panel=panel)


def sum_length(stage: Stage) -> int:
    """How many products are summed for one output."""
    return math.prod(int(v.dom.extent) for v in stage.node.iter_vars[len(stage.axes) :])


def image_read(stage: Stage) -> int | None:
    """Which read of the accumulation is the image, if neighbors in the reduction are so in it."""
    depth, o = stage.reduce_axes[-1], stage.axes[-1]
    reads = [region.source for region in stage.node.reads]
    for load in stage.loads:
        if load.indices[-1].same_as(depth) and not any(uses(index, o) for index in load.indices):
            return next(i for i, buffer in enumerate(reads) if buffer.same_as(load.source))
    return None


def panel_width(stage: Stage) -> int:
    """Output channels that lie side by side in the packed weights."""
    o = stage.axes[-1]
    for load in stage.loads:
        if uses(load.indices[-1], o):
            return int(load.source.ty.shape[-1])
    return 1


def _rows_beside(stage: Stage, target: Target, tile: Tile) -> int:
    """How many image rows one tile takes, where the rows are short."""
    if len(stage.axes) < 4 or tile.rows < stage.extents[-2]:
        return 1
    most = most_rows(target, max(1, tile.columns // target.lanes(32)))
    return even_split(stage.extents[-3], max(1, most // tile.rows))


def panels_outside(stage: Stage, target: Target, *, rank: int, rows: int, groups: int = 1) -> bool:
    """Whether all positions are computed for one panel of weights before the next.

    Estimates the bytes that come from beyond the first level cache: with the panels outside, what
    a part reads of the image once for each of its panels, in whole cache lines; else the weights
    once for every row of tiles. Parts are groups of channels, or residues of positions, which all
    read the same channels.

    Args:
        stage: The accumulation.
        target: The CPU.
        rank: How many axes of positions it has.
        rows: Rows of tiles of all images.
        groups: Groups of channels.
    """
    panel, depth = panel_width(stage), int(stage.node.iter_vars[-1].dom.extent)
    panels = math.prod(stage.extents[1 + rank :]) / panel
    weights = 4 * sum_length(stage) * panel * panels
    if weights <= target.l1d_bytes // 2:
        return False
    positions = math.prod(stage.extents[: 1 + rank])
    image = 4 * min(_image_size(stage) / groups, positions * sum_length(stage))
    lines = max(1.0, LINE_BYTES / (4 * depth)) if groups > 1 else 1.0
    return panels * image * lines + weights <= rows * weights + image * groups


def _image_size(stage: Stage) -> int:
    """Elements from the first to the last one of the image: a view may count some repeatedly."""
    o = stage.axes[-1]
    sources = [load.source for load in stage.loads if not any(uses(i, o) for i in load.indices)]
    return max(
        1 + sum((int(n) - 1) * step for n, step in zip(s.ty.shape, stage.strides(s), strict=True))
        for s in sources
    )


def epilogue_of(sch: Any, stage: Stage) -> Any:
    """The one elementwise reader that walks positions and channels as the accumulation does."""
    readers = sch.get_consumers(stage.block)
    if len(readers) != 1:
        return None
    reader = stage_of(sch, readers[0])
    loads = [load for load in reader.loads if load.source.same_as(stage.store.buffer)]
    if reader.kind != "injective" or reader.template == "pad" or len(loads) != 1:
        return None
    if len(reader.axes) != len(stage.axes) or reader.extents[:-1] != stage.extents[:-1]:
        return None
    pairs = list(zip(loads[0].indices, reader.axes, stage.extents, strict=True))
    same = all(index.same_as(axis) or size == 1 for index, axis, size in pairs)
    return readers[0] if same else None
