"""float16 from and to float32 by operations on bits, for cores without an instruction for it."""

from typing import Any

import tvm_ffi
from tvm import tirx

_INFINITY, _SIGN = 0x7C00, 0x8000
_REBIAS = 2.0**112  # what the exponents of float32 are ahead of those of float16
_SMALLEST = 0x38800000  # 2^-14, the smallest normal float16, as float32
_TOO_LARGE = 0x47800000  # 2^16


def convert_float16_by_bits(func: Any) -> Any:
    """Write conversions between float16 and float32 as vector operations, to nearest even.

    LLVM would call functions of the C compiler's library, one element at a time. Needs vectors that
    are still loops, and no other arithmetic on float16.
    """
    body = tvm_ffi.structural_map(func.body, (tirx.Cast, _expand))
    return tirx.PrimFunc(list(func.params), body, func.ret_type, func.attrs)


def _expand(node: Any) -> Any:
    source, result = str(node.value.ty.dtype), str(node.ty.dtype)
    if source == "float16":
        return _widened(node.value).astype(result)
    return _rounded(node.value.astype("float32")) if result == "float16" else node


def _widened(value: Any) -> Any:
    """The float32 of a float16: its bits moved, the exponent put right by a multiplication."""
    half = tirx.Var("half", "uint32")
    moved = tirx.reinterpret("float32", (half & _word(0x7FFF)) << _word(13))
    finite = tirx.reinterpret("uint32", moved * tirx.const(_REBIAS, "float32"))
    infinite = (half & _word(_INFINITY)).equal(_word(_INFINITY))
    bits = tirx.Select(infinite, finite | _word(0x7F800000), finite)
    number = tirx.reinterpret("float32", bits | ((half & _word(_SIGN)) << _word(16)))
    return tirx.Let(half, tirx.reinterpret("uint16", value).astype("uint32"), number)


def _rounded(value: Any) -> Any:
    """The float16 nearest to a float32; every NaN becomes the quiet one."""
    bits, size = tirx.Var("bits", "uint32"), tirx.Var("size", "uint32")
    tie = (size >> _word(13)) & _word(1)
    normal = (size + tie + _word(0xFFF) - _word(112 << 23)) >> _word(13)
    # 0.5 has the last place of the denormal numbers of float16, so this addition rounds to it.
    shifted = tirx.reinterpret("float32", size) + tirx.const(0.5, "float32")
    denormal = tirx.reinterpret("uint32", shifted) - _word(0x3F000000)
    finite = tirx.Select(size < _word(_SMALLEST), denormal, normal)
    nan = tirx.Select(size > _word(0x7F800000), _word(0x7E00), _word(_INFINITY))
    number = tirx.Select(size < _word(_TOO_LARGE), finite, nan)
    signed = (number | ((bits >> _word(16)) & _word(_SIGN))).astype("uint16")
    result = tirx.Let(size, bits & _word(0x7FFFFFFF), tirx.reinterpret("float16", signed))
    return tirx.Let(bits, tirx.reinterpret("uint32", value), result)


def _word(value: int) -> Any:
    return tirx.const(value, "uint32")
