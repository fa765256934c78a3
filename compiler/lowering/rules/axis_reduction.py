"""Reductions over any axes: the last ones row by row, the others a vector of columns at a time."""

import math
from collections.abc import Callable, Collection, Sequence
from typing import Any

from tvm import te

from ...ir.tensor_spec import TensorSpec
from ..builder import KernelBuilder
from .gemm import finished
from .indices import Index, compute, shape_of, wrap_axis
from .row_reduction import OPERATORS, row_reduce

Axes = Sequence[int] | int | None


def wrap_axes(axes: Axes, rank: int) -> tuple[int, ...]:
    """The axes counted from the front, in order; all of them where none is named."""
    if axes is None or axes == [] or axes == ():
        return tuple(range(rank))
    named = [axes] if isinstance(axes, int) else axes
    return tuple(sorted({wrap_axis(axis, rank) for axis in named} & set(range(rank))))


def reduce_axes(
    x: te.Tensor, axes: Collection[int], combine: str, kernel: KernelBuilder
) -> te.Tensor:
    """The tensor with some axes reduced to none; `axes` and `combine` as `row_reduce` has them."""
    rank, sizes = len(x.shape), shape_of(x)
    if not axes:
        return x
    if 0 in sizes:
        left = [size for axis, size in enumerate(sizes) if axis not in axes]
        return compute(left, lambda at: OPERATORS[combine].identity(str(x.dtype)), combine)
    count = next((n for n in range(rank) if rank - 1 - n not in axes), rank)
    rows = row_reduce(x, count, combine, kernel) if count else x
    others = [axis for axis in axes if axis < rank - count]
    return _reduce_columns(rows, others, combine) if others else rows


def reduced(
    x: te.Tensor,
    axes: Collection[int],
    combine: str,
    out: TensorSpec,
    kernel: KernelBuilder,
    finish: Callable[[Any], Any] | None = None,
) -> te.Tensor:
    """The result of an operator: `finish(reduce_axes(x))`, converted to the dtype of `out`.

    The reduced axes are there with size 1 if `out` has them.
    """
    total = reduce_axes(x, axes, combine, kernel)
    return as_result(total, axes, out, finish)


def as_result(
    total: te.Tensor,
    axes: Collection[int],
    out: TensorSpec,
    finish: Callable[[Any], Any] | None = None,
) -> te.Tensor:
    """What is left without some axes, in the shape and dtype of `out`."""
    if finish is None and (shape_of(total), str(total.dtype)) == (out.shape, out.dtype):
        return total
    rank = len(total.shape) + len(axes)

    def element(value: Any, at: Sequence[Index]) -> Any:
        return value if finish is None else finish(value)

    return finished(lambda at: total(*kept(at, axes, rank)), out, element)


def kept(at: Sequence[Index], axes: Collection[int], rank: int) -> list[Index]:
    """The part of an index that is not on reduced axes; `at` may have those, with size 1."""
    if len(at) < rank:
        return list(at)
    return [place for axis, place in enumerate(at) if axis not in axes]


def count_of(x: te.Tensor, axes: Collection[int]) -> int:
    """How many elements are reduced to one."""
    return math.prod(shape_of(x)[axis] for axis in axes)


def converted(x: te.Tensor, dtype: str) -> te.Tensor:
    """The tensor with its elements in another dtype, which its readers compute."""
    if str(x.dtype) == dtype:
        return x
    return compute(shape_of(x), lambda at: x(*at).astype(dtype), "converted")


def _reduce_columns(x: te.Tensor, axes: Sequence[int], combine: str) -> te.Tensor:
    sizes = shape_of(x)
    steps = {axis: te.reduce_axis((0, sizes[axis]), name="k") for axis in axes}
    left = [axis for axis in range(len(sizes)) if axis not in steps]

    def element(*at: Index) -> Any:
        places = steps | dict(zip(left, at, strict=True))
        value = x(*(places[axis] for axis in range(len(sizes))))
        return OPERATORS[combine].reduce(value, axis=list(steps.values()))

    return te.compute([sizes[axis] for axis in left], element, name=f"{combine}_columns")
