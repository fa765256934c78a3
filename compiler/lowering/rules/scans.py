"""Running reductions along one axis: each element and all before it."""

from collections.abc import Callable
from math import inf
from typing import Any

import torch
from tvm import te, tirx

from ...ir.tensor_spec import TensorSpec
from ..math import log_add_exp
from ..math.floats import Expr, dtype_of, is_nan
from ..registry import lowers
from .axis_reduction import converted
from .gemm import accumulator
from .indices import Index, compute, shape_of, with_axis, wrap_axis
from .statements import Statements, for_each, load, store

aten = torch.ops.aten


@lowers(aten.cumsum.default)
def cumsum(x: te.Tensor, dim: int, *, dtype: Any = None, out: TensorSpec) -> te.Tensor:
    """y[i] = y[i - 1] + x[i] along an axis."""
    start = tirx.const(0, _wider(out.dtype))
    return _scan(x, dim, out, start, lambda total, value: total + value)


@lowers(aten.cumprod.default)
def cumprod(x: te.Tensor, dim: int, *, dtype: Any = None, out: TensorSpec) -> te.Tensor:
    """y[i] = y[i - 1] * x[i] along an axis."""
    start = tirx.const(1, _wider(out.dtype))
    return _scan(x, dim, out, start, lambda total, value: total * value)


@lowers(aten.logcumsumexp.default)
def logcumsumexp(x: te.Tensor, dim: int, *, out: TensorSpec) -> te.Tensor:
    """y[i] = log(exp(y[i - 1]) + exp(x[i])) along an axis."""
    start = tirx.const(-inf, accumulator(out.dtype))
    return _scan(x, dim, out, start, log_add_exp)


@lowers(aten.cummax.default)
def cummax(
    x: te.Tensor, dim: int, *, out: tuple[TensorSpec, TensorSpec]
) -> tuple[te.Tensor, te.Tensor]:
    """The largest element so far, and where the last such lies; NaN counts as the largest."""
    return _record(x, dim, out, lambda value, best: value >= best)


@lowers(aten.cummin.default)
def cummin(
    x: te.Tensor, dim: int, *, out: tuple[TensorSpec, TensorSpec]
) -> tuple[te.Tensor, te.Tensor]:
    """The smallest element so far, and where the last such lies; NaN counts as the smallest."""
    return _record(x, dim, out, lambda value, best: value <= best)


def _scan(
    x: te.Tensor, dim: int, out: TensorSpec, start: Expr, combine: Callable[[Expr, Expr], Expr]
) -> te.Tensor:
    """All elements so far, combined in the dtype of `start`, given in that of the result."""
    shape, axis, dtype = shape_of(x), wrap_axis(dim, len(x.shape)), dtype_of(start)
    if not shape:
        return converted(x, out.dtype)
    scan = Statements()
    source, result = scan.input(x), scan.output(shape, out.dtype)
    so_far = scan.output(shape[axis + 1 :], dtype)

    def step(at: list[Index]) -> Any:
        value, place = load(source, at).astype(out.dtype).astype(dtype), at[axis + 1 :]
        total = store(so_far, combine(load(so_far, place), value), place)
        return tirx.SeqStmt([total, store(result, load(so_far, place), at)])

    def line(outer: list[Index]) -> Any:
        begin = for_each(shape[axis + 1 :], lambda place: store(so_far, start, place))
        return tirx.SeqStmt([begin, for_each(shape[axis:], lambda at: step([*outer, *at]))])

    scan.add(for_each(shape[:axis], line))
    return scan.tensors("scan")[0]


def _wider(dtype: str) -> str:
    """The dtype in which torch adds up: long sums of float32 need it."""
    return "float64" if dtype == "float32" else accumulator(dtype)


def _record(
    x: te.Tensor,
    dim: int,
    out: tuple[TensorSpec, TensorSpec],
    reaches: Callable[[Expr, Expr], Expr],
) -> tuple[te.Tensor, te.Tensor]:
    """The best element so far by `reaches(element, best before)`, and its position."""
    ordered = converted(x, "uint8" if str(x.dtype) == "bool" else accumulator(str(x.dtype)))
    shape, axis = shape_of(x), wrap_axis(dim, len(x.shape))
    if not shape:
        return x, compute(shape, lambda at: tirx.const(0, out[1].dtype), "position")
    scan = Statements()
    source = scan.input(ordered)
    best, place = scan.output(shape, str(ordered.dtype)), scan.output(shape, out[1].dtype)

    def step(at: list[Any]) -> Any:
        value, before = load(source, at), with_axis(at, axis, at[axis] - 1)
        is_best = reaches(value, load(best, before))
        if "float" in dtype_of(value):
            is_best = tirx.Or(is_best, is_nan(value))
        here = at[axis].astype(out[1].dtype)
        position = tirx.Select(is_best, here, load(place, before))
        record = tirx.Select(is_best, value, load(best, before))
        return tirx.SeqStmt(
            [
                store(place, _from_second(at[axis], position, here), at),
                store(best, _from_second(at[axis], record, value), at),
            ]
        )

    scan.add(for_each(shape, step))
    values, places = scan.tensors("scan")
    return converted(values, out[0].dtype), places


def _from_second(position: Any, value: Expr, first: Expr) -> Expr:
    """The value, or `first` at position 0, where the value may not be computed."""
    return tirx.if_then_else(position > 0, value, first)
