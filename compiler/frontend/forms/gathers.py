"""Normal forms of views that overlap or stride: gathers by constant positions."""

from typing import Any

import torch
from torch.fx import Node

from ...errors import CompileError
from .emitter import Emitter
from .registry import normalizes
from .views import permute, reshaped, shape_of, slice_of

_ATEN = torch.ops.aten


def positions(emit: Emitter, sizes: list[int], strides: list[int], offset: int = 0) -> Node:
    """The flat vector of offset + sum(index[d] * strides[d]), row-major over `sizes`."""
    total = emit(_ATEN.full.default, [1], offset, dtype=torch.int64)
    for dim, (size, stride) in enumerate(zip(sizes, strides, strict=True)):
        shape = (1,) * dim + (size,) + (1,) * (len(sizes) - dim - 1)
        steps = emit(_ATEN.mul.Tensor, emit(_ATEN.arange.default, size), stride)
        total = emit(_ATEN.add.Tensor, reshaped(emit, steps, shape), total)
    return reshaped(emit, total, (torch.Size(sizes).numel(),))


@normalizes(_ATEN.as_strided.default, _ATEN.as_strided_copy.default)
def as_strided(
    emit: Emitter, x: Node, size: list[int], stride: list[int], storage_offset: int | None = None
) -> Node:
    """Elements of the flat `x` at constant positions."""
    assert emit.traced is not None
    source = emit.traced.all_input_nodes[0].meta["val"]
    if not source.is_contiguous():
        raise CompileError(
            "as_strided reads memory in an order that programs do not have",
            got=f"strides {source.stride()}",
            fix="call contiguous() before as_strided, or use indexing, unfold and permute",
        )
    flat = reshaped(emit, x, (source.numel(),))
    where = positions(emit, list(size), list(stride), storage_offset or 0)
    return reshaped(emit, emit(_ATEN.index_select.default, flat, 0, where), tuple(size))


@normalizes(_ATEN.unfold.default, _ATEN.unfold_copy.default)
def unfold(emit: Emitter, x: Node, dim: int, size: int, step: int) -> Node:
    """Windows of a dimension: index_select, and the window's own dimension moved to the end."""
    shape = shape_of(x) or (1,)
    dim %= len(shape)
    count = (shape[dim] - size) // step + 1
    where = positions(emit, [count, size], [step, 1])
    windows = emit(_ATEN.index_select.default, reshaped(emit, x, shape), dim, where)
    apart = reshaped(emit, windows, (*shape[:dim], count, size, *shape[dim + 1 :]))
    order = [d for d in range(len(shape) + 1) if d != dim + 1]
    return permute(emit, apart, [*order, dim + 1])


@normalizes(_ATEN.diagonal.default, _ATEN.diagonal_copy.default)
def diagonal(emit: Emitter, x: Node, offset: int = 0, first: int = 0, second: int = 1) -> Node:
    """A strided slice of the two dimensions, flattened at the end."""
    rank = len(shape_of(x))
    first, second = first % rank, second % rank
    order = [dim for dim in range(rank) if dim not in (first, second)]
    matrix = permute(emit, x, [*order, first, second])
    *outer, rows, columns = shape_of(matrix)
    flat = reshaped(emit, matrix, (*outer, rows * columns))
    length = emit.out.shape[-1]
    start = offset if offset >= 0 else -offset * columns
    end = start + (length - 1) * (columns + 1) + 1 if length else start
    return slice_of(emit, flat, rank - 2, start, end, columns + 1)


@normalizes(_ATEN.roll.default)
def roll(emit: Emitter, x: Node, shifts: Any, dims: Any = ()) -> Node:
    """Join the two ends, for each dimension in turn."""
    shifts, dims = ([v] if isinstance(v, int) else list(v) for v in (shifts, dims))
    if not dims:
        flat = roll(emit, reshaped(emit, x, (torch.Size(shape_of(x)).numel(),)), shifts, [0])
        return reshaped(emit, flat, shape_of(x))
    for shift, dim in zip(shifts, dims, strict=True):
        dim %= len(shape_of(x))
        size = shape_of(x)[dim]
        cut = size - shift % size if size else 0
        if cut < size:
            ends = [
                emit(_ATEN.slice.Tensor, x, dim, cut, size),
                emit(_ATEN.slice.Tensor, x, dim, 0, cut),
            ]
            x = emit(_ATEN.cat.default, ends, dim)
    return x
