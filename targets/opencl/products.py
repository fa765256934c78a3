"""Matrix products and convolutions: a work-item keeps a tile of sums in registers.

Neighboring work-items take neighboring columns: together they load a line of packed weights, and
store a line of the result, while all of them load the same element of the image.
"""

import math
from typing import Any

from ..cpu import conv, conv_parts, gemm
from ..cpu.half_arithmetic import for_sums
from ..cpu.loops import micro_kernel, split_tiles, store_tile
from ..cpu.stages import Stage, stage_of
from ..mobile_gpus import MobileGpu
from ..target import Target
from .long_sums import part_of, schedule_parts
from .tiles import STEPS, product_tile
from .views import follow_product, walked_left

TEMPLATES = ("gemm", "conv", "parted")


def schedule(sch: Any, stage: Stage, core: Target, target: MobileGpu) -> set[str]:
    """Schedule one product with its epilogue; returns the names of what it scheduled.

    Args:
        sch: The schedule.
        stage: The accumulation.
        core: One work-item.
        target: The GPU.
    """
    core = for_sums(core, str(stage.store.buffer.ty.dtype))
    if stage.template == "gemm":
        stage = gemm.with_flat_rows(sch, stage_of(sch, stage.block))
        if len(stage.axes) > 2:
            follow_product(sch, stage)
        tail = gemm.epilogue_of(sch, stage) or sch.cache_write(stage.block, 0, "global")
        outer, row, column = gemm.tile_loops(sch, tail, stage)
        left = gemm.cacheable_left(stage)
        left = walked_left(stage) if left is None else left
    else:
        template = conv if stage.template == "conv" else conv_parts
        tail = template.epilogue_of(sch, stage) or sch.cache_write(stage.block, 0, "global")
        n, *axes, column = sch.get_loops(tail)
        rank = _rank(stage)
        outer, row = [n, *axes[: rank - 1], *axes[rank:]], axes[rank - 1]
        left = conv.image_read(stage)
    sizes = [int(sch.get(loop).extent) for loop in (*outer, row, column)]
    part = part_of(sch, stage)
    panel = max(1, conv.panel_width(stage_of(sch, part) if part else stage))
    panel = min(panel, core.lanes(32)) if part else panel
    rows, columns = product_tile(target, sizes[-2], sizes[-1], panel, math.prod(sizes[:-2]))
    width = min(columns, core.lanes(32))
    row_tiles, row = split_tiles(sch, row, rows)
    column_tiles, vectors, vector = split_tiles(sch, column, max(1, columns // width), width)
    sch.reorder(*outer, row_tiles, column_tiles, row, vectors, vector)
    sch.compute_at(stage.block, column_tiles, preserve_unit_loops=True)
    sch.set_scope(stage.block, 0, "local")
    store_tile(sch, [row], vectors, vector)
    left = left if target.loads_by_vector else None
    done = {stage.name, stage_of(sch, tail).name}
    if part is None:
        micro_kernel(sch, stage.block, core, steps=_steps(stage), left=left)
        return done
    return done | schedule_parts(sch, stage, part, column_tiles, core)


def _rank(stage: Stage) -> int:
    """Axes of positions."""
    residues = stage.node.annotations.get("residues")
    return len(stage.axes) - 2 if residues is None else len(residues)


def _steps(stage: Stage) -> int:
    """Steps of the reduction that are straight code."""
    if "group_words" in stage.node.annotations:
        return 1
    return min(STEPS, int(stage.node.iter_vars[-1].dom.extent))
