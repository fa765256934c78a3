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
from . import conv, gemm
from .inline import inline_stages
from .inplace import inplace_pairs
from .nests import is_worth_threads, schedule_nest
from .stages import Stage, stages

_TEMPLATES = {"gemm": gemm.schedule, "conv": conv.schedule, "depthwise": conv.schedule}


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
    if func.body.block.name_hint != "root":  # one stage, and it is statements: nothing to move
        return Scheduled(func, ())
    sch = s_tir.Schedule(tvm.IRModule({"main": func}))
    sch.work_on("main")
    inline_stages(sch)
    inplace = inplace_pairs(sch, inputs)
    todo = stages(sch)
    done: set[str] = set()
    for stage in todo:
        if template := _TEMPLATES.get(stage.template):
            done |= template(sch, stage, target, parallel)
    rest = [stage for stage in todo if stage.name not in done]
    if any(stage.template == "rows" for stage in rest):
        done |= _schedule_rows(sch, rest, target, parallel)
    for stage in rest:
        if stage.name not in done:
            schedule_nest(sch, stage, target, first=0, parallel=parallel)
    return Scheduled(sch.mod["main"], inplace)


def _schedule_rows(sch: Any, todo: list[Stage], target: Target, parallel: bool) -> set[str]:
    """Compute row stages inside the row loop of the stage that reads them last."""
    rows, last = [stage for stage in todo if stage.template == "rows"], todo[-1]
    depth = rows[0].rows
    if last.kind != "injective" or not 0 < depth <= len(last.axes):
        return set()
    loops = sch.get_loops(last.block)[:depth]
    row = sch.fuse(*loops) if depth > 1 else loops[0]
    if parallel and is_worth_threads(last):
        sch.parallel(row)
    inside = []
    for stage in reversed(rows):
        if stage.name == last.name:
            continue
        try:
            sch.compute_at(stage.block, row, preserve_unit_loops=True)
        except s_tir.ScheduleError:
            continue  # read elsewhere too: it keeps a nest of its own
        inside.append(stage)
    for stage in [*inside, last]:
        schedule_nest(sch, stage, target, first=1, parallel=False)
    return {last.name, *(stage.name for stage in inside)}
