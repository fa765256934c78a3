"""Reductions that give one number: sums, means, products, norms and truths."""

import math
from typing import Any

import torch
from tvm import te, tirx

from ..tensor_spec import TensorSpec
from .axis_reduction import Axes, converted, count_of, reduced, wrap_axes
from .builder import KernelBuilder
from .gemm import accumulator
from .indices import compute, shape_of
from .registry import lowers

aten = torch.ops.aten


@lowers(aten.sum.default, aten.sum.dim_IntList)
def sum_of(
    x: te.Tensor,
    dim: Axes = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """Sum of x in the dtype of the result; integers are summed as int64."""
    axes = wrap_axes(dim, len(x.shape))
    return reduced(converted(x, _sum_dtype(out)), axes, "sum", out, kernel)


@lowers(aten.mean.default, aten.mean.dim)
def mean(
    x: te.Tensor,
    dim: Axes = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """sum(x) / n."""
    axes = wrap_axes(dim, len(x.shape))
    share = _inverse(count_of(x, axes))
    wide = converted(x, accumulator(out.dtype))
    return reduced(wide, axes, "sum", out, kernel, lambda total: total * _like(total, share))


@lowers(aten.prod.default, aten.prod.dim_int)
def prod(
    x: te.Tensor,
    dim: Axes = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """Product of x in the dtype of the result; integers are multiplied as int64."""
    axes = wrap_axes(dim, len(x.shape))
    return reduced(converted(x, _sum_dtype(out)), axes, "prod", out, kernel)


@lowers(aten.any.default, aten.any.dim, aten.any.dims)
def any_of(
    x: te.Tensor,
    dim: Axes = None,
    keepdim: bool = False,
    *,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """Whether an element is not zero."""
    return reduced(_truths(x), wrap_axes(dim, len(x.shape)), "max", out, kernel)


@lowers(aten.all.default, aten.all.dim, aten.all.dims)
def all_of(
    x: te.Tensor,
    dim: Axes = None,
    keepdim: bool = False,
    *,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """Whether no element is zero."""
    return reduced(_truths(x), wrap_axes(dim, len(x.shape)), "min", out, kernel)


def _sum_dtype(out: TensorSpec) -> str:
    """The dtype in which a result is summed up."""
    return "int64" if out.dtype == "bool" else accumulator(out.dtype)


def _truths(x: te.Tensor) -> te.Tensor:
    """1 where an element is not zero, also where it is NaN, else 0."""
    zero = tirx.const(0, str(x.dtype))
    return compute(shape_of(x), lambda at: tirx.NE(x(*at), zero).astype("uint8"), "truths")


def _inverse(count: float) -> float:
    return 1 / count if count > 0 else math.inf


def _like(value: Any, number: float) -> Any:
    return tirx.const(number, value.ty.dtype)
