"""Which stages are computed inside their readers instead of being stored."""

import math
from typing import Any

from tvm import ir, s_tir

from .stages import Stage, collect, cost, stage_of, stages

TILED = ("gemm", "conv", "depthwise", "window")  # templates that read elements several times
CHEAP = 4  # float operations that are recomputed rather than stored and loaded


def inline_stages(sch: Any) -> None:
    """Inline every plain elementwise stage where recomputing it costs less than storing it."""
    for stage in stages(sch):
        if stage.kind == "injective" and not stage.template and _wants_inlining(sch, stage):
            try:
                sch.compute_inline(stage.block)
            except s_tir.ScheduleError:
                continue  # a result of the kernel, or read through an opaque access


def _wants_inlining(sch: Any, stage: Stage) -> bool:
    stage = stage_of(sch, stage.block)
    readers = [stage_of(sch, reader) for reader in sch.get_consumers(stage.block)]
    if not readers or any(r.kind == "opaque" for r in readers):
        return False
    if any(reader.template in TILED for reader in readers):
        return _is_contiguous_move(stage)
    evaluations = sum(_evaluations(reader, stage) for reader in readers)
    return cost(stage.store.value) <= CHEAP or evaluations <= math.prod(stage.extents)


def _is_contiguous_move(stage: Stage) -> bool:
    """Whether the stage only renames elements, the innermost axis staying innermost."""
    value = stage.store.value
    if not isinstance(value, ir.TensorLoad) or not stage.axes:
        return False
    return bool(value.indices[-1].same_as(stage.axes[-1]))


def _evaluations(reader: Stage, stage: Stage) -> int:
    """How often the reader evaluates an element of the stage."""
    domain = math.prod(int(v.dom.extent) for v in reader.node.iter_vars)
    loads = collect(reader.store.value, ir.TensorLoad)
    return domain * sum(bool(load.source.same_as(stage.store.buffer)) for load in loads)
