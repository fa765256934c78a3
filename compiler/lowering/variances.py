"""Variance and standard deviation, in two passes: the mean, then squared distances from it."""

import math
from collections.abc import Callable
from typing import Any

import torch
from tvm import te, tirx

from ..tensor_spec import TensorSpec
from .axis_reduction import (
    Axes,
    as_result,
    converted,
    count_of,
    kept,
    reduce_axes,
    reduced,
    wrap_axes,
)
from .builder import KernelBuilder
from .gemm import accumulator
from .indices import compute, shape_of
from .math import sqrt
from .registry import lowers
from .row_reduction import row_notes

aten = torch.ops.aten


@lowers(aten.var.correction)
def var(
    x: te.Tensor,
    dim: Axes = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """sum((x - mean)^2) / (n - correction); `correction` is 1 if None."""
    return _spread(x, dim, correction, (out,), kernel, _same)[0]


@lowers(aten.std.correction)
def std(
    x: te.Tensor,
    dim: Axes = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """The square root of the variance."""
    return _spread(x, dim, correction, (out,), kernel, sqrt)[0]


@lowers(aten.var_mean.correction)
def var_mean(
    x: te.Tensor,
    dim: Axes = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
    out: tuple[TensorSpec, TensorSpec],
    kernel: KernelBuilder,
) -> tuple[te.Tensor, ...]:
    """The variance and the mean."""
    return _spread(x, dim, correction, out, kernel, _same)


@lowers(aten.std_mean.correction)
def std_mean(
    x: te.Tensor,
    dim: Axes = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
    out: tuple[TensorSpec, TensorSpec],
    kernel: KernelBuilder,
) -> tuple[te.Tensor, ...]:
    """The standard deviation and the mean."""
    return _spread(x, dim, correction, out, kernel, sqrt)


def _spread(
    x: te.Tensor,
    dim: Axes,
    correction: float | None,
    out: tuple[TensorSpec, ...],
    kernel: KernelBuilder,
    finish: Callable[[Any], Any],
) -> tuple[te.Tensor, ...]:
    """`finish(variance)`, and the mean if `out` has two results."""
    rank, axes = len(x.shape), wrap_axes(dim, len(x.shape))
    wide, count = converted(x, accumulator(out[0].dtype)), count_of(x, axes)
    share = _inverse(count - (1 if correction is None else correction))
    total = reduce_axes(wide, axes, "sum", kernel)
    mean = te.compute(
        total.shape,
        lambda *at: total(*at) * _like(total, _inverse(count)),
        name="mean",
        attrs=row_notes(len(total.shape)),
    )

    def squared(at: list[Any]) -> Any:
        distance = wide(*at) - mean(*kept(at, axes, rank))
        return distance * distance

    squares = compute(shape_of(x), squared, "squares")
    result = reduced(
        squares, axes, "sum", out[0], kernel, lambda value: finish(value * _like(mean, share))
    )
    if len(out) == 1:
        return (result,)
    return result, as_result(mean, axes, out[1])


def _same(value: Any) -> Any:
    return value


def _inverse(count: float) -> float:
    return 1 / count if count > 0 else math.inf


def _like(tensor: te.Tensor, number: float) -> Any:
    return tirx.const(number, str(tensor.dtype))
