"""Rows that go through several stages: each by one work-item, or by a group where they are few."""

import math
from typing import Any

from ..cpu.rows import RowLoop, add_rows, row_loop
from ..cpu.stages import Stage
from ..mobile_gpus import MobileGpu
from ..target import Target
from .nests import schedule_nest, share_nest
from .tiles import enough_items

_FEWEST = 8  # members of a group


def rows_of(sch: Any, todo: list[Stage]) -> list[RowLoop]:
    """Loops over rows with the stages inside, also where a CPU stores each of them.

    The stage that reads them last joins them if it has the same rows.
    """
    rows = [stage for stage in todo if stage.template == "rows" and stage.rows]
    found = _around_last(sch, rows[-1], todo[-1]) if rows else []
    add_rows(sch, rows, found)
    stored: list[RowLoop] = []
    add_rows(sch, [s for s in todo if s.template == "stored" and s.rows], stored)
    return [*found, *stored]


def _around_last(sch: Any, row: Stage, last: Stage) -> list[RowLoop]:
    """The loop over rows of the last stage, if that has those of a stage before it."""
    count, lead = row.rows, row.extents[: row.rows]
    if last.kind == "injective" and not last.template:
        if last.extents[:count] == lead:
            return [row_loop(sch, last, count)]
        if math.prod(last.extents) == math.prod(lead):  # a number for each row
            return [RowLoop(row_loop(sch, last, len(last.axes)).loop, count, [last])]
    return []


def schedule_row(sch: Any, row: RowLoop, core: Target, target: MobileGpu) -> None:
    """Schedule the stages inside of a loop over rows.

    A row is reduced to some partial results side by side. Where rows are fewer than work-items
    that a device needs, each of these has a member of a group, and they share all longer loops.
    """
    rows = int(sch.get(row.loop).extent)
    partial = [math.prod(s.extents[s.rows :]) for s in row.members if s.kind == "reduction"]
    members = max(partial, default=0)
    shares = rows < enough_items(target) and members >= _FEWEST and members & (members - 1) == 0
    if shares:
        sch.annotate(row.loop, "rows", rows)  # else TVM drops a loop over one row
    for stage in row.members:
        if not (shares and share_nest(sch, stage, members, 1)):
            schedule_nest(sch, stage, core, first=1)
