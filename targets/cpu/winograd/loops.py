"""Loops and guards of kernels that are written as statements."""

from collections.abc import Callable
from typing import Any

from tvm import tirx

SHARED = "winograd_shared"  # annotation of loops that threads may share: "blocks" or "parts"
REPEATED = "winograd_repeated"  # annotation of the loops over the outputs of a tile
# Annotation of loops over tiles: neighboring work-items of a GPU should be in the same iteration.
NEIGHBORS_SHARE = "winograd_neighbors_share"
KINDS = tirx.ForKind
Body = Callable[[Any], Any]  # index -> statement


def for_each(
    count: int, body: Body, kind: Any = KINDS.SERIAL, notes: dict[str, Any] | None = None
) -> Any:
    """`body(index)` for each index below `count`, None if there is none.

    What happens once needs no loop, unless the loop stands for a vector.
    """
    if count == 0:
        return None
    if count == 1 and kind != KINDS.VECTORIZED:
        return body(tirx.const(0, "int32"))
    var = tirx.Var("i", "int32")
    return tirx.For(var, 0, count, kind, body(var), annotations=notes or {})


def unrolled(count: int, body: Body) -> Any:
    """`body(index)` for each index, one after the other without a loop."""
    return for_each(count, body, KINDS.UNROLLED)


def vector(lanes: int, body: Body) -> Any:
    """`body(lane)` for all lanes at once."""
    return for_each(lanes, body, KINDS.VECTORIZED)


def sequence(*statements: Any) -> Any:
    """Statements one after the other; those that are None do nothing."""
    present = [statement for statement in statements if statement is not None]
    return tirx.SeqStmt(present) if len(present) > 1 else present[0]


def guarded(conditions: list[Any], statement: Any) -> Any:
    """The statement, if all conditions hold."""
    return tirx.IfThenElse(tirx.all(*conditions), statement, None) if conditions else statement
