"""Norms over the last axes: every row is scaled by its own moments."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from tvm import te

from ...ir.tensor_spec import TensorSpec
from ..builder import KernelBuilder
from ..registry import lowers
from .indices import Index
from .moments import affine, elements, inverse_root, moments, per_row, result, widened
from .row_reduction import row_reduce

aten = torch.ops.aten


@lowers(aten.layer_norm.default)
def layer_norm(
    x: te.Tensor,
    normalized_shape: Sequence[int],
    weight: te.Tensor | None = None,
    bias: te.Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
    *,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias over the last axes; var in a second pass."""
    count, wide = len(normalized_shape), widened(x, out)
    mean, scale = moments(wide, count, eps, kernel)

    def element(at: Sequence[Index]) -> Any:
        row = at[: len(at) - count]
        value = (wide(*at) - mean(*row)) * scale(*row)
        return affine(value, weight, bias, at[len(at) - count :])

    return result(out, element)


@lowers(aten.native_layer_norm.default)
def native_layer_norm(
    x: te.Tensor,
    normalized_shape: Sequence[int],
    weight: te.Tensor | None,
    bias: te.Tensor | None,
    eps: float,
    *,
    out: tuple[TensorSpec, ...],
    kernel: KernelBuilder,
) -> tuple[te.Tensor, te.Tensor, te.Tensor]:
    """As `layer_norm`, with the mean and 1 / sqrt(var + eps) of each row."""
    count = len(normalized_shape)
    value = layer_norm(x, normalized_shape, weight, bias, eps, out=out[0], kernel=kernel)
    mean, scale = moments(widened(x, out[0]), count, eps, kernel)

    def of_rows(source: te.Tensor, spec: TensorSpec) -> te.Tensor:
        rows = len(spec.shape) - count
        return result(spec, lambda at: source(*at[:rows]))

    return value, of_rows(mean, out[1]), of_rows(scale, out[2])


@lowers(aten.rms_norm.default)
def rms_norm(
    x: te.Tensor,
    normalized_shape: Sequence[int],
    weight: te.Tensor | None = None,
    eps: float | None = None,
    *,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """x / sqrt(mean(x^2) + eps) * weight over the last axes; eps is the dtype's own by default."""
    count, wide = len(normalized_shape), widened(x, out)
    small = torch.finfo(out.torch_dtype).eps if eps is None else eps
    squares = elements(wide, lambda at: wide(*at) * wide(*at), "squares")
    size = math.prod(normalized_shape)
    scale = per_row(
        row_reduce(squares, count, "sum", kernel),
        lambda total: inverse_root(total, size, small),
        "scale",
    )

    def element(at: Sequence[Index]) -> Any:
        value = wide(*at) * scale(*at[: len(at) - count])
        return affine(value, weight, None, at[len(at) - count :])

    return result(out, element)
