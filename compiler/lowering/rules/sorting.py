"""Sorting along an axis, and what sorted rows tell: largest elements, medians, modes."""

from collections.abc import Callable
from math import prod

import torch
from tvm import te, tirx

from ...ir.tensor_spec import TensorSpec
from ..math.floats import Expr, is_nan
from ..registry import lowers
from .axis_reduction import kept
from .indices import Index, compute, shape_of, unflatten_index, with_axis, without_axis, wrap_axis
from .ordering import comparable, sorted_places
from .statements import Statements, for_each, load, loop, store

aten = torch.ops.aten
Results = tuple[te.Tensor, te.Tensor]
Specs = tuple[TensorSpec, TensorSpec]


@lowers(aten.sort.default)
def sort(x: te.Tensor, dim: int = -1, descending: bool = False, *, out: Specs) -> Results:
    """The elements along an axis in order, equal ones as they came, and where they were."""
    return _first_sorted(x, dim, descending, out)


@lowers(aten.sort.stable)
def sort_stable(
    x: te.Tensor,
    *,
    stable: bool | None = None,
    dim: int = -1,
    descending: bool = False,
    out: Specs,
) -> Results:
    """As `sort`, which is always stable."""
    return _first_sorted(x, dim, descending, out)


@lowers(aten.argsort.default)
def argsort(x: te.Tensor, dim: int = -1, descending: bool = False, *, out: TensorSpec) -> te.Tensor:
    """Where the elements in order were."""
    spec = TensorSpec(out.shape, str(x.dtype))
    return _first_sorted(x, dim, descending, (spec, out))[1]


@lowers(aten.argsort.stable)
def argsort_stable(
    x: te.Tensor, *, stable: bool, dim: int = -1, descending: bool = False, out: TensorSpec
) -> te.Tensor:
    """As `argsort`, which is always stable."""
    return argsort(x, dim, descending, out=out)


@lowers(aten.topk.default)
def topk(
    x: te.Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True, *, out: Specs
) -> Results:
    """The k largest or smallest elements along an axis, in order, and where they were."""
    return _first_sorted(x, dim, largest, out)


@lowers(aten.kthvalue.default)
def kthvalue(x: te.Tensor, k: int, dim: int = -1, keepdim: bool = False, *, out: Specs) -> Results:
    """The k-th smallest element along an axis, counted from 1, and where it was."""
    return _picked(x, dim, out, lambda element, size: tirx.const(k - 1, "int32"))


@lowers(aten.median.dim)
def median(x: te.Tensor, dim: int = -1, keepdim: bool = False, *, out: Specs) -> Results:
    """The lower middle of the elements along an axis, NaN if there is one, and where it was."""
    return _picked(x, dim, out, _middle)


@lowers(aten.median.default)
def median_of_all(x: te.Tensor, *, out: TensorSpec) -> te.Tensor:
    """The lower middle of all elements, NaN if there is one."""
    shape = shape_of(x)
    row = compute((prod(shape),), lambda at: x(*unflatten_index(at[0], shape)), "row")
    return _picked(row, 0, (out, TensorSpec((), "int64")), _middle)[0]


@lowers(aten.mode.default)
def mode(x: te.Tensor, dim: int = -1, keepdim: bool = False, *, out: Specs) -> Results:
    """The most frequent element along an axis, the smallest of several, and where the last lies."""
    if not x.shape:
        return _of_scalar(x, out)
    shape, axis = shape_of(x), wrap_axis(dim, len(x.shape))
    counting = Statements()
    source = counting.input(comparable(x))
    order = counting.input(sorted_places(x, axis, descending=False))
    best_place = counting.output(without_axis(shape, axis), "int32")
    length, longest = counting.output((), "int32"), counting.output((), "int32")

    def count_row(row: list[Index]) -> Expr:
        k = tirx.Var("k", "int32")

        def element(place: Index) -> Expr:
            own = load(order, [*row[:axis], place, *row[axis:]])
            return load(source, [*row[:axis], own, *row[axis:]])

        repeats = tirx.if_then_else(k > 0, tirx.EQ(element(k), element(k - 1)), tirx.const(False))
        grown = tirx.Select(repeats, load(length, []) + 1, tirx.const(1, "int32"))
        is_longer = load(length, []) > load(longest, [])
        own = load(order, [*row[:axis], k, *row[axis:]])
        step = [
            store(length, grown, []),
            store(best_place, tirx.Select(is_longer, own, load(best_place, row)), row),
            store(longest, tirx.max(load(length, []), load(longest, [])), []),
        ]
        start = [store(number, tirx.const(0, "int32"), []) for number in (length, longest)]
        first = store(best_place, tirx.const(0, "int32"), row)
        return tirx.SeqStmt([*start, first, loop(k, 0, shape[axis], tirx.SeqStmt(step))])

    counting.add(for_each(without_axis(shape, axis), count_row))
    return _gathered(x, axis, counting.tensors("mode")[0], out)


def _first_sorted(x: te.Tensor, dim: int, descending: bool, out: Specs) -> Results:
    """As many of the sorted elements as `out` has, and their places."""
    if not x.shape:
        return _of_scalar(x, out)
    axis = wrap_axis(dim, len(x.shape))
    places = sorted_places(x, axis, descending, out[0].shape[axis])
    values = compute(out[0].shape, lambda at: x(*with_axis(at, axis, places(*at))), "sorted")
    return values, compute(out[1].shape, lambda at: places(*at).astype(out[1].dtype), "places")


def _picked(
    x: te.Tensor, dim: int, out: Specs, pick: Callable[[Callable[[Index], Expr], int], Expr]
) -> Results:
    """The element at place `pick(elements in order, how many)` of each sorted row."""
    if not x.shape:
        return _of_scalar(x, out)
    axis, size = wrap_axis(dim, len(x.shape)), shape_of(x)[wrap_axis(dim, len(x.shape))]
    places = sorted_places(x, axis, descending=False)
    ordered = comparable(x)

    def place(row: list[Index]) -> Expr:
        def element(k: Index) -> Expr:
            own = places(*row[:axis], k, *row[axis:])
            return ordered(*row[:axis], own, *row[axis:])

        return places(*row[:axis], pick(element, size), *row[axis:])

    return _gathered(x, axis, compute(without_axis(shape_of(x), axis), place, "place"), out)


def _gathered(x: te.Tensor, axis: int, place: te.Tensor, out: Specs) -> Results:
    """The element at one place of each row, and the place."""

    def value(at: list[Index]) -> Expr:
        row = kept(at, [axis], len(x.shape))
        return x(*row[:axis], place(*row), *row[axis:])

    def position(at: list[Index]) -> Expr:
        return place(*kept(at, [axis], len(x.shape))).astype(out[1].dtype)

    return compute(out[0].shape, value, "value"), compute(out[1].shape, position, "position")


def _middle(element: Callable[[Index], Expr], size: int) -> Expr:
    """The lower middle place, or the last one if a NaN is there."""
    middle, last = tirx.const((size - 1) // 2, "int32"), tirx.const(size - 1, "int32")
    largest = element(last)
    if "float" not in str(largest.ty.dtype):
        return middle
    return tirx.Select(is_nan(largest), last, middle)


def _of_scalar(x: te.Tensor, out: Specs) -> Results:
    return x, compute((), lambda at: tirx.const(0, out[1].dtype), "place")
