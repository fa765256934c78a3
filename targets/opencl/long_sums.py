"""Few sums that are long: the members of a group each add up a part of one.

A matrix times a vector has one sum for each row of the matrix, the mean of an image one for each
channel: too few for the work-items of a GPU.
"""

import math
from typing import Any

import tvm
from tvm import ir, s_tir, tirx

from ..cpu.loops import micro_kernel
from ..cpu.stages import Stage, stage_of, stages
from ..mobile_gpus import MobileGpu
from ..target import Target
from .groups import MEMBERS, OUTSIDE
from .tiles import STEPS, enough_items

_MOST_ROWS = 2
_MOST_PARTS = 16
_SHORTEST = 64  # steps of one part
_REDUCE = 2  # TIR's IterVar type
_PART = "part"  # the template of the stage that sums one part


def split_long_sums(func: Any, target: MobileGpu) -> Any:
    """Let every long sum of which a device computes few be one of several parts.

    A part is a stage [part, ...] in front of the accumulation, which then sums the parts.
    """
    sch = s_tir.Schedule(tvm.IRModule({"main": func}))
    sch.work_on("main")
    for stage in stages(sch):
        parts = 1
        if not _is_sum(stage):
            continue
        if stage.template == "gemm":
            axis, parts = -1, _parts_of_depth(stage, target)
        elif stage.template == "window":
            axis, parts = len(stage.axes), _parts_of_window(stage, target)
        if parts > 1:
            outer, _ = sch.split(sch.get_loops(stage.block)[axis], [parts, None])
            part = sch.rfactor(outer, 0)
            sch.unannotate(part, "schedule")
            sch.annotate(part, "schedule", _PART)
    return sch.mod["main"]


def part_of(sch: Any, stage: Stage) -> Any:
    """The block that sums one part of an accumulation, None if that is whole."""
    found = (block for block in sch.get_producers(stage.block))
    return next((block for block in found if stage_of(sch, block).template == _PART), None)


def schedule_parts(sch: Any, stage: Stage, part: Any, at: Any, core: Target) -> set[str]:
    """Compute parts and their sum inside of the loop `at` over tiles, each part by a member.

    Returns the names of what it scheduled.
    """
    names = {stage.name, stage_of(sch, part).name}
    kinds = [int(axis.iter_type) for axis in sch.get(stage.block).iter_vars]
    loops = sch.get_loops(stage.block)[-len(kinds) :]
    parts = loops.pop(kinds.index(_REDUCE))
    sch.reorder(parts, *loops)
    sch.vectorize(loops[-1])
    zero = sch.decompose_reduction(stage.block, parts)
    sch.vectorize(sch.get_loops(zero)[-1])
    stored = sch.cache_write(part, 0, "global")
    sch.set_scope(part, 0, "local")
    sch.compute_at(stored, at, preserve_unit_loops=True)
    member = sch.get_loops(stored)[-len(stage_of(sch, stored).axes)]
    sch.vectorize(sch.get_loops(stored)[-1])
    sch.annotate(member, MEMBERS, OUTSIDE)
    sch.compute_at(part, member, preserve_unit_loops=True)
    if stage.template == "gemm":
        micro_kernel(sch, part, core, steps=STEPS)
    else:
        _add_taps(sch, part)
    return names


def _add_taps(sch: Any, part: Any) -> None:
    """Sum the taps of a part, one vector of channels after the other."""
    stage = stage_of(sch, part)
    count = len(stage.reduce_axes)
    loops = sch.get_loops(part)
    taps, places = loops[-count:], loops[-count - len(stage.axes) : -count]
    sch.reorder(*taps, *places)
    sch.vectorize(places[-1])
    zero = sch.decompose_reduction(part, taps[0])
    sch.vectorize(sch.get_loops(zero)[-1])


def _is_sum(stage: Stage) -> bool:
    """Whether a stage adds to what it has stored before, beginning with zero."""
    if stage.kind != "reduction" or not isinstance(stage.store.value, tirx.Add):
        return False
    value, start = stage.store.value, stage.node.init.value
    loads = [side for side in (value.a, value.b) if isinstance(side, ir.TensorLoad)]
    own = [load for load in loads if load.source.same_as(stage.store.buffer)]
    return len(own) == 1 and isinstance(start, tirx.IntImm | tirx.FloatImm) and start.value == 0


def _parts_of_depth(stage: Stage, target: MobileGpu) -> int:
    """Into how many parts the sums of a product are split."""
    *others, rows, columns = stage.extents
    depth = int(stage.node.iter_vars[-1].dom.extent)
    items = rows * math.prod(others) * -(-columns * 32 // target.vector_bits)
    if rows > _MOST_ROWS or items >= enough_items(target):
        return 1
    parts = 1
    while 2 * parts <= _MOST_PARTS and depth % (2 * parts) == 0:
        if depth // (2 * parts) < _SHORTEST or parts * items >= 4 * enough_items(target):
            break
        parts *= 2
    return parts


def _parts_of_window(stage: Stage, target: MobileGpu) -> int:
    """Into how many parts the first axis of a window is split that is the whole image."""
    n, *positions, channels = stage.extents
    first, *others = [int(v.dom.extent) for v in stage.node.iter_vars[len(stage.axes) :]]
    items = n * -(-channels * 32 // target.vector_bits)
    if math.prod(positions) > 1 or items >= enough_items(target):
        return 1
    if first * math.prod(others) < 2 * _SHORTEST:
        return 1
    return max(count for count in range(1, _MOST_PARTS + 1) if first % count == 0)
