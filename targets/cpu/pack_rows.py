"""Copies rows of a matrix to where the micro-kernel loads them in pairs, one after another."""

from typing import Any

from .nests import is_worth_threads
from .peel import HINT
from .stages import Stage, stage_of, stages

TEMPLATE = "pack_rows"  # attrs={"schedule": ...} of such a stage
_BLOCKS = 2  # groups of columns copied per iteration: LDP reads and STP writes then fit


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

    `at` is the loop over tiles of rows that reads it, None if all rows are packed before.
    """
    block = packing.block
    if at is not None:
        sch.compute_at(block, at, preserve_unit_loops=True)
    tiles, groups, row, column = sch.get_loops(block)[-4:]
    height, lanes = packing.extents[2:]
    blocks = next(n for n in (_BLOCKS, 1) if packing.extents[1] % n == 0)
    outer, inner = sch.split(groups, [None, blocks])
    sch.reorder(outer, row, inner, column)
    assert lanes == int(sch.get(column).extent), f"{packing.name} is not in vectors"
    sch.vectorize(column)
    sch.unroll(inner)
    sch.unroll(row)
    if at is None:
        if _has_partial_tile(packing, height):
            sch.annotate(tiles, HINT, 1)
        if parallel and is_worth_threads(stage_of(sch, block)):
            sch.parallel(tiles)
    return packing.name


def _has_partial_tile(packing: Stage, height: int) -> bool:
    """Whether the last tile has fewer rows than the others; its stage then asks for each row."""
    return int(packing.node.annotations["count"]) % height != 0
