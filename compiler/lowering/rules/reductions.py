"""Reductions that give one number: sums, means, products, norms and truths."""

import math
from typing import Any

import torch
from tvm import DataType, te, tirx

from ...ir.tensor_spec import TensorSpec
from ..builder import KernelBuilder
from ..math.floats import dtype_of, like
from ..math.power import constant_power
from ..registry import lowers
from .axis_reduction import Axes, converted, count_of, reduced, wrap_axes
from .gemm import accumulator
from .indices import compute, shape_of

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
    count = count_of(x, axes)
    share = 1 / count if count else math.inf  # so that the mean of nothing is NaN
    wide = converted(x, accumulator(out.dtype))
    return reduced(wide, axes, "sum", out, kernel, lambda total: total * like(total, share))


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
    return reduced(_truths(x), wrap_axes(dim, len(x.shape)), "any", out, kernel)


@lowers(aten.linalg_vector_norm.default)
def vector_norm(
    x: te.Tensor,
    order: float = 2,
    dim: Axes = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """(sum |x|^p)^(1/p); the largest |x| for p = inf, the smallest for -inf, how many for 0."""
    axes = wrap_axes(dim, len(x.shape))
    wide = converted(x, accumulator(out.dtype))
    combine = {math.inf: "amax", -math.inf: "amin"}.get(order, "sum")

    def share(at: list[Any]) -> Any:
        value = wide(*at)
        if order == 0:
            return tirx.NE(value, like(value, 0)).astype(dtype_of(value))
        return _absolute_power(value, order)

    shares = compute(shape_of(x), share, "shares")
    if order in (0, 1) or math.isinf(order):
        return reduced(shares, axes, combine, out, kernel)
    return reduced(
        shares, axes, combine, out, kernel, lambda total: constant_power(total, 1 / order)
    )


def _absolute_power(value: Any, order: float) -> Any:
    if math.isinf(order) or order == 1:
        return tirx.abs(value)
    is_even = order % 2 == 0
    return constant_power(value if is_even else tirx.abs(value), order)


def _sum_dtype(out: TensorSpec) -> str:
    """The dtype in which a result is summed up."""
    return "int64" if out.dtype == "bool" else accumulator(out.dtype)


def _truths(x: te.Tensor) -> te.Tensor:
    """1 where an element is not zero, also where it is NaN, else 0; as wide as the elements."""
    if str(x.dtype) == "bool":
        return converted(x, "int8")
    dtype = f"int{DataType(str(x.dtype)).bits}"
    zero = tirx.const(0, str(x.dtype))
    return compute(shape_of(x), lambda at: tirx.NE(x(*at), zero).astype(dtype), "truths")
