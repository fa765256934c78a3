"""Largest and smallest elements, and where the first of them lies."""

from typing import Any

import torch
from tvm import te, tirx

from ...ir.tensor_spec import TensorSpec
from ..builder import KernelBuilder
from ..math.floats import Lets, dtype_of, is_nan
from ..registry import lowers
from .axis_reduction import Axes, as_result, converted, kept, reduce_axes, reduced, wrap_axes
from .gemm import accumulator
from .indices import compute, flatten_index, shape_of

aten = torch.ops.aten


@lowers(aten.amax.default, aten.max.default)
def amax(
    x: te.Tensor,
    dim: Axes = None,
    keepdim: bool = False,
    *,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """The largest element, NaN if there is one."""
    return reduced(_ordered(x), wrap_axes(dim, len(x.shape)), "amax", out, kernel)


@lowers(aten.amin.default, aten.min.default)
def amin(
    x: te.Tensor,
    dim: Axes = None,
    keepdim: bool = False,
    *,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """The smallest element, NaN if there is one."""
    return reduced(_ordered(x), wrap_axes(dim, len(x.shape)), "amin", out, kernel)


@lowers(aten.max.dim)
def max_with_index(
    x: te.Tensor,
    dim: int,
    keepdim: bool = False,
    *,
    out: tuple[TensorSpec, TensorSpec],
    kernel: KernelBuilder,
) -> tuple[te.Tensor, te.Tensor]:
    """The largest element along an axis, and where the first such lies."""
    return _with_index(x, dim, "amax", out, kernel)


@lowers(aten.min.dim)
def min_with_index(
    x: te.Tensor,
    dim: int,
    keepdim: bool = False,
    *,
    out: tuple[TensorSpec, TensorSpec],
    kernel: KernelBuilder,
) -> tuple[te.Tensor, te.Tensor]:
    """The smallest element along an axis, and where the first such lies."""
    return _with_index(x, dim, "amin", out, kernel)


@lowers(aten.argmax.default)
def argmax(
    x: te.Tensor,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """Where the first of the largest elements lies; in row-major order if `dim` is None."""
    return _first_place(_ordered(x), dim, "amax", out, kernel)


@lowers(aten.argmin.default)
def argmin(
    x: te.Tensor,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """Where the first of the smallest elements lies; in row-major order if `dim` is None."""
    return _first_place(_ordered(x), dim, "amin", out, kernel)


def _with_index(
    x: te.Tensor,
    dim: int,
    combine: str,
    out: tuple[TensorSpec, TensorSpec],
    kernel: KernelBuilder,
) -> tuple[te.Tensor, te.Tensor]:
    axes, wide = wrap_axes(dim, len(x.shape)), _ordered(x)
    best = reduce_axes(wide, axes, combine, kernel)
    return as_result(best, axes, out[0]), _first_place(wide, dim, combine, out[1], kernel, best)


def _first_place(
    x: te.Tensor,
    dim: int | None,
    combine: str,
    out: TensorSpec,
    kernel: KernelBuilder,
    best: te.Tensor | None = None,
) -> te.Tensor:
    """The smallest position whose element is as large (or small) as the `best`, or NaN."""
    rank, sizes, axes = len(x.shape), shape_of(x), wrap_axes(dim, len(x.shape))
    extreme = reduce_axes(x, axes, combine, kernel) if best is None else best

    def place(at: list[Any]) -> Any:
        bind = Lets()
        value = bind(x(*at))
        found = tirx.EQ(value, extreme(*kept(at, axes, rank)))
        if "float" in dtype_of(value):
            found = tirx.Or(found, is_nan(value))
        position = flatten_index([at[axis] for axis in axes], [sizes[axis] for axis in axes])
        here = tirx.const(0, "int32") + position
        return bind.close(tirx.Select(found, here, tirx.max_value("int32")))

    return reduced(compute(sizes, place, "places"), axes, "min", out, kernel)


def _ordered(x: te.Tensor) -> te.Tensor:
    """X in a dtype whose elements the target compares as they are."""
    return converted(x, "uint8" if str(x.dtype) == "bool" else accumulator(str(x.dtype)))
