"""Winograd convolutions: each of their three steps is a launch.

The steps are those of a CPU (targets/cpu/winograd); every tile, position and panel of channels is a
work-item of its own. The transformed images lie in scratch memory between the launches.
"""

from typing import Any

from tvm import tirx

from ..cpu import winograd
from ..cpu.stages import Stage
from ..cpu.winograd.loops import NEIGHBORS_SHARE, REPEATED
from ..target import Target
from .launches import top_level


def schedule(sch: Any, stage: Stage, core: Target) -> set[str]:
    """Finish one "winograd" statement with its epilogue; returns the names of both stages."""
    return winograd.schedule(sch, stage, core, parallel=True, share=_work_items)


def _work_items(body: Any) -> Any:
    """The steps, their outer loops over work-items; neighbors take neighboring channels."""
    steps = [_step(statement) for statement in top_level(body)]
    return tirx.SeqStmt(steps) if len(steps) > 1 else steps[0]


def _step(statement: Any) -> Any:
    loops: list[Any] = []
    while _is_plain(statement):
        loops.append(statement)
        statement = statement.body
    for loop in sorted(loops, key=lambda loop: NEIGHBORS_SHARE not in loop.annotations)[::-1]:
        kind = tirx.ForKind.PARALLEL
        statement = tirx.For(loop.loop_var, loop.min, loop.extent, kind, statement)
    return statement


def _is_plain(statement: Any) -> bool:
    """Whether this is one of the outer loops, all of whose iterations are independent."""
    is_loop = isinstance(statement, tirx.For) and statement.kind == tirx.ForKind.SERIAL
    return is_loop and REPEATED not in statement.annotations
