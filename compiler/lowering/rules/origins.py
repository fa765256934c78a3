"""Where the elements of a tensor come from, if it only moves those of another one."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import tvm_ffi
from tvm import ir, sym, te, tirx

from .indices import Index, flatten_index, shape_of

Place = Callable[[Sequence[Index]], list[Index]]  # index of the moved tensor -> of the source
_LOAD = ir.Op.get("te.tensor_load")


def origin(tensor: te.Tensor) -> tuple[te.Tensor, Place]:
    """The tensor whose elements this one moves (at last itself), and where each of them lies.

    A kernel written as statements reads permuted, reshaped and sliced operands this way, without
    a copy.
    """
    moves: list[tuple[te.Tensor, Any]] = []
    while (moved := _moved_load(tensor)) is not None:
        moves.append((tensor, moved))
        tensor = moved.args[0]

    def place(index: Sequence[Index]) -> list[Index]:
        for reader, load in moves:
            index = [_substitute(i, reader.op.axis, index) for i in load.args[1:]]
        return list(index)

    return tensor, place


def written_in_place(tensor: te.Tensor) -> te.Tensor:
    """What statements wrote, if `tensor` is just that under another shape; else the tensor.

    A kernel then gives its result without a copy of it.
    """
    source, place = origin(tensor)
    if not isinstance(source.op, te.ExternOp) or shape_of(source) == shape_of(tensor):
        return tensor
    if math.prod(shape_of(source)) != math.prod(shape_of(tensor)):
        return tensor
    analyzer = sym.Analyzer()
    index = [tirx.Var(f"i{axis}", "int32") for axis in range(len(tensor.shape))]
    for var, size in zip(index, shape_of(tensor), strict=True):
        analyzer.bind(var, ir.Range(0, size))
    here, there = (
        flatten_index(at, shape_of(t)) for at, t in ((index, tensor), (place(index), source))
    )
    return source if analyzer.can_prove_equal(here, there) else tensor


def _moved_load(tensor: te.Tensor) -> Any:
    """The load that is all a stage computes, None for any other stage."""
    if not isinstance(tensor.op, te.ComputeOp) or len(tensor.op.body) != 1:
        return None
    value = tensor.op.body[0]
    is_load = isinstance(value, ir.Call) and value.op.same_as(_LOAD)
    return value if is_load else None


def _substitute(expression: Any, axes: Sequence[Any], index: Sequence[Index]) -> Any:
    def replace(var: Any) -> Any:
        found = (i for axis, i in zip(axes, index, strict=True) if axis.var.same_as(var))
        return next(found, var)

    return tvm_ffi.structural_map(expression, (ir.Var, replace))
