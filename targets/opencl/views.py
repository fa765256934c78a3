"""Axes that are moved around a product: read and stored where they lie, without launches of moves.

Heads of an attention are axes of a matrix [rows, heads * width] taken apart, and put together
again behind it.
"""

import math
from typing import Any

from tvm import ir, s_tir, sym, tirx

from ..cpu.axes import substituted
from ..cpu.conv_parts import simplify_indices
from ..cpu.flatten import position
from ..cpu.stages import Stage, stage_of, stages, uses

_PRODUCTS = ("gemm",)


def inline_moves(sch: Any) -> None:
    """Inline what only renames elements, the last axis staying one, into products that read it."""
    for found in stages(sch):
        stage = stage_of(sch, found.block)
        readers = [stage_of(sch, reader) for reader in sch.get_consumers(stage.block)]
        is_read = bool(readers) and all(reader.template in _PRODUCTS for reader in readers)
        if is_read and not stage.template and _is_move(stage):
            try:
                sch.compute_inline(stage.block)
            except s_tir.ScheduleError:
                continue
            for reader in readers:
                simplify_indices(sch, reader.block)


def walked_left(stage: Stage) -> int | None:
    """Which read of a product has neighbors along the sum as neighbors in memory, in plain rows."""
    column, depth = stage.axes[-1], stage.reduce_axes[-1]
    buffers = [region.source for region in stage.node.reads]
    for load in stage.loads:
        *outer, last = load.indices
        rest = sym.Analyzer().simplify(last - depth)
        plain = all(
            isinstance(i, tirx.IntImm) or any(i.same_as(a) for a in stage.axes) for i in outer
        )
        if plain and not uses(rest, depth) and not any(uses(i, column) for i in load.indices):
            return next(i for i, b in enumerate(buffers) if b.same_as(load.source))
    return None


def follow_product(sch: Any, stage: Stage) -> None:
    """Let the loops of the one stage that reads a product be those of the product."""
    readers = sch.get_consumers(stage.block)
    if len(readers) != 1:
        return
    reader = stage_of(sch, readers[0])
    loads = [load for load in reader.loads if load.source.same_as(stage.store.buffer)]
    if reader.kind != "injective" or reader.template or len(loads) != 1:
        return
    index = list(loads[0].indices)
    is_plain = all(isinstance(i, ir.Var | tirx.IntImm) for i in index)
    if is_plain or math.prod(reader.extents) != math.prod(stage.extents):
        return

    def moved(*at: Any) -> list[Any]:
        pairs = list(zip(reader.axes, at, strict=True))
        return [substituted(i, pairs) for i in index]

    try:
        index_map = tirx.IndexMap.from_func(moved, len(reader.axes), index_dtype="int32")
        sch.transform_block_layout(readers[0], index_map)
    except s_tir.ScheduleError:
        return
    simplify_indices(sch, readers[0])


def _is_move(stage: Stage) -> bool:
    """Whether a stage copies elements of which neighbors stay neighbors."""
    value = stage.store.value if stage.kind == "injective" else None
    if not isinstance(value, ir.TensorLoad) or not stage.axes:
        return False
    axis = stage.axes[-1]
    here = position(value.source, value.indices, stage.strides(value.source))
    there = substituted(here, [(axis, axis + 1)])
    return bool(sym.Analyzer().can_prove_equal(there - here, 1))
