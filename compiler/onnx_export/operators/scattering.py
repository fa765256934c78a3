"""Tensors of which some elements are replaced."""

from collections.abc import Sequence

import torch

from ..emitter import Emitter, Number, Value
from ..registry import emits
from .indexing import joined_places
from .views import expanded

_ATEN = torch.ops.aten
_REDUCTIONS = {"sum": "add", "add": "add", "prod": "mul", "multiply": "mul"}
_EXTREMES = {"amax": "max", "amin": "min"}


@emits(_ATEN.copy)
def copy(emit: Emitter, x: Value, source: Value, *_: object) -> Value:
    return expanded(emit, emit.cast(source, emit.dtype), emit.shape)


@emits(_ATEN.slice_scatter)
def slice_scatter(
    emit: Emitter,
    x: Value,
    source: Value,
    dim: int,
    start: int | None,
    end: int | None,
    step: int,
) -> Value:
    """Known places along one axis."""
    size = x.shape[dim]
    return _replaced(emit, x, source, dim, list(range(size)[start:end:step]))


@emits(_ATEN.select_scatter)
def select_scatter(emit: Emitter, x: Value, source: Value, dim: int, place: int) -> Value:
    axis = dim % len(x.shape)
    shape = [1 if other == axis else size for other, size in enumerate(x.shape)]
    return _replaced(emit, x, emit.reshape(source, shape), axis, [place % x.shape[axis]])


def _replaced(emit: Emitter, x: Value, source: Value, dim: int, places: list[int]) -> Value:
    axis = dim % len(x.shape)
    shape = tuple(len(places) if a == axis else size for a, size in enumerate(x.shape))
    sizes = [-1 if a == axis else 1 for a in range(len(shape))]
    indices = torch.tensor(places, dtype=torch.int64).view(sizes).expand(shape)
    wide = expanded(emit, emit.cast(source, emit.dtype), shape)
    return emit("ScatterElements", x, emit.constant(indices), wide, axis=axis)


@emits(_ATEN.scatter.src, _ATEN.scatter.value)
def scatter(emit: Emitter, x: Value, dim: int, indices: Value, source: Value | Number) -> Value:
    return _scattered(emit, x, dim, indices, source, {})


@emits(_ATEN.scatter.reduce, _ATEN.scatter.value_reduce)
def scatter_reduce_old(
    emit: Emitter, x: Value, dim: int, indices: Value, source: Value | Number, reduce: str
) -> Value:
    return _scattered(emit, x, dim, indices, source, _reduction(emit, reduce))


@emits(_ATEN.scatter_add)
def scatter_add(emit: Emitter, x: Value, dim: int, indices: Value, source: Value) -> Value:
    return _scattered(emit, x, dim, indices, source, _reduction(emit, "sum"))


@emits(_ATEN.scatter_reduce.two)
def scatter_reduce(
    emit: Emitter,
    x: Value,
    dim: int,
    indices: Value,
    source: Value,
    reduce: str,
    include_self: bool,
) -> Value:
    if not include_self or reduce == "mean":
        raise emit.refused(f"reduce={reduce!r}, include_self={include_self}")
    return _scattered(emit, x, dim, indices, source, _reduction(emit, reduce))


def _reduction(emit: Emitter, name: str) -> dict[str, str]:
    if name in _EXTREMES:
        emit.needs(18, f"scattering with {name}")
        return {"reduction": _EXTREMES[name]}
    emit.needs(16, f"scattering with {name}")
    return {"reduction": _REDUCTIONS[name]}


def _scattered(
    emit: Emitter,
    x: Value,
    dim: int,
    indices: Value,
    source: Value | Number,
    reduction: dict[str, str],
) -> Value:
    """A source that is larger than the indices is cut to them."""
    if not isinstance(source, Value):
        source = expanded(emit, emit.scalar(source, emit.dtype), indices.shape)
    elif source.shape != indices.shape:
        ends = emit.ints(indices.shape)
        source = emit("Slice", source, emit.ints([0] * len(indices.shape)), ends)
    return emit("ScatterElements", x, indices, source, axis=dim, **reduction)


@emits(_ATEN.index_put, _ATEN._unsafe_index_put)
def index_put(
    emit: Emitter, x: Value, indices: Sequence[Value | None], source: Value, accumulate: bool
) -> Value:
    """x with x[indices] replaced, or added to."""
    named = {axis: value for axis, value in enumerate(indices) if value is not None}
    if any(value.dtype in (torch.bool, torch.uint8) for value in named.values()):
        if list(named) == [0] and not source.shape and not accumulate:
            return _masked(emit, x, named[0], source)
        raise emit.refused("which elements are replaced depends on a mask")
    axes = list(named)
    places, shape = joined_places(emit, list(named.values()))
    rest = [axis for axis in range(len(x.shape)) if axis not in named]
    if axes != list(range(axes[0], axes[-1] + 1)) and rest and rest[0] < axes[0]:
        raise emit.refused("indices on axes that are not neighbors")
    before = [axis for axis in rest if axis < axes[0]]
    after = [axis for axis in rest if axis > axes[0]]
    named_sizes = [x.shape[axis] for axis in before], [x.shape[axis] for axis in after]
    wide = expanded(emit, source, (*named_sizes[0], *shape, *named_sizes[1]))
    count = len(shape)
    moved = [*range(len(before), len(before) + count), *range(len(before))]
    moved += range(len(before) + count, len(before) + count + len(after))
    order = [*axes, *before, *after]
    options = {"reduction": "add"} if accumulate else {}
    if accumulate:
        emit.needs(16, "adding to indexed elements")
    updates = emit.transpose(wide, moved)
    result = emit("ScatterND", emit.transpose(x, order), places, updates, **options)
    return emit.transpose(result, [order.index(axis) for axis in range(len(order))])


def _masked(emit: Emitter, x: Value, mask: Value, number: Value) -> Value:
    shape = (*mask.shape, *[1] * (len(x.shape) - len(mask.shape)))
    chosen = emit.reshape(emit.cast(mask, torch.bool), shape)
    return emit("Where", chosen, number, x)
