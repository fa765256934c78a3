"""Buffers of several dimensions -> one dimension, indexed by the row-major position.

This stands for `tirx.FlattenBuffer`, which rewrites indices on the way and gets some wrong:
`x[(i // 7 + 2) % 5, (i % 7 + 4) % 7]` reads `x[(i + 14) % 35]`, and `x[(11 - i) // 2]` reads
`x[i // -2 + 5]`. Here the position is written down as it is; `StmtSimplify` then shortens it.
"""

import math
from collections.abc import Sequence
from typing import Any

import tvm_ffi
from tvm import ir, tirx


def flatten_buffers(func: Any) -> Any:
    """The function over one-dimensional buffers; booleans are stored as bytes."""
    flat = _FlatBuffers()
    rules = (
        (ir.TensorLoad, flat.load),
        (tirx.BufferStore, flat.store),
        (tirx.AllocBuffer, flat.allocate),
    )
    params = [flat.of(param) for param in func.params]
    body = tvm_ffi.structural_map(func.body, rules)
    return tirx.PrimFunc(params, body, func.ret_type, func.attrs)


class _FlatBuffers:
    """The one-dimensional buffer of each buffer met so far."""

    def __init__(self) -> None:
        self._pairs: list[tuple[Any, Any]] = []

    def of(self, buffer: Any) -> Any:
        for old, new in self._pairs:
            if old.same_as(buffer):
                return new
        dtype = "int8" if _is_bool(buffer) else str(buffer.ty.dtype)
        size = math.prod(int(extent) for extent in buffer.ty.shape)
        new = tirx.decl_buffer((size,), dtype, buffer.name, scope=buffer.scope(), layout=None)
        self._pairs.append((buffer, new))
        return new

    def load(self, node: Any) -> Any:
        value = tirx.BufferLoad(self.of(node.source), [position(node.source, node.indices)])
        return value.astype("bool") if _is_bool(node.source) else value

    def store(self, node: Any) -> Any:
        value = node.value.astype("int8") if _is_bool(node.buffer) else node.value
        return tirx.BufferStore(self.of(node.buffer), value, [position(node.buffer, node.indices)])

    def allocate(self, node: Any) -> Any:
        return tirx.AllocBuffer(self.of(node.buffer))


def _is_bool(buffer: Any) -> bool:
    return str(buffer.ty.dtype) == "bool"


def position(buffer: Any, index: Sequence[Any]) -> Any:
    """Row-major position of an element."""
    flat: Any = tirx.const(0, "int32")
    for place, extent in zip(index, buffer.ty.shape, strict=True):
        flat = flat * int(extent) + _with_small_offsets(place)
    return flat


def _with_small_offsets(index: Any) -> Any:
    """Divisions `(i + 32) // 7` as `(i + 4) // 7 + 4`, which meet `(i + 4) % 7` in the position."""
    return tvm_ffi.structural_map(index, (tirx.FloorDiv, _split_offset))


def _split_offset(node: Any) -> Any:
    numbers = isinstance(node.a, tirx.Add) and isinstance(node.a.b, tirx.IntImm)
    if not numbers or not isinstance(node.b, tirx.IntImm):
        return node
    offset, divisor = int(node.a.b), int(node.b)
    if divisor <= 0 or 0 <= offset < divisor:
        return node
    return tirx.floordiv(node.a.a + offset % divisor, node.b) + offset // divisor
