"""Operators that write elements to places known only at run time, in order.

A place out of range is clamped into the tensor, as in `gathering`. Where two plain writes hit one
place, the later one stays.
"""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import torch
from tvm import te, tirx

from ...errors import CompileError
from ...ir.tensor_spec import TensorSpec
from ..registry import lowers
from .advanced_index import advanced_index
from .creation import constant
from .indices import (
    Index,
    Shape,
    broadcast_place,
    clamp_index,
    compute,
    shape_of,
    unflatten_index,
    with_axis,
    wrap_axis,
    wrap_index,
)
from .statements import Statements, for_each, load, store
from .updates import Combine, Updates, add, multiply, overwrite

aten = torch.ops.aten


@lowers(aten.scatter.src, aten.scatter.value)
def scatter(x: te.Tensor, dim: int, index: te.Tensor, source: te.Tensor | float) -> te.Tensor:
    """A copy of x with x[.., index[.., i, ..], ..] = source[.., i, ..]."""
    return _scatter(x, dim, index, source, overwrite)


@lowers(aten.scatter_add.default)
def scatter_add(x: te.Tensor, dim: int, index: te.Tensor, source: te.Tensor) -> te.Tensor:
    """A copy of x with x[.., index[.., i, ..], ..] += source[.., i, ..]."""
    return _scatter(x, dim, index, source, add)


@lowers(aten.scatter.reduce, aten.scatter.value_reduce)
def scatter_combine(
    x: te.Tensor, dim: int, index: te.Tensor, source: te.Tensor | float, *, reduce: str
) -> te.Tensor:
    """`scatter_add`, or the same with a product for reduce="multiply"."""
    return _scatter(x, dim, index, source, {"add": add, "multiply": multiply}[reduce])


@lowers(aten.scatter_reduce.two)
def scatter_reduce(
    x: te.Tensor,
    dim: int,
    index: te.Tensor,
    source: te.Tensor,
    reduce: str,
    *,
    include_self: bool = True,
) -> te.Tensor:
    """y[p] = reduction of x[p] and of the source elements whose index says p.

    Without include_self, x[p] stays only where no index says p.
    """
    axis = wrap_axis(dim, len(x.shape))
    updates = Updates(x)
    place = _scatter_place(updates.reader(index), shape_of(x), axis)
    updates.reduce(shape_of(index), place, updates.reader(source), reduce, include_self)
    return updates.tensor("scatter")


@lowers(aten.index_reduce.default)
def index_reduce(
    x: te.Tensor,
    dim: int,
    index: te.Tensor,
    source: te.Tensor,
    reduce: str,
    *,
    include_self: bool = True,
) -> te.Tensor:
    """As `scatter_reduce` with whole slices: place i of the axis in source goes to index[i]."""
    axis = wrap_axis(dim, len(x.shape))
    updates = Updates(x)
    place = _slice_place(updates.reader(index), index, shape_of(x), axis)
    updates.reduce(shape_of(source), place, updates.reader(source), reduce, include_self)
    return updates.tensor("index")


@lowers(aten.index_add.default)
def index_add(
    x: te.Tensor, dim: int, index: te.Tensor, source: te.Tensor, *, alpha: float = 1
) -> te.Tensor:
    """A copy of x with x[.., index[i], ..] += alpha * source[.., i, ..]."""
    factor = constant(alpha, str(x.dtype))
    axis = wrap_axis(dim, len(x.shape))
    updates = Updates(x)
    place = _slice_place(updates.reader(index), index, shape_of(x), axis)
    read = updates.reader(source)
    scaled = read if alpha == 1 else lambda at: read(at) * factor
    updates.write(shape_of(source), place, scaled, add)
    return updates.tensor("index")


@lowers(aten.index_copy.default)
def index_copy(x: te.Tensor, dim: int, index: te.Tensor, source: te.Tensor) -> te.Tensor:
    """A copy of x with x[.., index[i], ..] = source[.., i, ..]."""
    axis = wrap_axis(dim, len(x.shape))
    updates = Updates(x)
    place = _slice_place(updates.reader(index), index, shape_of(x), axis)
    updates.write(shape_of(source), place, updates.reader(source), overwrite)
    return updates.tensor("index")


@lowers(aten.index_fill.int_Scalar, aten.index_fill.int_Tensor)
def index_fill(x: te.Tensor, dim: int, index: te.Tensor, value: te.Tensor | float) -> te.Tensor:
    """A copy of x with x[.., index[i], ..] = value."""
    sizes = shape_of(x)
    axis = wrap_axis(dim, len(sizes))
    count = prod(shape_of(index))
    updates = Updates(x)
    place = _slice_place(updates.reader(index), index, sizes, axis, wrap_index)
    filled = updates.reader(value, str(x.dtype))
    shape = with_axis(sizes, axis, count) if sizes else [count]
    updates.write(shape, place, lambda _: filled([]), overwrite)
    return updates.tensor("index")


