"""Which stages are computed inside their readers instead of being stored."""

import math
from typing import Any

from tvm import ir, s_tir

from .stages import Stage, collect, cost, stage_of, stages

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
    price = cost(stage.store.value)
    for reader in readers:
        if reader.template in ("gemm", "conv", "depthwise"):
            if not _is_contiguous_move(stage):
                return False
        elif price > CHEAP and _reads(sch, reader, stage) > 1.0:
            return False
    return len(readers) == 1 or price <= CHEAP


def _is_contiguous_move(stage: Stage) -> bool:
    """Whether the stage only renames elements, the innermost axis staying innermost."""
    value = stage.store.value
    if not isinstance(value, ir.TensorLoad) or not stage.axes:
        return False
    return value.indices[-1].same_as(stage.axes[-1])


def _reads(sch: Any, reader: Stage, stage: Stage) -> float:
    """How often the reader evaluates each element of the stage."""
    domain = math.prod(int(v.dom.extent) for v in reader.node.iter_vars)
    loads = [
        load
        for load in collect(reader.store.value, ir.TensorLoad)
        if load.source.same_as(stage.store.buffer)
    ]
    return len(loads) * domain / max(1, math.prod(stage.extents))
