"""What tvm's storage of bfloat16 as 16-bit integers leaves out."""

from typing import Any

import tvm_ffi
from tvm import tirx


def broadcast_bits(func: Any) -> Any:
    """Broadcast the 16 bits of bfloat16 values instead of the values.

    `BF16StorageLegalize` makes a bfloat16 element a uint16, but keeps the type of a broadcast
    around it.
    """
    body = tvm_ffi.structural_map(func.body, (tirx.Broadcast, _broadcast))
    return tirx.PrimFunc(list(func.params), body, func.ret_type, func.attrs)


def _broadcast(node: Any) -> Any:
    if str(node.value.ty.dtype) != "bfloat16":
        return node
    bits = tirx.reinterpret("uint16", node.value)
    return tirx.reinterpret(str(node.ty.dtype), tirx.Broadcast(bits, node.lanes))
