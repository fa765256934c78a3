"""Means and variances of rows, and what the norms do with them."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from tvm import te

from ...ir.tensor_spec import TensorSpec
from ..builder import KernelBuilder
from ..math import rsqrt
from ..math.floats import like
from .gemm import accumulator
from .indices import Index, shape_of
from .row_reduction import row_notes, row_reduce


def moments(
    x: te.Tensor, count: int, eps: float, kernel: KernelBuilder, *, tagged: bool = True
) -> tuple[te.Tensor, te.Tensor]:
    """Mean and 1 / sqrt(variance + eps) over the last `count` axes."""
    rows = len(x.shape) - count
    size = math.prod(shape_of(x)[rows:])
    total = row_reduce(x, count, "sum", kernel, tagged=tagged)
    mean = per_row(total, lambda value: value * like(value, 1 / size), "mean", tagged=tagged)

    def squared(at: Sequence[Index]) -> Any:
        centered = x(*at) - mean(*at[:rows])
        return centered * centered

    squares = row_reduce(elements(x, squared, "squares"), count, "sum", kernel, tagged=tagged)
    scale = per_row(squares, lambda value: inverse_root(value, size, eps), "scale", tagged=tagged)
    return mean, scale


def inverse_root(total: Any, size: int, eps: float) -> Any:
    return rsqrt(total * like(total, 1 / size) + like(total, eps))


def affine(
    value: Any, weight: te.Tensor | None, bias: te.Tensor | None, at: Sequence[Index]
) -> Any:
    """value * weight + bias, where they exist."""
    dtype = value.ty.dtype
    scaled = value if weight is None else value * weight(*at).astype(dtype)
    return scaled if bias is None else scaled + bias(*at).astype(dtype)


def per_row(
    x: te.Tensor, value: Callable[[Any], Any], name: str, *, tagged: bool = True
) -> te.Tensor:
    notes = row_notes(len(x.shape)) if tagged else {}
    return te.compute(x.shape, lambda *row: value(x(*row)), name=name, attrs=notes)


def elements(x: te.Tensor, value: Callable[[Sequence[Index]], Any], name: str) -> te.Tensor:
    return te.compute(x.shape, lambda *at: value(at), name=name)


def widened(x: te.Tensor, out: TensorSpec) -> te.Tensor:
    """x in the dtype to compute in."""
    dtype = accumulator(out.dtype)
    if str(x.dtype) == dtype:
        return x
    return te.compute(x.shape, lambda *at: x(*at).astype(dtype), name="wide")


def result(out: TensorSpec, value: Callable[[Sequence[Index]], Any]) -> te.Tensor:
    return te.compute(out.shape, lambda *at: value(at).astype(out.dtype), name="result")
