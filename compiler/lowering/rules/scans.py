"""Running reductions along one axis: each element and all before it."""

from collections.abc import Callable
from math import inf
from typing import Any

import torch
from tvm import te, tirx

from ...ir.tensor_spec import TensorSpec
from ..math import exp, log1p
from ..math.floats import Expr, Lets, dtype_of, is_nan, like
from ..registry import lowers
from .axis_reduction import converted
from .gemm import accumulator
from .indices import compute, shape_of, with_axis, wrap_axis
from .statements import Statements, for_each, load, store

aten = torch.ops.aten


@lowers(aten.cumsum.default)
def cumsum(x: te.Tensor, dim: int, *, dtype: Any = None, out: TensorSpec) -> te.Tensor:
    """y[i] = y[i - 1] + x[i] along an axis."""
    return _scan(x, dim, out, lambda total, value: total + value)


@lowers(aten.cumprod.default)
def cumprod(x: te.Tensor, dim: int, *, dtype: Any = None, out: TensorSpec) -> te.Tensor:
    """y[i] = y[i - 1] * x[i] along an axis."""
    return _scan(x, dim, out, lambda total, value: total * value)


@lowers(aten.logcumsumexp.default)
def logcumsumexp(x: te.Tensor, dim: int, *, out: TensorSpec) -> te.Tensor:
    """y[i] = log(exp(y[i - 1]) + exp(x[i])) along an axis."""
    return _scan(x, dim, out, log_add_exp)


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


def log_add_exp(x: Expr, y: Expr) -> Expr:
    """log(exp(x) + exp(y)) = max + log1p(exp(min - max))."""
    bind = Lets()
    x, y = bind(x), bind(y)
    larger = bind(tirx.Select(tirx.Or(x > y, is_nan(x)), x, y))
    smaller = tirx.Select(x > y, y, x)
    value = larger + log1p(exp(smaller - larger))
    is_infinite = tirx.EQ(tirx.abs(larger), like(x, inf))  # inf - inf is no number
    return bind.close(tirx.Select(is_infinite, larger, value))


def _scan(
    x: te.Tensor, dim: int, out: TensorSpec, combine: Callable[[Expr, Expr], Expr]
) -> te.Tensor:
    wide, shape = converted(x, accumulator(out.dtype)), shape_of(x)
    axis = wrap_axis(dim, len(shape))
    if not shape:
        return converted(wide, out.dtype)
    scan = Statements()
    source, result = scan.input(wide), scan.output(shape, str(wide.dtype))

    def step(at: list[Any]) -> Any:
        value = load(source, at)
        before = load(result, with_axis(at, axis, at[axis] - 1))
        return store(result, _from_second(at[axis], combine(before, value), value), at)

    scan.add(for_each(shape, step))
    return converted(scan.tensors("scan")[0], out.dtype)


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
