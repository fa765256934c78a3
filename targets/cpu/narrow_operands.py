"""Operands of 16 bits in products that sum in float32: where they are widened, and how often."""

import math
from collections.abc import Sequence
from typing import Any

from ..target import Target
from .half_storage import HALF_DTYPES
from .stages import Stage, uses

_WORTH_TILES = 3  # that share a panel; one store and one load pay for two conversions
_STEPS = 4  # one vector of each row; LLVM widens all of a block at its start, and would spill more


def widen_panels(sch: Any, stage: Stage, target: Target, at: Any, tiles: int) -> None:
    """Copy each panel of weights to where it is float32 before many tiles of rows read it.

    Args:
        sch: The schedule.
        stage: A product that is computed in tiles.
        target: The CPU.
        at: The loop over panels, if tiles of rows are inside of it. None: all panels are widened
            first, unless that takes more than half of the second level cache.
        tiles: How many tiles of rows meet one panel.
    """
    index = _narrow_panels(stage, sch.mod["main"].params)
    if index is None or tiles < _WORTH_TILES:
        return
    panels = stage.node.reads[index].source.ty.shape
    if at is None and 4 * math.prod(map(int, panels)) > target.l2_bytes // 2:
        return
    wide = sch.cache_read(stage.block, index, "global", [stage.block])
    if at is not None:
        sch.compute_at(wide, at, preserve_unit_loops=True)
    column = sch.get_loops(wide)[-1]
    lanes = target.lanes(16)
    vectors, vector = sch.split(column, [None, min(lanes, int(sch.get(column).extent))])
    sch.unroll(vectors)
    sch.vectorize(vector)


def block_steps(stage: Stage, left: int | None, steps: int) -> int:
    """How many of `steps` steps of the reduction one block has; `left` is the read of A."""
    if left is None or not _widens(stage, stage.node.reads[left].source):
        return steps
    return min(steps, _STEPS)


def _widens(stage: Stage, operand: Any) -> bool:
    """Whether a product has to widen an operand."""
    sums = str(stage.store.buffer.ty.dtype)
    return sums == "float32" and str(operand.ty.dtype) in HALF_DTYPES


def _narrow_panels(stage: Stage, params: Sequence[Any]) -> int | None:
    """Which read of the product is packed weights that have to be widened."""
    column = stage.axes[-1]
    reads = [region.source for region in stage.node.reads]
    for load in stage.loads:
        in_panels = uses(load.indices[-1], column) and not load.indices[-1].same_as(column)
        is_given = any(load.source.same_as(param) for param in params)  # scratch is float32
        if in_panels and is_given and _widens(stage, load.source):
            return next(i for i, buffer in enumerate(reads) if buffer.same_as(load.source))
    return None
