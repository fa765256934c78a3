"""Reductions over axes, and what sorts along one."""

import math
from collections.abc import Sequence
from typing import Any

import torch

from ..emitter import Emitter, Number, Value
from ..registry import emits

_ATEN = torch.ops.aten
Axes = Sequence[int] | int | None


def axes_of(x: Value, dim: Axes) -> list[int] | None:
    """Axes counted from the front; None for all."""
    if dim is None or (not isinstance(dim, int) and not dim):
        return None
    dims = [dim] if isinstance(dim, int) else dim
    return [axis % len(x.shape) for axis in dims] if x.shape else None


def size_along(x: Value, dim: Axes) -> int:
    """How many elements each result is made of."""
    axes = axes_of(x, dim)
    return math.prod(x.shape if axes is None else (x.shape[axis] for axis in axes))


@emits(_ATEN.sum)
def total(
    emit: Emitter, x: Value, dim: Axes = None, keepdim: bool = False, dtype: Any = None
) -> Value:
    if isinstance(dim, torch.dtype):  # the overload for all axes
        dim = None
    return emit.reduce("ReduceSum", emit.cast(x, emit.dtype), axes_of(x, dim), keepdim)


@emits(_ATEN.mean)
def mean(
    emit: Emitter, x: Value, dim: Axes = None, keepdim: bool = False, dtype: Any = None
) -> Value:
    if isinstance(dim, torch.dtype):
        dim = None
    return emit.reduce("ReduceMean", emit.cast(x, emit.dtype), axes_of(x, dim), keepdim)


@emits(_ATEN.amax, _ATEN.max.default)
def amax(emit: Emitter, x: Value, dim: Axes = None, keepdim: bool = False) -> Value:
    return extreme(emit, "ReduceMax", x, dim, keepdim)


@emits(_ATEN.amin, _ATEN.min.default)
def amin(emit: Emitter, x: Value, dim: Axes = None, keepdim: bool = False) -> Value:
    return extreme(emit, "ReduceMin", x, dim, keepdim)


def extreme(emit: Emitter, op_type: str, x: Value, dim: Axes, keepdim: bool) -> Value:
    """ReduceMax or ReduceMin, of booleans as bytes."""
    if x.dtype != torch.bool:
        return emit.reduce(op_type, x, axes_of(x, dim), keepdim)
    found = emit.reduce(op_type, emit.cast(x, torch.uint8), axes_of(x, dim), keepdim)
    return emit.to(found, torch.bool)


@emits(_ATEN.any)
def any_of(emit: Emitter, x: Value, dim: Axes = None, keepdim: bool = False) -> Value:
    return extreme(emit, "ReduceMax", emit.cast(x, torch.bool), dim, keepdim)


@emits(_ATEN.all)
def all_of(emit: Emitter, x: Value, dim: Axes = None, keepdim: bool = False) -> Value:
    return extreme(emit, "ReduceMin", emit.cast(x, torch.bool), dim, keepdim)


@emits(_ATEN.prod.default)
def product(emit: Emitter, x: Value, dtype: Any) -> Value:
    return emit.reduce("ReduceProd", emit.cast(x, emit.dtype), None)


@emits(_ATEN.prod.dim_int)
def product_along(emit: Emitter, x: Value, dim: int, keepdim: bool, dtype: Any) -> Value:
    return emit.reduce("ReduceProd", emit.cast(x, emit.dtype), axes_of(x, dim), keepdim)


@emits(_ATEN.argmax)
def argmax(emit: Emitter, x: Value, dim: int | None, keepdim: bool) -> Value:
    return _place(emit, "ArgMax", x, dim, keepdim)


@emits(_ATEN.argmin)
def argmin(emit: Emitter, x: Value, dim: int | None, keepdim: bool) -> Value:
    return _place(emit, "ArgMin", x, dim, keepdim)


def _place(emit: Emitter, op_type: str, x: Value, dim: int | None, keepdim: bool) -> Value:
    """The place of the first extreme element, along an axis or in all elements."""
    x = emit.cast(x, torch.int32) if x.dtype == torch.bool else x
    if dim is None or not x.shape:
        flat = emit.reshape(x, (math.prod(x.shape),))
        return emit.reshape(emit(op_type, flat, axis=0, keepdims=0), emit.shape)
    return emit(op_type, x, axis=dim % len(x.shape), keepdims=int(keepdim))


@emits(_ATEN.max.dim)
def max_along(emit: Emitter, x: Value, dim: int, keepdim: bool) -> list[Value]:
    return [
        extreme(emit, "ReduceMax", x, dim, keepdim),
        _place_along(emit, "ArgMax", x, dim, keepdim),
    ]


@emits(_ATEN.min.dim)
def min_along(emit: Emitter, x: Value, dim: int, keepdim: bool) -> list[Value]:
    return [
        extreme(emit, "ReduceMin", x, dim, keepdim),
        _place_along(emit, "ArgMin", x, dim, keepdim),
    ]


def _place_along(emit: Emitter, op_type: str, x: Value, dim: int, keepdim: bool) -> Value:
    if not x.shape:
        return emit.scalar(0, torch.int64)
    return _place(emit, op_type, x, dim, keepdim)


