"""How much the work-items of a launch compute and move, counted in their loops."""

from typing import Any

import tvm
import tvm_ffi
from tvm import ir, tirx

from ..cpu.stages import collect

_BINARY = (tirx.Add, tirx.Sub, tirx.Mul, tirx.Div, tirx.Min, tirx.Max)
_FREE = frozenset({"tirx.if_then_else", "tirx.likely", "tirx.reinterpret", "tirx.penjing_word"})
_OF_WORDS = {"tirx.penjing_dot": 8, "tirx.penjing_dot_halves": 4}  # 4 and 2 multiply-adds


def operations(body: Any) -> int:
    """Additions, multiplications and the like of all work-items; a multiply-add counts as two.

    Those of indices and conversions between types are left out.
    """
    return sum(times * _arithmetic(store.value) for store, times in _stores(body))


def _arithmetic(value: Any) -> int:
    """Operations on what is computed."""
    count = 0

    def add(node: Any) -> None:
        nonlocal count
        count += 1 if isinstance(node, _BINARY) else _of_call(node)

    def skip(_: Any) -> Any:
        return tvm_ffi.WalkResult.SKIP

    tvm_ffi.structural_walk(value, ((ir.TensorLoad, skip), ((*_BINARY, ir.Call), add)), order="pre")
    return count


def _of_call(call: Any) -> int:
    name = str(getattr(call.op, "name", ""))
    if name == "tirx.penjing_dot_groups":  # 8 weights in each packed word, for 2 of inputs
        return 16 * (len(call.args) - 1) // 3
    return 0 if name in _FREE else _OF_WORDS.get(name, 1)


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
