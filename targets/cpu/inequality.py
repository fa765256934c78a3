"""`a != b` of floats, as IEEE 754 and PyTorch have it."""

from typing import Any

import tvm_ffi
from tvm import tirx


def compare_unordered(func: Any) -> Any:
    """Write `a != b` of floats as `not a == b`, which is true where one of them is NaN.

    TVM compiles the former to an ordered comparison (`fcmp one`), so that even `x != x` is false.
    Needs to run last: TVM's simplifier turns it back.
    """
    body = tvm_ffi.structural_map(func.body, (tirx.NE, _negated_equality))
    return tirx.PrimFunc(list(func.params), body, func.ret_type, func.attrs)


def _negated_equality(node: Any) -> Any:
    return tirx.Not(tirx.EQ(node.a, node.b)) if "float" in str(node.a.ty.dtype) else node