@emits(_ATEN.var.correction, _ATEN.std.correction)
def variance(emit: Emitter, x: Value, dim: Axes, correction: Number | None, keepdim: bool) -> Value:
    value = _variance(emit, x, dim, correction, keepdim)
    return emit("Sqrt", value) if emit.operator.startswith("aten.std") else value


@emits(_ATEN.var_mean.correction)
def variance_and_mean(
    emit: Emitter, x: Value, dim: Axes, correction: Number | None, keepdim: bool
) -> list[Value]:
    average = emit.reduce("ReduceMean", x, axes_of(x, dim), keepdim)
    return [_variance(emit, x, dim, correction, keepdim), average]


def _variance(
    emit: Emitter, x: Value, dim: Axes, correction: Number | None, keepdim: bool
) -> Value:
    """The sum of squared distances from the mean, divided by n - correction."""
    axes, less = axes_of(x, dim), 1 if correction is None else correction
    distance = emit("Sub", x, emit.reduce("ReduceMean", x, axes, keepdim=True))
    squares = emit.reduce("ReduceSum", emit("Mul", distance, distance), axes, keepdim)
    count = max(size_along(x, dim) - less, 0)
    return emit("Div", squares, emit.scalar(count, x.dtype))


@emits(_ATEN.linalg_vector_norm)
def vector_norm(
    emit: Emitter, x: Value, order: Number, dim: Axes, keepdim: bool, dtype: Any
) -> Value:
    """(sum |x|^order)^(1 / order), and its limits."""
    axes, x = axes_of(x, dim), emit.cast(x, emit.dtype)
    known: dict[Number, str] = {1: "ReduceL1", 2: "ReduceL2"}
    if order in known:
        return emit.reduce(known[order], x, axes, keepdim)
    size = emit("Abs", x)
    if math.isinf(order):
        return emit.reduce("ReduceMax" if order > 0 else "ReduceMin", size, axes, keepdim)
    if order == 0:
        counted = emit.to(emit("Not", emit("Equal", x, emit.scalar(0, x.dtype))), x.dtype)
        return emit.reduce("ReduceSum", counted, axes, keepdim)
    powers = emit("Pow", size, emit.scalar(order, x.dtype))
    summed = emit.reduce("ReduceSum", powers, axes, keepdim)
    return emit("Pow", summed, emit.scalar(1 / order, x.dtype))


@emits(_ATEN.logsumexp)
def logsumexp(emit: Emitter, x: Value, dim: Axes, keepdim: bool) -> Value:
    return emit.reduce("ReduceLogSumExp", emit.cast(x, emit.dtype), axes_of(x, dim), keepdim)


@emits(_ATEN.topk)
def topk(
    emit: Emitter, x: Value, count: int, dim: int, largest: bool, is_sorted: bool
) -> list[Value]:
    options = {"axis": dim, "largest": int(largest), "sorted": 1}
    return emit.several("TopK", x, emit.ints([count]), count=2, **options)


@emits(_ATEN.sort.default)
def sort(emit: Emitter, x: Value, dim: int, descending: bool) -> list[Value]:
    """Places of equal elements are in order, as ONNX's are, though PyTorch may have others."""
    options = {"axis": dim, "largest": int(descending), "sorted": 1}
    return emit.several("TopK", x, emit.ints([x.shape[dim]]), count=2, **options)


@emits(_ATEN.sort.stable)
def stable_sort(
    emit: Emitter, x: Value, is_stable: bool | None, dim: int, descending: bool
) -> list[Value]:
    return sort(emit, x, dim, descending)


@emits(_ATEN.median.dim)
def median(emit: Emitter, x: Value, dim: int, keepdim: bool) -> list[Value]:
    """The last of the smaller half."""
    count = (x.shape[dim] + 1) // 2
    options = {"axis": dim, "largest": 0, "sorted": 1}
    lower = emit.several("TopK", x, emit.ints([count]), count=2, **options)
    place = emit.ints([count - 1]) if keepdim else emit.scalar(count - 1, torch.int64)
    return [emit("Gather", half, place, axis=dim) for half in lower]


@emits(_ATEN.bucketize.Tensor)
def bucketize(emit: Emitter, x: Value, boundaries: Value, out_int32: bool, right: bool) -> Value:
    """How many boundaries are less than each element, or also equal to it."""
    column = emit.reshape(x, (*x.shape, 1))
    op_type = "GreaterOrEqual" if right else "Greater"
    is_above = emit(op_type, column, emit.cast(boundaries, x.dtype))
    return emit.reduce("ReduceSum", emit.to(is_above, emit.dtype), [len(x.shape)])


@emits(_ATEN._cdist_forward)
def distances(emit: Emitter, x: Value, y: Value, order: float, mode: int | None) -> Value:
    """The norms of the differences of all rows of x [..., P, M] and of y [..., R, M]."""
    left = emit.reshape(x, (*x.shape[:-1], 1, x.shape[-1]))
    right = emit.reshape(y, (*y.shape[:-2], 1, *y.shape[-2:]))
    difference = emit("Sub", left, right)
    shape = (*emit.shape, x.shape[-1])
    assert x.spec is not None
    value = Value(difference.name, type(x.spec)(shape, x.spec.dtype))
    return vector_norm(emit, value, order, [-1], False, None)


@emits(_ATEN.argsort.default)
def argsort(emit: Emitter, x: Value, dim: int, descending: bool) -> Value:
    return sort(emit, x, dim, descending)[1]