@lowers(aten.put.default)
def put(x: te.Tensor, index: te.Tensor, source: te.Tensor, accumulate: bool = False) -> te.Tensor:
    """A copy of x with x.flat[index[i]] = source[i], or += with accumulate."""
    sizes, index_sizes = shape_of(x), shape_of(index)
    updates = Updates(x)
    places, values = updates.reader(index), updates.reader(source)

    def place(at: list[Index]) -> list[Index]:
        return unflatten_index(wrap_index(places(at), prod(sizes)), sizes)

    updates.write(index_sizes, place, values, add if accumulate else overwrite)
    return updates.tensor("put")


@lowers(aten.index_put.default, aten._unsafe_index_put.default)
def index_put(
    x: te.Tensor,
    indices: Sequence[te.Tensor | None],
    values: te.Tensor,
    accumulate: bool = False,
) -> te.Tensor:
    """A copy of x with x[indices] = values, or += with accumulate; a lone mask picks elements."""
    if [str(i.dtype) for i in indices if i is not None] == ["bool"]:
        return _put_masked(x, indices, values, accumulate)
    meaning = advanced_index(shape_of(x), indices)
    updates = Updates(x)
    readers = [updates.reader(index) for index in indices if index is not None]
    value, sizes = updates.reader(values), shape_of(values)
    updates.write(
        meaning.shape,
        lambda at: meaning.place(at, readers),
        lambda at: value(broadcast_place(at, sizes)),
        add if accumulate else overwrite,
    )
    return updates.tensor("index_put")


@lowers(aten.masked_scatter.default)
def masked_scatter(
    x: te.Tensor, mask: te.Tensor, source: te.Tensor, *, out: TensorSpec
) -> te.Tensor:
    """Elements of x where the mask is false, else the next of source, in row-major order."""
    steps = Statements()
    old, chosen, values = (steps.input(tensor) for tensor in (x, mask, source))
    new, taken = steps.output(out.shape, out.dtype), steps.output((), "int32")
    sizes = shape_of(source)

    def visit(at: list[Index]) -> Any:
        here = load(chosen, broadcast_place(at, shape_of(mask)))
        next_value = load(values, unflatten_index(clamp_index(load(taken, []), prod(sizes)), sizes))
        kept = load(old, broadcast_place(at, shape_of(x)))
        count = load(taken, []) + here.astype("int32")
        chosen_value = tirx.if_then_else(here, next_value, kept)
        return tirx.SeqStmt([store(new, chosen_value, at), store(taken, count, [])])

    steps.add(store(taken, tirx.const(0, "int32"), []))
    steps.add(for_each(out.shape, visit))
    return steps.tensors("masked_scatter")[0]


def _scatter(
    x: te.Tensor, dim: int, index: te.Tensor, source: te.Tensor | float, combine: Combine
) -> te.Tensor:
    axis = wrap_axis(dim, len(x.shape))
    updates = Updates(x)
    place = _scatter_place(updates.reader(index), shape_of(x), axis)
    updates.write(shape_of(index), place, updates.reader(source, str(x.dtype)), combine)
    return updates.tensor("scatter")


def _scatter_place(
    places: Callable[[list[Index]], Any], sizes: Shape, axis: int
) -> Callable[[list[Index]], list[Index]]:
    """The places of updates that have an index element each."""
    size = (*sizes, 1)[axis]
    return lambda at: with_axis(at, axis, clamp_index(places(at), size))[: len(sizes)]


def _slice_place(
    places: Callable[[list[Index]], Any],
    index: te.Tensor,
    sizes: Shape,
    axis: int,
    bring_inside: Callable[[Index, int], Index] = clamp_index,
) -> Callable[[list[Index]], list[Index]]:
    """The places of updates that share one index along an axis."""

    def place(at: list[Index]) -> list[Index]:
        entry = places(at[axis : axis + 1] if index.shape else [])
        return with_axis(at, axis, bring_inside(entry, (*sizes, 1)[axis]))[: len(sizes)]

    return place


def _put_masked(
    x: te.Tensor, indices: Sequence[te.Tensor | None], values: te.Tensor, accumulate: bool
) -> te.Tensor:
    """A mask over some axes; the values must not depend on how many elements it picks."""
    first, mask = next((axis, mask) for axis, mask in enumerate(indices) if mask is not None)
    last = first + len(mask.shape)
    sizes = shape_of(values)
    rest = len(x.shape) - last
    if prod(sizes[: len(sizes) - rest]) != 1 or (first and prod(sizes) != 1):
        raise CompileError(
            "x[mask] = values needs values that fit any number of picked elements",
            got=f"values of shape {list(sizes)}",
            fix="use torch.where, or masked_scatter",
        )

    def element(at: list[Index]) -> Any:
        value = values(*broadcast_place([0] * len(sizes) + at[last:], sizes))
        new = x(*at) + value if accumulate else value
        return tirx.Select(mask(*at[first:last]), new, x(*at))

    return compute(shape_of(x), element, "index_put")
