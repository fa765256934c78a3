"""Stages that go over rows, as norms and softmax do: a row goes through all of them in one loop."""

from dataclasses import dataclass
from typing import Any

from tvm import s_tir

from .stages import Stage


@dataclass
class RowLoop:
    """A loop over rows and the stages inside."""

    loop: Any
    axes: int  # how many were fused to the loop
    members: list[Stage]


def row_loops(sch: Any, todo: list[Stage]) -> list[RowLoop]:
    """Compute row stages inside the row loop of the stage that reads them last.

    One that cannot move, as a result of the kernel or what two loops read, starts a row loop of its
    own for those that only it reads.

    Args:
        sch: The schedule.
        todo: The stages that have no schedule yet, in order.
    """
    rows = [stage for stage in todo if stage.template == "rows"]
    if not rows:
        return []
    found: list[RowLoop] = []
    last = todo[-1]
    if last.kind == "injective" and not last.template and rows[-1].rows <= len(last.axes):
        found.append(row_loop(sch, last, rows[-1].rows))
    add_rows(sch, rows, found)
    return found


def add_rows(sch: Any, rows: list[Stage], found: list[RowLoop]) -> None:
    """Move stages into loops over rows, the last one first; what cannot move starts one."""
    for stage in reversed(rows):
        if not _move_into(sch, stage, found):
            found.append(row_loop(sch, stage, stage.rows))


def row_loop(sch: Any, stage: Stage, axes: int) -> RowLoop:
    """The loop over the leading axes of a stage."""
    loops = sch.get_loops(stage.block)[:axes]
    return RowLoop(sch.fuse(*loops) if axes > 1 else loops[0], axes, [stage])


def _move_into(sch: Any, stage: Stage, row_loops: list[RowLoop]) -> bool:
    """Compute the stage inside the first row loop that contains all its readers."""
    for row in row_loops:
        try:
            if row.axes == stage.rows:
                sch.compute_at(stage.block, row.loop, preserve_unit_loops=True)
                row.members.append(stage)
                return True
        except s_tir.ScheduleError:
            continue
    return False
