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
    """The function over one-dimensional buffers; booleans are stored as bytes.

    The attribute "strides" of the function has the strides of parameters that are not dense.
    """
    flat = _FlatBuffers(strides_of(func))
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

    def __init__(self, strides: list[tuple[Any, list[int]]]) -> None:
        self._pairs: list[tuple[Any, Any]] = []
        self._strides = strides

    def of(self, buffer: Any) -> Any:
        for old, new in self._pairs:
            if old.same_as(buffer):
                return new
        dtype = "int8" if _is_bool(buffer) else str(buffer.ty.dtype)
        sizes = [int(extent) for extent in buffer.ty.shape]
        last = zip(sizes, self._given(buffer) or dense_strides(sizes), strict=True)
        size = 1 + sum((extent - 1) * step for extent, step in last)
        new = tirx.decl_buffer((size,), dtype, buffer.name, scope=buffer.scope(), layout=None)
        self._pairs.append((buffer, new))
        return new

    def load(self, node: Any) -> Any:
        value = tirx.BufferLoad(self.of(node.source), [self._position(node.source, node.indices)])
        return value.astype("bool") if _is_bool(node.source) else value

    def store(self, node: Any) -> Any:
        value = node.value.astype("int8") if _is_bool(node.buffer) else node.value
        at = self._position(node.buffer, node.indices)
        return tirx.BufferStore(self.of(node.buffer), value, [at])

    def _position(self, buffer: Any, index: Sequence[Any]) -> Any:
        return position(buffer, index, self._given(buffer))

    def _given(self, buffer: Any) -> Sequence[int]:
        return next((steps for other, steps in self._strides if other.same_as(buffer)), ())

    def allocate(self, node: Any) -> Any:
        return tirx.AllocBuffer(self.of(node.buffer))


def strides_of(func: Any) -> list[tuple[Any, list[int]]]:
    """The parameters that are not dense, with the elements from one index to the next."""
    attrs = func.attrs
    if attrs is None or "strides" not in attrs:
        return []
    return [
        (func.params[int(place)], [int(step) for step in strides])
        for place, strides in attrs["strides"].items()
    ]


def _is_bool(buffer: Any) -> bool:
    return str(buffer.ty.dtype) == "bool"


def position(buffer: Any, index: Sequence[Any], strides: Sequence[int] = ()) -> Any:
    """Place of an element, row-major unless strides are given."""
    flat: Any = tirx.const(0, "int32")
    if strides:
        for place, step in zip(index, strides, strict=True):
            flat = flat + place * step
        return flat
    for place, extent in zip(index, buffer.ty.shape, strict=True):
        flat = flat * int(extent) + _with_small_offsets(place)
    return flat


def dense_strides(sizes: Sequence[int]) -> list[int]:
    """Strides of a dense row-major buffer."""
    return [math.prod(sizes[axis + 1 :]) for axis in range(len(sizes))]


def _with_small_offsets(index: Any) -> Any:
    """Divisions `(i + 32) // 7` as `(i + 4) // 7 + 4`, which meet `(i + 4) % 7` in the position."""
    if isinstance(index, ir.Var | tirx.IntImm):
        return index
    return tvm_ffi.structural_map(index, (tirx.FloorDiv, _split_offset))


def _split_offset(node: Any) -> Any:
    numbers = isinstance(node.a, tirx.Add) and isinstance(node.a.b, tirx.IntImm)
    if not numbers or not isinstance(node.b, tirx.IntImm):
        return node
    offset, divisor = int(node.a.b), int(node.b)
    if divisor <= 0 or 0 <= offset < divisor:
        return node
    return tirx.floordiv(node.a.a + offset % divisor, node.b) + offset // divisor
