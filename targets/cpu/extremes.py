"""Maxima and minima of floats as the one instruction that ARM has for them."""

from typing import Any

import tvm
import tvm_ffi
from tvm import tirx

from ..target import Target


def use_extremes(func: Any, target: Target) -> Any:
    """Write max(a, b) and min(a, b) of floats as FMAX and FMIN, where the target has them.

    TVM compiles max(a, b) as `a > b ? a : b`, two instructions on ARM, because FMAX gives NaN where
    a is NaN and b is not. A constant b asks for the latter, so such a max stays; with any other b
    no rule relies on a NaN getting lost. x86 has an instruction for the comparison itself.
    """
    if not target.triple.startswith(("aarch64", "arm")):
        return func

    def one(name: str, node: Any) -> Any:
        if isinstance(_scalar(node.b), tirx.FloatImm) or not _has_instruction(node, target):
            return node
        return tirx.call_llvm_pure_intrin(str(node.ty.dtype), name, node.a, node.b)

    callbacks = (
        (tirx.Max, lambda node: one("llvm.maximum", node)),
        (tirx.Min, lambda node: one("llvm.minimum", node)),
    )
    body = tvm_ffi.structural_map(func.body, callbacks)
    return tirx.PrimFunc(list(func.params), body, func.ret_type, func.attrs)


def _scalar(value: Any) -> Any:
    return value.value if isinstance(value, tirx.Broadcast) else value


def _has_instruction(node: Any, target: Target) -> bool:
    dtype = tvm.DataType(str(node.ty.dtype))
    if target.pointer_bits == 32:  # NEON, which has no doubles; scalars are VFP's
        return bool(dtype.bits == 32 and dtype.lanes > 1) and "float" in str(dtype)
    return "float" in str(dtype) and dtype.bits in (32, 64)
