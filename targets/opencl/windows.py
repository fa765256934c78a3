"""Windows that slide over each channel by itself: depthwise convolutions and pooling.

A work-item has one vector of channels of some neighboring positions, in one row or two; what
several of its taps read is loaded once. Neighboring work-items take neighboring channels. Taps are
straight code along the last axis, and along the others a loop where there would be too many.
"""

import math
from typing import Any

from ..cpu.depthwise import (
    Slide,
    epilogue_of,
    slides_of,
    split_tile,
    straight_code,
    sum_bits,
)
from ..cpu.peel import PEEL_LANES
from ..cpu.stages import Stage, stage_of
from ..mobile_gpus import MobileGpu
from ..target import Target
from .long_sums import part_of, schedule_parts
from .tiles import window_tile

TEMPLATES = ("depthwise", "window")
_MOST_PRODUCTS = 80  # of a work-item as straight code


def schedule(sch: Any, stage: Stage, core: Target, target: MobileGpu) -> set[str]:
    """Schedule one "depthwise" or "window" accumulation with its epilogue; their names.

    Args:
        sch: The schedule.
        stage: The accumulation.
        core: One work-item.
        target: The GPU.
    """
    if (part := part_of(sch, stage)) is not None:
        return _schedule_parts(sch, stage, part, core)
    slides = slides_of(stage)
    lanes = min(core.lanes(sum_bits(stage)), 1 << stage.extents[-1].bit_length() - 1)
    tail = epilogue_of(sch, stage) or sch.cache_write(stage.block, 0, "global")
    loops = sch.get_loops(tail)
    batch, space, o = loops[: -len(slides) - 1], loops[-len(slides) - 1 : -1], loops[-1]
    channels, vector = split_tile(sch, o, lanes, hint=PEEL_LANES)
    others = math.prod(int(sch.get(loop).extent) for loop in (*batch, *space[:-2], channels))
    above = slides[-2] if len(slides) > 1 else Slide(1, 1, 1, 1)
    tile = window_tile(target, above, slides[-1], others)
    sizes = (*(1 for _ in slides[:-2]), *tile[-len(slides) :])
    pairs = [split_tile(sch, loop, size) for loop, size in zip(space, sizes, strict=True)]
    outer, inner = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    sch.reorder(*batch, *outer, channels, *inner, vector)
    sch.compute_at(stage.block, channels, preserve_unit_loops=True)
    sch.set_scope(stage.block, 0, "local")
    straight_code(sch, inner, vector)
    _accumulate(sch, stage, slides)
    return {stage.name, stage_of(sch, tail).name}


def _schedule_parts(sch: Any, stage: Stage, part: Any, core: Target) -> set[str]:
    """A window that is the whole image: the members of a group have some of its rows each."""
    lanes = min(core.lanes(sum_bits(stage)), 1 << stage.extents[-1].bit_length() - 1)
    tail = epilogue_of(sch, stage) or sch.cache_write(stage.block, 0, "global")
    channels, vector = split_tile(sch, sch.get_loops(tail)[-1], lanes, hint=PEEL_LANES)
    sch.compute_at(stage.block, channels, preserve_unit_loops=True)
    sch.set_scope(stage.block, 0, "local")
    sch.vectorize(vector)
    names = schedule_parts(sch, stage, part, channels, core)
    return names | {stage_of(sch, tail).name}


def _accumulate(sch: Any, stage: Stage, slides: tuple[Slide, ...]) -> None:
    """Order the loops of a tile: the taps outside, as few of them loops as make code short."""
    count = len(stage.reduce_axes)
    loops = sch.get_loops(stage.block)
    taps, (*space, vector) = loops[-count:], loops[-count - len(stage.axes) : -count]
    outputs = math.prod(int(sch.get(loop).extent) for loop in space)
    products = [outputs * math.prod(s.taps for s in slides[axis:]) for axis in range(len(slides))]
    rolled = sum(1 for number in products if number > _MOST_PRODUCTS)
    order = [*taps[:-1], *space, taps[-1]]
    sch.reorder(*order, vector)
    straight_code(sch, [loop for loop in order if not _is_in(sch, loop, taps[:rolled])], vector)
    init = sch.decompose_reduction(stage.block, order[0])
    *zeros, zero = sch.get_loops(init)[-len(stage.axes) :]
    straight_code(sch, zeros, zero)


def _is_in(sch: Any, loop: Any, loops: list[Any]) -> bool:
    return any(sch.get(loop).same_as(sch.get(other)) for other in loops)
