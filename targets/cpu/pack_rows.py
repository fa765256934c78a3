"""Copies rows of a matrix to where the micro-kernel loads them in pairs, one after another."""

from typing import Any

from .loops import split_tiles
from .peel import HINT
from .stages import Stage, stages

TEMPLATE = "pack_rows"  # attrs={"schedule": ...} of such a stage
_GROUPS = 2  # groups of columns copied per iteration: then reads and writes both come in pairs


def packed_operand(sch: Any, product: Stage) -> tuple[Stage, int] | None:
    """The stage that packs rows for a product, and which read of the product that is."""
    for stage in stages(sch):
        if stage.template == TEMPLATE:
            for index, region in enumerate(product.node.reads):
                if region.source.same_as(stage.store.buffer):
                    return stage, index
    return None


def schedule_packing(sch: Any, packing: Stage, at: Any, parallel: bool) -> str:
    """Copy [tile of rows, group of columns, row, column] in vectors; returns the stage's name.

    `at` is the loop over whole tiles of rows that reads it, None if all rows are packed before.
    """
    block = packing.block
    if at is not None:
        sch.compute_at(block, at, preserve_unit_loops=True)
    tiles, groups, row, column = sch.get_loops(block)[-4:]
    if at is None and not has_whole_tiles(packing):
        sch.annotate(tiles, HINT, 1)
    whole = int(packing.node.annotations["columns_count"]) % packing.extents[3] == 0
    outer, inner = split_tiles(sch, groups, _GROUPS) if whole else (groups, None)
    if not whole:
        sch.annotate(outer, HINT, 1)
    sch.reorder(*[loop for loop in (outer, row, inner, column) if loop is not None])
    sch.vectorize(column)
    for loop in (inner, row):
        if loop is not None:
            sch.unroll(loop)
    if at is None and parallel:
        sch.parallel(tiles)
    return packing.name


def has_whole_tiles(packing: Stage) -> bool:
    """Whether the last tile has as many rows as the others; else its stage asks for each row."""
    return int(packing.node.annotations["rows_count"]) % packing.extents[2] == 0
