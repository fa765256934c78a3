"""Statements over values in vector registers: small local buffers whose loops are unrolled."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from tvm import tirx

from ....targets.cpu.threads import TASKS
from .indices import Index
from .statements import loop

Body = Callable[..., Any]  # loop variables -> statement
MOST_TASKS = 16  # shared by up to four threads of a core that has fast and slow ones


def registers(shape: Sequence[int], dtype: str, name: str) -> Any:
    """A local buffer; indexed by constants once its loops are unrolled, it lies in registers."""
    return tirx.decl_buffer(tuple(shape), dtype, name, scope="local", layout=None)


def scratch(shape: Sequence[int], dtype: str, name: str) -> Any:
    """A buffer in memory for one iteration of the loop it is allocated in."""
    return tirx.decl_buffer(tuple(shape), dtype, name, layout=None)


def allocated(buffers: Sequence[Any], statements: Sequence[Any]) -> Any:
    """The statements in order, with buffers of their own."""
    return sequence([*(tirx.AllocBuffer(buffer) for buffer in buffers), *statements])


def sequence(statements: Sequence[Any]) -> Any:
    """One statement that runs all of them in order."""
    return tirx.SeqStmt(list(statements)) if len(statements) > 1 else statements[0]


def vector(lanes: int, body: Body) -> Any:
    """`body(lane)` for all lanes at once."""
    if lanes == 1:
        return body(tirx.const(0, "int32"))
    lane = tirx.Var("lane", "int32")
    return tirx.For(lane, 0, lanes, tirx.ForKind.VECTORIZED, body(lane))


def unrolled(count: int, body: Body) -> Any:
    """`body(i)` for i in [0, count), as straight code."""
    if count == 1:
        return body(tirx.const(0, "int32"))
    i = tirx.Var("i", "int32")
    return tirx.For(i, 0, count, tirx.ForKind.UNROLLED, body(i))


def vectors(length: int, lanes: int, body: Body) -> list[Any]:
    """`body(first, lane)` for [0, length) in vectors of `lanes`, the last perhaps partial."""
    whole, rest = divmod(length, lanes)
    code = []
    if whole:
        code.append(unrolled(whole, lambda v: vector(lanes, lambda lane: body(v * lanes, lane))))
    if rest:
        code.append(vector(rest, lambda lane: body(whole * lanes, lane)))
    return code


def in_steps(
    count: Index, step: int, body: Callable[[Index, int], Any], *, straight: bool = False
) -> list[Any]:
    """`body(first, size)` over [0, count): steps of a size, then what is left.

    A count that is a number leaves one smaller step, an expression single ones. `straight`: as
    straight code, not as a loop.
    """
    if isinstance(count, int):
        whole, rest = divmod(count, step)
        code = []
        if whole == 1:
            code.append(body(0, step))
        elif whole:
            each = unrolled if straight else partial(_steps, 0)
            code.append(each(whole, lambda i: body(i * step, step)))
        return [*code, body(whole * step, rest)] if rest else code
    whole = tirx.floordiv(count, step)
    first = whole * step
    steps = _steps(0, whole, lambda i: body(i * step, step))
    return [steps, _steps(0, count - first, lambda i: body(first + i, 1))]


def _steps(begin: Index, count: Index, body: Body) -> Any:
    step = tirx.Var("step", "int32")
    return loop(step, begin, count, body(step))


def on_threads(count: int, body: Body) -> Any:
    """`body(i)` for i in [0, count), in any order, on threads where the kernel may use them.

    A few of them are one task, so that there is scratch memory for a few tasks only.
    """
    tasks = max(n for n in range(1, MOST_TASKS + 1) if count % n == 0)
    if tasks == 1:
        return _steps(0, count, body)
    task, each = tirx.Var("task", "int32"), count // tasks
    statement = body(task) if each == 1 else _steps(0, each, lambda i: body(task * each + i))
    return tirx.For(task, 0, tasks, tirx.ForKind.SERIAL, statement, annotations={TASKS: 1})
