"""Operators that keep a tensor but for a regular part: triangles, written slices, diagonals."""

from collections.abc import Callable
from typing import Any

import torch
from tvm import te, tirx

from ...ir.tensor_spec import TensorSpec
from ..registry import lowers
from .indices import (
    Index,
    broadcast_place,
    compute,
    guarded,
    shape_of,
    with_axis,
    within,
    without_axis,
    wrap_axis,
)
from .pointwise import cast

aten = torch.ops.aten


@lowers(aten.tril.default)
def tril(x: te.Tensor, diagonal: int = 0) -> te.Tensor:
    """Elements of x where column <= row + diagonal, else 0."""
    return _triangle(x, lambda row, column: column <= row + diagonal)


@lowers(aten.triu.default)
def triu(x: te.Tensor, diagonal: int = 0) -> te.Tensor:
    """Elements of x where column >= row + diagonal, else 0."""
    return _triangle(x, lambda row, column: column >= row + diagonal)


@lowers(aten.copy.default)
def copy_into(
    x: te.Tensor, source: te.Tensor, non_blocking: bool = False, *, out: TensorSpec
) -> te.Tensor:
    """The source in the shape and dtype of x."""
    return compute(
        out.shape,
        lambda at: cast(source(*broadcast_place(at, shape_of(source))), out.dtype),
        "copy",
    )


@lowers(aten.slice_scatter.default)
def slice_scatter(
    x: te.Tensor,
    source: te.Tensor,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> te.Tensor:
    """A copy of x with x[.., start:end:step, ..] = source."""
    sizes = shape_of(x)
    axis = wrap_axis(dim, len(sizes))
    places = range(sizes[axis])[slice(start, end, step)]
    if not places:
        return compute(sizes, lambda index: x(*index), "slice_scatter")

    def element(index: list[Index]) -> Any:
        i = index[axis]
        offset = i - places.start
        written = within(i, places.start, places[-1] + 1, sizes[axis])
        if step > 1:
            written.append(tirx.floormod(offset, step) == 0)
        return guarded(written, source(*with_axis(index, axis, offset // step)), x(*index))

    return compute(sizes, element, "slice_scatter")


@lowers(aten.select_scatter.default)
def select_scatter(x: te.Tensor, source: te.Tensor, dim: int, index: int) -> te.Tensor:
    """A copy of x with x[.., index, ..] = source."""
    sizes = shape_of(x)
    axis = wrap_axis(dim, len(sizes))
    place = index % sizes[axis]

    def element(at: list[Index]) -> Any:
        return tirx.if_then_else(at[axis] == place, source(*without_axis(at, axis)), x(*at))

    return compute(sizes, element, "select_scatter")


@lowers(aten.diagonal_scatter.default)
def diagonal_scatter(
    x: te.Tensor, source: te.Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1
) -> te.Tensor:
    """A copy of x with its diagonal(offset, dim1, dim2) = source."""
    sizes = shape_of(x)
    row, column = wrap_axis(dim1, len(sizes)), wrap_axis(dim2, len(sizes))

    def element(index: list[Index]) -> Any:
        rest = [i for axis, i in enumerate(index) if axis not in (row, column)]
        place = index[row] + min(offset, 0)
        on_diagonal = index[column] - index[row] == offset
        return tirx.if_then_else(on_diagonal, source(*rest, place), x(*index))

    return compute(sizes, element, "diagonal_scatter")


@lowers(aten.diag_embed.default)
def diag_embed(
    x: te.Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1, *, out: TensorSpec
) -> te.Tensor:
    """Zeros with x on the diagonals of the two new axes."""
    row, column = wrap_axis(dim1, len(out.shape)), wrap_axis(dim2, len(out.shape))

    def element(index: list[Index]) -> Any:
        rest = [i for axis, i in enumerate(index) if axis not in (row, column)]
        place = index[row] + min(offset, 0)
        on_diagonal = index[column] - index[row] == offset
        return tirx.if_then_else(on_diagonal, x(*rest, place), tirx.const(0, out.dtype))

    return compute(out.shape, element, "diag_embed")


def _triangle(x: te.Tensor, keeps: Callable[[Index, Index], Any]) -> te.Tensor:
    zero = tirx.const(0, str(x.dtype))

    def element(index: list[Index]) -> Any:
        return tirx.Select(keeps(index[-2], index[-1]), x(*index), zero)

    return compute(shape_of(x), element, "triangle")
