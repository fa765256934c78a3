"""Which loops of a scheduled kernel become work-items: those whose iterations are independent."""

from collections.abc import Iterator
from typing import Any

import tvm_ffi
from tvm import s_tir, tirx

from ..cpu.axes import substituted
from ..cpu.stages import collect, uses
from . import dependences

_DATA_PARALLEL = 0  # TIR's IterVar type
_PARALLEL = tirx.ForKind.PARALLEL


def mark_work_items(func: Any) -> Any:
    """Make the outermost loops of every nest PARALLEL, as many as have independent iterations."""
    found = list(_independent(func.body))

    def mark(loop: Any) -> Any:
        if not any(loop.loop_var.same_as(var) for var in found):
            return loop
        notes = dict(loop.annotations.items())
        return tirx.For(
            loop.loop_var, loop.min, loop.extent, _PARALLEL, loop.body, annotations=notes
        )

    body = tvm_ffi.structural_map(func.body, (tirx.For, mark))
    return tirx.PrimFunc(list(func.params), body, func.ret_type, func.attrs)


def without_single_iterations(func: Any) -> Any:
    """The function without the loops of its statements that run once."""

    def unwrapped(loop: Any) -> Any:
        if not isinstance(loop.extent, tirx.IntImm) or int(loop.extent) != 1:
            return loop
        return substituted(loop.body, [(loop.loop_var, loop.min)])

    body = tvm_ffi.structural_map(func.body, (tirx.For, unwrapped))
    return tirx.PrimFunc(list(func.params), body, func.ret_type, func.attrs)


def _independent(statement: Any) -> Iterator[Any]:
    """Variables of the outer loops of all nests of a statement, down to where one depends."""
    if isinstance(statement, tirx.SeqStmt):
        for part in statement.seq:
            yield from _independent(part)
    elif isinstance(statement, s_tir.SBlockRealize) and not statement.block.iter_vars:
        yield from _independent(statement.block.body)
    elif isinstance(statement, tirx.For) and is_independent(statement):
        yield statement.loop_var
        if isinstance(statement.body, tirx.For):
            yield from _independent(statement.body)


def is_independent(loop: Any) -> bool:
    """Whether iterations may run at once: a schedule never shares what one of them writes.

    TVM keeps the axes of blocks apart that are data parallel: if the variable is in no other axis,
    each iteration computes its own elements, and what it needs of others by itself.
    """
    if loop.kind != tirx.ForKind.SERIAL:
        return bool(loop.kind == _PARALLEL)
    blocks = collect(loop.body, s_tir.SBlockRealize)
    if not blocks:
        return dependences.is_independent(loop)
    return all(_is_parallel_in(block, loop.loop_var) for block in blocks)


def _is_parallel_in(realized: Any, var: Any) -> bool:
    axes = realized.block.iter_vars
    if not axes:
        return False
    return all(
        int(axis.iter_type) == _DATA_PARALLEL or not uses(value, var)
        for axis, value in zip(axes, realized.iter_values, strict=True)
    )
