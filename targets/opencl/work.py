"""How much the work-items of a launch compute and move, counted in their loops."""

from typing import Any

import tvm
from tvm import ir, tirx

from ..cpu.stages import collect, cost


def operations(body: Any) -> int:
    """Floating-point operations of all work-items; a multiply-add counts as two."""
    return sum(times * cost(store.value) for store, times in _stores(body))


def bytes_moved(body: Any, params: list[Any]) -> int:
    """Bytes of the parameters that are accessed at least once, but for borders and gaps."""
    total = 0
    for buffer in params:
        accesses = 0
        for store, times in _stores(body):
            accesses += times * sum(_is_access(node, buffer) for node in _accesses(store))
        bits = int(tvm.DataType(str(buffer.ty.dtype)).bits)
        size = int(buffer.ty.shape[0])
        total += min(size, accesses) * ((bits + 7) // 8)
    return total


def _stores(statement: Any, times: int = 1) -> list[tuple[Any, int]]:
    """Every store of a statement, and how often it runs if all conditions hold."""
    if isinstance(statement, tirx.BufferStore):
        return [(statement, times)]
    if isinstance(statement, tirx.SeqStmt):
        return [found for part in statement.seq for found in _stores(part, times)]
    if isinstance(statement, tirx.For):
        extent = int(statement.extent) if isinstance(statement.extent, tirx.IntImm) else 1
        return _stores(statement.body, times * extent)
    if isinstance(statement, tirx.AttrStmt):
        is_item = statement.attr_key == "thread_extent"
        return _stores(statement.body, times * (int(statement.value) if is_item else 1))
    if isinstance(statement, tirx.IfThenElse):
        return _stores(statement.then_case, times)
    if isinstance(statement, tirx.While):
        return _stores(statement.body, times)
    return []


def _accesses(store: Any) -> list[Any]:
    return [store, *collect(store.value, ir.TensorLoad)]


def _is_access(node: Any, buffer: Any) -> bool:
    accessed = node.source if isinstance(node, ir.TensorLoad) else node.buffer
    return bool(accessed.same_as(buffer))
