"""Operators that read a regular part of a tensor: slices, splits, diagonals, windows."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import torch
from tvm import te

from ...ir.tensor_spec import TensorSpec
from ..registry import lowers
from .indices import Index, compute, shape_of, with_axis, without_axis, wrap_axis

aten = torch.ops.aten


@lowers(aten.slice.Tensor)
def slice_axis(
    x: te.Tensor,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> te.Tensor:
    """y[.., i, ..] = x[.., start + i * step, ..]."""
    sizes = shape_of(x)
    axis = wrap_axis(dim, len(sizes))
    places = range(sizes[axis])[slice(start, end, step)]
    return _window(x, axis, places.start, len(places), step)


@lowers(aten.narrow.default)
def narrow(x: te.Tensor, dim: int, start: int, length: int) -> te.Tensor:
    """y[.., i, ..] = x[.., start + i, ..] for i in [0, length)."""
    sizes = shape_of(x)
    axis = wrap_axis(dim, len(sizes))
    return _window(x, axis, start + sizes[axis] if start < 0 else start, length)


@lowers(aten.select.int)
def select(x: te.Tensor, dim: int, index: int) -> te.Tensor:
    """x[.., index, ..] without that axis."""
    sizes = shape_of(x)
    axis = wrap_axis(dim, len(sizes))
    place = index % sizes[axis]
    shape = without_axis(sizes, axis)
    return compute(shape, lambda at: x(*at[:axis], place, *at[axis:]), "select")


@lowers(aten.unbind.int)
def unbind(x: te.Tensor, dim: int = 0) -> tuple[te.Tensor, ...]:
    """All selections along an axis."""
    size = shape_of(x)[wrap_axis(dim, len(x.shape))]
    return tuple(select(x, dim, index) for index in range(size))


@lowers(
    aten.split.Tensor,
    aten.split.sizes,
    aten.split.default,
    aten.split_with_sizes.default,
    aten.unsafe_split.Tensor,
    aten.unsafe_split_with_sizes.default,
    aten.chunk.default,
    aten.unsafe_chunk.default,
    aten.tensor_split.sections,
)
def split(
    x: te.Tensor, _sizes: int | Sequence[int], dim: int = 0, *, out: tuple[TensorSpec, ...]
) -> tuple[te.Tensor, ...]:
    """Consecutive pieces of an axis; their sizes are those torch found."""
    axis = wrap_axis(dim, len(x.shape))
    sizes = [spec.shape[axis] for spec in out]
    starts = accumulate(sizes, initial=0)
    return tuple(_window(x, axis, start, size) for start, size in zip(starts, sizes, strict=False))


@lowers(aten.tensor_split.indices)
def split_at(x: te.Tensor, indices: Sequence[int], dim: int = 0) -> tuple[te.Tensor, ...]:
    """The pieces [0, i0), [i0, i1), ..., [ik, end) of an axis; they may overlap or be empty."""
    starts = [0, *indices]
    ends = [*indices, None]
    return tuple(slice_axis(x, dim, *ends_of) for ends_of in zip(starts, ends, strict=True))


@lowers(aten.diagonal.default)
def diagonal(
    x: te.Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1, *, out: TensorSpec
) -> te.Tensor:
    """y[.., i] = x[.., i, .., i + offset, ..]; a negative offset counts below the diagonal."""
    rank = len(x.shape)
    row, column = wrap_axis(dim1, rank), wrap_axis(dim2, rank)

    def element(index: list[Index]) -> Any:
        rest = iter(index[:-1])
        places = {row: index[-1] + max(-offset, 0), column: index[-1] + max(offset, 0)}
        return x(*(places[axis] if axis in places else next(rest) for axis in range(rank)))

    return compute(out.shape, element, "diagonal")


@lowers(aten.unfold.default)
def unfold(x: te.Tensor, dimension: int, _size: int, step: int, *, out: TensorSpec) -> te.Tensor:
    """y[.., i, .., k] = x[.., i * step + k, ..]: sliding windows along an axis."""
    if not x.shape:
        return compute(out.shape, lambda _: x(), "unfold")
    axis = wrap_axis(dimension, len(x.shape))

    def element(index: list[Index]) -> Any:
        return x(*with_axis(index[:-1], axis, index[axis] * step + index[-1]))

    return compute(out.shape, element, "unfold")


def _window(x: te.Tensor, axis: int, start: int, length: int, step: int = 1) -> te.Tensor:
    def element(index: list[Index]) -> Any:
        return x(*with_axis(index, axis, start + index[axis] * step))

    return compute(with_axis(shape_of(x), axis, length), element, "slice")
