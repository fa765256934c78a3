"""The statement that all work-items of a group reach before any goes on."""

from typing import Any

from tvm import ir, tirx

_NAME = "barrier"


def barrier() -> Any:
    """The statement: what was written before is seen by all behind it."""
    return tirx.Evaluate(tirx.call_extern("int32", _NAME))


def is_barrier(statement: Any) -> bool:
    """Whether a statement is one."""
    call = statement.value
    if not isinstance(call, ir.Call) or not call.args:
        return False
    first = call.args[0]
    return isinstance(first, ir.StringImm) and first.value == _NAME
