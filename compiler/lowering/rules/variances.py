"""Variance in two passes: the mean, then squared distances from it."""

import math
from typing import Any

import torch
from tvm import te

from ...ir.tensor_spec import TensorSpec
from ..builder import KernelBuilder
from ..math.floats import like
from ..registry import lowers
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
from .gemm import accumulator
from .indices import Index, compute, shape_of
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
    axes, wide = wrap_axes(dim, len(x.shape)), converted(x, accumulator(out.dtype))
    return _variance(wide, _mean(wide, axes, kernel), axes, correction, out, kernel)


@lowers(aten.var_mean.correction)
def var_mean(
    x: te.Tensor,
    dim: Axes = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
    out: tuple[TensorSpec, TensorSpec],
    kernel: KernelBuilder,
) -> tuple[te.Tensor, te.Tensor]:
    """The variance and the mean."""
    axes, wide = wrap_axes(dim, len(x.shape)), converted(x, accumulator(out[0].dtype))
    mean = _mean(wide, axes, kernel)
    variance = _variance(wide, mean, axes, correction, out[0], kernel)
    return variance, as_result(mean, axes, out[1])


def _mean(x: te.Tensor, axes: tuple[int, ...], kernel: KernelBuilder) -> te.Tensor:
    total = reduce_axes(x, axes, "sum", kernel)
    share = _inverse(count_of(x, axes))
    rank = len(total.shape)

    def element(*at: Index) -> Any:
        value = total(*at)
        return value * like(value, share)

    is_row = axes == tuple(range(rank, len(x.shape)))
    return te.compute(total.shape, element, name="mean", attrs=row_notes(rank) if is_row else {})


def _variance(
    x: te.Tensor,
    mean: te.Tensor,
    axes: tuple[int, ...],
    correction: float | None,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    share = _inverse(count_of(x, axes) - (1 if correction is None else correction))

    def square(at: list[Index]) -> Any:
        distance = x(*at) - mean(*kept(at, axes, len(at)))
        return distance * distance

    squares = compute(shape_of(x), square, "squares")
    return reduced(squares, axes, "sum", out, kernel, lambda total: total * like(total, share))


def _inverse(count: float) -> float:
    return 1 / count if count > 0 else math.inf
