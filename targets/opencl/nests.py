"""Loop nests of single stages: every work-item stores one vector, or one element."""

import math
from typing import Any

from tvm import tirx

from ..cpu.loops import split_tiles
from ..cpu.nests import element_bits, fusable_axes, walks_vectors
from ..cpu.stages import Stage, collect, uses
from ..target import Target
from .groups import MEMBERS, NEIGHBORS

_SHORT = 4  # neighbors that one work-item stores though it cannot as a vector


def schedule_nest(sch: Any, stage: Stage, core: Target, *, first: int = 0) -> None:
    """Schedule the loops of a stage from the `first` one inward."""
    if stage.kind == "opaque" or not stage.axes:
        return
    loops = sch.get_loops(stage.block)[first:]
    count = len(stage.reduce_axes)
    spatial, reduce = loops[: len(loops) - count], loops[len(loops) - count :]
    vector = _split_vector(sch, stage, spatial, core)
    if not reduce:
        return
    if vector is not None:
        sch.reorder(*reduce, vector[1])
    init = sch.decompose_reduction(stage.block, reduce[0])
    if vector is not None and vector[0]:
        sch.vectorize(sch.get_loops(init)[-1])


def share_nest(sch: Any, stage: Stage, members: int, first: int) -> bool:
    """Give the loops of a stage from the `first` one inward to the members of a group.

    Returns whether there is enough to share.
    """
    if stage.kind == "opaque":
        return False
    loops = sch.get_loops(stage.block)[first:]
    spatial = loops[: len(loops) - len(stage.reduce_axes)]
    if math.prod(int(sch.get(loop).extent) for loop in spatial) < members:
        return False
    result = stage.block
    if stage.reduce_axes:  # members sum in registers
        result = sch.cache_write(stage.block, 0, "global")
        sch.set_scope(stage.block, 0, "local")
        spatial = sch.get_loops(result)[first:]
    places = sch.fuse(*spatial) if len(spatial) > 1 else spatial[0]
    turn, member = sch.split(places, [None, members])
    sch.reorder(member, turn)
    sch.annotate(member, MEMBERS, NEIGHBORS)
    if stage.reduce_axes:
        sch.compute_at(stage.block, turn, preserve_unit_loops=True)
        sch.decompose_reduction(stage.block, sch.get_loops(stage.block)[-len(stage.reduce_axes)])
    return True


def _split_vector(
    sch: Any, stage: Stage, spatial: list[Any], core: Target
) -> tuple[bool, Any] | None:
    """The innermost loop of a work-item over neighbors in memory, and whether it is a vector."""
    if not spatial:
        return None
    fused = min(fusable_axes(stage), len(spatial))
    last = sch.fuse(*spatial[-fused:]) if fused > 1 else spatial[-1]
    extent, lanes = int(sch.get(last).extent), core.lanes(element_bits(stage))
    if extent == 1 or lanes == 1:
        return None
    if not _is_even(stage) or extent < lanes:
        if extent > _SHORT or fused == len(spatial):
            return None
        if not stage.reduce_axes:
            sch.unroll(last)
        return False, last
    inner = split_tiles(sch, last, lanes)[1]
    sch.vectorize(inner)
    return True, inner


def _is_even(stage: Stage) -> bool:
    """Whether neighbors in the last axis are vectors everywhere, and conditions are the same."""
    axis = stage.axes[-1]
    guards = [c for kind in _COMPARISONS for c in collect(stage.store.value, kind)]
    return walks_vectors(stage) and not any(uses(guard, axis) for guard in guards)


_COMPARISONS = (tirx.LT, tirx.LE, tirx.GT, tirx.GE, tirx.EQ, tirx.NE)
