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
    lanes = lanes_of(vectors[0])
    half = typed("int32", lanes // 2)
    parts = [
        function(*(call_typed(half, f"tirx.vector{side}", vector) for vector in vectors))
        for side in ("low", "high")
    ]
    return call_typed(typed("int32", lanes), "tirx.vectorcombine", *parts)


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
