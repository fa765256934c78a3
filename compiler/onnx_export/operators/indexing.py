"""Elements from places that other tensors name."""

import math
from collections.abc import Sequence

import torch

from ..emitter import Emitter, Value
from ..registry import emits

_ATEN = torch.ops.aten


@emits(_ATEN.embedding)
def embedding(emit: Emitter, table: Value, indices: Value, *_: object) -> Value:
    return emit("Gather", table, indices, axis=0)


@emits(_ATEN.index_select)
def index_select(emit: Emitter, x: Value, dim: int, indices: Value) -> Value:
    return emit("Gather", x, indices, axis=dim)


@emits(_ATEN.gather)
def gather(emit: Emitter, x: Value, dim: int, indices: Value, *_: object) -> Value:
    if not x.shape:
        return emit.reshape(x, emit.shape)
    return emit("GatherElements", x, indices, axis=dim)


@emits(_ATEN.index.Tensor, _ATEN._unsafe_index.Tensor)
def index(emit: Emitter, x: Value, indices: Sequence[Value | None]) -> Value:
    """x[indices], where None stands for a whole axis."""
    named = {axis: value for axis, value in enumerate(indices) if value is not None}
    if any(value.dtype in (torch.bool, torch.uint8) for value in named.values()):
        raise emit.refused("the shape of the result depends on values: a mask is an index")
    if len(named) == 1:
        ((axis, places),) = named.items()
        return emit("Gather", x, places, axis=axis)
    axes = list(named)
    places, shape = joined_places(emit, list(named.values()))
    rest = [axis for axis in range(len(x.shape)) if axis not in named]
    found = emit("GatherND", emit.transpose(x, [*axes, *rest]), places)
    if axes != list(range(axes[0], axes[-1] + 1)):
        return found  # PyTorch puts the axes of the indices first
    count, before = len(shape), axes[0]
    order = [*range(count, count + before), *range(count), *range(count + before, len(emit.shape))]
    return emit.transpose(found, order) if before else found


def joined_places(emit: Emitter, indices: Sequence[Value]) -> tuple[Value, tuple[int, ...]]:
    """Indices broadcast to one shape and joined on a new last axis, and that shape."""
    shape = tuple(torch.broadcast_shapes(*(value.shape for value in indices)))
    parts = []
    for value in indices:
        wide = emit.cast(value, torch.int64)
        if wide.shape != shape:
            wide = emit("Expand", wide, emit.ints(shape))
        parts.append(emit.reshape(wide, (*shape, 1)))
    return emit("Concat", *parts, axis=len(shape)), shape


@emits(_ATEN.diagonal, _ATEN.diagonal_copy)
def diagonal(emit: Emitter, x: Value, offset: int, first: int, second: int) -> Value:
    """Elements of the flat matrices at known places, the diagonal as the last axis."""
    first, second = first % len(x.shape), second % len(x.shape)
    rest = [axis for axis in range(len(x.shape)) if axis not in (first, second)]
    moved = emit.transpose(x, [*rest, first, second])
    rows, columns = x.shape[first], x.shape[second]
    sizes = [x.shape[axis] for axis in rest]
    flat = emit.reshape(moved, (*sizes, rows * columns))
    row, column = max(-offset, 0), max(offset, 0)
    places = [(row + i) * columns + column + i for i in range(emit.shape[-1])]
    return emit("Gather", flat, emit.ints(places), axis=len(sizes))


@emits(_ATEN.unfold, _ATEN.unfold_copy)
def unfold(emit: Emitter, x: Value, dim: int, size: int, step: int) -> Value:
    """Windows of an axis, their elements on a new last axis."""
    axis = dim % len(x.shape)
    count = (x.shape[axis] - size) // step + 1
    places = torch.arange(count)[:, None] * step + torch.arange(size)
    windows = emit("Gather", x, emit.constant(places), axis=axis)
    rank = len(x.shape) + 1
    return emit.transpose(windows, [*(a for a in range(rank) if a != axis + 1), axis + 1])


@emits(_ATEN.as_strided, _ATEN.as_strided_copy)
def as_strided(
    emit: Emitter, x: Value, size: Sequence[int], stride: Sequence[int], offset: int | None
) -> Value:
    """Elements of the flat tensor at known places."""
    places = torch.tensor(offset or 0)
    for length, step in zip(size, stride, strict=True):
        places = places[..., None] + torch.arange(length) * step
    flat = emit.reshape(x, (math.prod(x.shape),))
    return emit("Gather", flat, emit.constant(places), axis=0)
