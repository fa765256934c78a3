"""Vectors of integers in TIR, and what operations on words are where no instruction does them."""

from collections.abc import Callable
from typing import Any

import tvm
from tvm import ir, tirx

BYTES = 4  # int8 of a word


def lanes_of(value: Any) -> int:
    """How many elements a vector has; 1 for a scalar."""
    return int(tvm.DataType(str(value.ty.dtype)).lanes)


def typed(name: str, lanes: int) -> str:
    """The type of a vector of so many elements."""
    return f"{name}x{lanes}" if lanes > 1 else name


def filled(value: int, lanes: int, dtype: str = "int32") -> Any:
    """A vector that holds one number."""
    number = tirx.const(value, dtype)
    return tirx.Broadcast(number, lanes) if lanes > 1 else number


def call_typed(dtype: str, name: str, *arguments: Any) -> Any:
    """A call of one of TIR's operators that gives `dtype`."""
    return ir.Call(ir.Op.get(name), list(arguments), ret_ty=ir.PrimType(dtype))


def in_halves(function: Callable[..., Any], *vectors: Any) -> Any:
    """A function of vectors of int32, applied to their low and high halves."""
    half = lanes_of(vectors[0]) // 2
    low = function(*(part_of(vector, 0, half) for vector in vectors))
    return joined(low, function(*(part_of(vector, half, half) for vector in vectors)))


def joined(low: Any, high: Any) -> Any:
    """Two vectors as one."""
    element = str(low.ty.dtype).split("x")[0]
    return call_typed(typed(element, 2 * lanes_of(low)), "tirx.vectorcombine", low, high)


def interleaved(elements: list[Any]) -> Any:
    """Eight words, the first of eight int8 in their low bits, then the second, ..."""
    order = [place for lane in range(8) for place in (lane, 8 + lane)]
    pairs = [_shuffled(elements[at : at + 2], order) for at in (0, 2)]
    pairs = [tirx.reinterpret("int16x8", pair) for pair in pairs]
    halves = [_shuffled(pairs, order[at : at + 8]) for at in (0, 8)]
    return joined(*(tirx.reinterpret("int32x4", half) for half in halves))


def _shuffled(vectors: list[Any], order: list[int]) -> Any:
    return tirx.Shuffle(vectors, [tirx.const(place, "int32") for place in order])


def part_of(vector: Any, first: int, lanes: int) -> Any:
    """Half of a vector, or half of that, and so on: its lanes from the `first` one on.

    Loads and numbers become smaller ones: no register then holds more than was asked for.
    """
    whole = lanes_of(vector)
    if lanes == whole:
        return vector
    if isinstance(vector, tirx.Broadcast):
        return tirx.Broadcast(vector.value, lanes) if lanes > 1 else vector.value
    if isinstance(vector, ir.TensorLoad) and isinstance(vector.indices[-1], tirx.Ramp):
        *outer, ramp = vector.indices
        place = tirx.Ramp(ramp.base + first * ramp.stride, ramp.stride, lanes)
        return tirx.BufferLoad(vector.source, [*outer, place])
    half = whole // 2
    side = "high" if first >= half else "low"
    if _is_joined(vector):
        inner = vector.args[side == "high"]
    else:
        element = str(vector.ty.dtype).split("x")[0]
        inner = call_typed(typed(element, half), f"tirx.vector{side}", vector)
    return part_of(inner, first % half, lanes)


def in_registers(load: Any, lanes: int) -> Any:
    """A load of several vectors of a register tile as one load each.

    LLVM keeps a tile in registers only if all its loads and stores are of the same parts.
    """
    is_tile = load.source.scope() == "local" and isinstance(load.indices[-1], tirx.Ramp)
    if not is_tile or lanes_of(load) <= lanes or lanes_of(load) % 2:
        return load
    half = lanes_of(load) // 2
    return joined(*(in_registers(part_of(load, first, half), lanes) for first in (0, half)))


def _is_joined(vector: Any) -> bool:
    return (
        isinstance(vector, ir.Call)
        and isinstance(vector.op, ir.Op)
        and vector.op.name == "tirx.vectorcombine"
    )


def narrow_by_clamp(value: Any, shift: int, zero_point: int, low: int, high: int) -> Any:
    """clamp((value >> shift) + zero_point, low, high) as int8."""
    lanes = lanes_of(value)
    moved = value >> filled(shift, lanes) if shift else value
    inside = tirx.max(
        tirx.min(moved, filled(high - zero_point, lanes)), filled(low - zero_point, lanes)
    )
    return (inside + filled(zero_point, lanes)).astype(typed("int8", lanes))


def dot_by_bytes(weights: Any, inputs: Any, *, unsigned: bool = False) -> Any:
    """The products one after the other, for vectors of any length; inputs may be uint8."""
    lanes = lanes_of(weights)

    def signed(value: Any, index: int) -> Any:
        return (value << filled(24 - 8 * index, lanes)) >> filled(24, lanes)

    def positive(value: Any, index: int) -> Any:
        return (value >> filled(8 * index, lanes)) & filled(255, lanes)

    given = positive if unsigned else signed
    products = [signed(weights, i) * given(inputs, i) for i in range(BYTES)]
    return products[0] + products[1] + products[2] + products[3]


def wide_multiply_high(a: Any, b: Any) -> Any:
    """(a * b + 2^30) >> 31 with 64 bits."""
    lanes = lanes_of(a)
    wide = typed("int64", lanes)
    product = a.astype(wide) * b.astype(wide) + filled(1 << 30, lanes, "int64")
    return (product >> filled(31, lanes, "int64")).astype(typed("int32", lanes))
