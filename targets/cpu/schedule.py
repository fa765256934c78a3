"""The default schedule of a CPU kernel: inline, tile the heavy stage, vectorize the rest.

Stages (TE computations) come in the order the rules made them. Cheap ones are inlined into their
readers, accumulations tagged "gemm", "conv" or "depthwise" get a register tile with their epilogue
inside, stages tagged "rows" move into the row loop of the result, and whatever is left becomes a
loop nest of its own whose innermost contiguous loop is a vector and whose outermost may run on the
thread pool.
"""

from dataclasses import dataclass
from typing import Any

import tvm
from tvm import s_tir

from ..target import Target
from . import conv, conv_parts, depthwise, gemm, moves, pieces, taps, winograd
from .inline import inline_stages
from .inplace import inplace_pairs
from .nests import schedule_nest
from .rows import row_loops
from .seed_sums import seed_sums
from .stages import stage_of, stages
from .threads import is_worth_threads, run_tasks

_TEMPLATES = {
    "gemm": gemm.schedule,
    "conv": conv.schedule,
    "depthwise": depthwise.schedule,
    "window": depthwise.schedule,
    "taps": taps.schedule,
    "parted": conv_parts.schedule,
    "winograd": winograd.schedule,
}


@dataclass(frozen=True)
class Scheduled:
    """A PrimFunc with its loops in order, and the (input, output) pairs that may share storage."""

    func: Any
    inplace: tuple[tuple[int, int], ...]


def schedule_kernel(func: Any, target: Target, *, inputs: int, parallel: bool) -> Scheduled:
    """Schedule the PrimFunc of one region.

    Args:
        func: TE stages; its first `inputs` parameters are read, the others written.
        target: The CPU.
        inputs: Number of parameters that are read.
        parallel: Whether the outer loops may run on the thread pool.
    """
    func = run_tasks(func, parallel)
    if func.body.block.name_hint != "root":  # one stage, and it is statements: nothing to move
        return Scheduled(func, ())
    sch = s_tir.Schedule(tvm.IRModule({"main": seed_sums(func)}))
    sch.work_on("main")
    inline_stages(sch)
    inplace = inplace_pairs(sch, inputs)
    todo = stages(sch)
    done: set[str] = set()
    for stage in todo:
        if template := _TEMPLATES.get(stage.template):
            done |= template(sch, stage, target, parallel)
    rest = [stage for stage in todo if stage.name not in done]
    for row in row_loops(sch, rest):
        if parallel and any(is_worth_threads(stage, target) for stage in row.members):
            sch.parallel(row.loop)
        for stage in row.members:
            schedule_nest(sch, stage, target, first=1, parallel=False)
            done.add(stage.name)
    for stage in rest:
        if stage.name in done:
            continue
        now = stage_of(sch, stage.block)  # a template may have changed the layout of its buffer
        if (move := moves.move_of(now, target)) is not None:
            moves.schedule(sch, move, target, parallel)
        elif (boxes := pieces.boxes_of(now)) is not None:
            pieces.schedule(sch, now, boxes, target, parallel)
        else:
            schedule_nest(sch, stage, target, first=0, parallel=parallel)
    return Scheduled(sch.mod["main"], inplace)
