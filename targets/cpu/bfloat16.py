"""bfloat16 as the upper 16 bits of float32, where tvm's own passes fall short."""

from typing import Any

import tvm
import tvm_ffi
from tvm import tirx


def convert_by_bits(func: Any) -> Any:
    """Write conversions from and to bfloat16 as operations on bits, rounding to nearest even.

    `BF16ComputeLegalize` leaves those inside of let expressions, which then convert the bits as if
    they were an integer, and makes zero out of some NaN.
    """
    body = tvm_ffi.structural_map(func.body, (tirx.Cast, _expand))
    return tirx.PrimFunc(list(func.params), body, func.ret_type, func.attrs)


def broadcast_bits(func: Any) -> Any:
    """Broadcast the 16 bits of bfloat16 values instead of the values.

    `BF16StorageLegalize` makes a bfloat16 element a uint16, but keeps the type of a broadcast
    around it.
    """
    body = tvm_ffi.structural_map(func.body, (tirx.Broadcast, _broadcast))
    return tirx.PrimFunc(list(func.params), body, func.ret_type, func.attrs)


def _expand(node: Any) -> Any:
    source, result = tvm.DataType(str(node.value.ty.dtype)), tvm.DataType(str(node.ty.dtype))
    if _is_bfloat16(source):
        return _widened(node.value, source.lanes).astype(str(result))
    if _is_bfloat16(result):
        return _rounded(node.value.astype(_typed("float32", source.lanes)), source.lanes)
    return node


def _broadcast(node: Any) -> Any:
    if str(node.value.ty.dtype) != "bfloat16":
        return node
    bits = tirx.reinterpret("uint16", node.value)
    return tirx.reinterpret(str(node.ty.dtype), tirx.Broadcast(bits, node.lanes))


def _widened(value: Any, lanes: int) -> Any:
    """The float32 of a bfloat16."""
    bits = tirx.reinterpret(_typed("uint16", lanes), value).astype(_typed("uint32", lanes))
    return tirx.reinterpret(_typed("float32", lanes), bits << _number(16, lanes))


def _rounded(value: Any, lanes: int) -> Any:
    """The bfloat16 nearest to a float32; every NaN becomes the quiet one."""
    word = _typed("uint32", lanes)
    bits = tirx.Var("bits", word)
    tie = (bits >> _number(16, lanes)) & _number(1, lanes)
    upper = (bits + tie + _number(0x7FFF, lanes)) >> _number(16, lanes)
    is_nan = (bits & _number(0x7FFFFFFF, lanes)) > _number(0x7F800000, lanes)
    half = tirx.Select(is_nan, _number(0x7FC0, lanes), upper).astype(_typed("uint16", lanes))
    result = tirx.reinterpret(_typed("bfloat16", lanes), half)
    return tirx.Let(bits, tirx.reinterpret(word, value), result)


def _is_bfloat16(dtype: Any) -> bool:
    return str(dtype.with_lanes(1)) == "bfloat16"


def _typed(dtype: str, lanes: int) -> str:
    return dtype if lanes == 1 else f"{dtype}x{lanes}"


def _number(value: int, lanes: int) -> Any:
    number = tirx.const(value, "uint32")
    return number if lanes == 1 else tirx.Broadcast(number, lanes)
