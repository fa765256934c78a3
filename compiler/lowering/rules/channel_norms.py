"""Norms per channel (axis 1): over groups of channels, single ones, or a batch."""

from collections.abc import Sequence
from typing import Any

import torch
from tvm import te, tirx

from ...errors import CompileError
from ...ir.tensor_spec import TensorSpec
from ..builder import KernelBuilder
from ..registry import lowers
from .gemm import accumulator
from .indices import Index, shape_of
from .moments import affine, inverse_root, moments, result, widened

aten = torch.ops.aten


@lowers(aten.group_norm.default)
def group_norm(
    x: te.Tensor,
    num_groups: int,
    weight: te.Tensor | None = None,
    bias: te.Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
    *,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """`layer_norm` over the channels of each group and all positions; affine per channel."""
    return _group_norm(x, num_groups, weight, bias, eps, out, kernel)[0]


@lowers(aten.native_group_norm.default)
def native_group_norm(
    x: te.Tensor,
    weight: te.Tensor | None,
    bias: te.Tensor | None,
    images: int,
    channels: int,
    positions: int,
    groups: int,
    eps: float,
    *,
    out: tuple[TensorSpec, TensorSpec, TensorSpec],
    kernel: KernelBuilder,
) -> tuple[te.Tensor, te.Tensor, te.Tensor]:
    """As `group_norm`, with the mean and 1 / sqrt(var + eps) of each group."""
    value, mean, scale = _group_norm(x, groups, weight, bias, eps, out[0], kernel)
    return value, result(out[1], lambda at: mean(*at)), result(out[2], lambda at: scale(*at))


@lowers(aten.instance_norm.default)
def instance_norm(
    x: te.Tensor,
    weight: te.Tensor | None,
    bias: te.Tensor | None,
    running_mean: te.Tensor | None,
    running_var: te.Tensor | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = True,
    *,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """`group_norm` with one channel in each group, or `batch_norm` with running statistics."""
    if use_input_stats:
        return group_norm(x, int(x.shape[1]), weight, bias, eps, out=out, kernel=kernel)
    assert running_mean is not None and running_var is not None
    return _norm_by_statistics(x, weight, bias, running_mean, running_var, eps, out)


@lowers(aten.batch_norm.default)
def batch_norm(
    x: te.Tensor,
    weight: te.Tensor | None,
    bias: te.Tensor | None,
    running_mean: te.Tensor | None,
    running_var: te.Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = True,
    *,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias per channel; the batch's own without running."""
    if running_mean is None or running_var is None:
        return _norm_of_batch(x, weight, bias, eps, out, kernel)[0]
    if training:
        raise CompileError(
            "batch norm would update its running statistics", fix="call model.eval() before"
        )
    return _norm_by_statistics(x, weight, bias, running_mean, running_var, eps, out)


@lowers(aten._native_batch_norm_legit_no_training.default)
def native_batch_norm(
    x: te.Tensor,
    weight: te.Tensor | None,
    bias: te.Tensor | None,
    running_mean: te.Tensor,
    running_var: te.Tensor,
    momentum: float,
    eps: float,
    *,
    out: tuple[TensorSpec, ...],
) -> tuple[te.Tensor, None, None]:
    """As `batch_norm`; what it would save for training is left out."""
    value = _norm_by_statistics(x, weight, bias, running_mean, running_var, eps, out[0])
    return value, None, None


@lowers(aten._native_batch_norm_legit.no_stats)
def native_batch_norm_without_statistics(
    x: te.Tensor,
    weight: te.Tensor | None,
    bias: te.Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    *,
    out: tuple[TensorSpec, TensorSpec, TensorSpec],
    kernel: KernelBuilder,
) -> tuple[te.Tensor, te.Tensor, te.Tensor]:
    """As `batch_norm` of the batch's own statistics, with the mean and 1 / sqrt(var + eps)."""
    value, mean, scale = _norm_of_batch(x, weight, bias, eps, out[0], kernel)
    return value, result(out[1], lambda at: mean(*at)), result(out[2], lambda at: scale(*at))


def _group_norm(
    x: te.Tensor,
    groups: int,
    weight: te.Tensor | None,
    bias: te.Tensor | None,
    eps: float,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> tuple[te.Tensor, te.Tensor, te.Tensor]:
    images, channels, *space = shape_of(x)
    own, wide = channels // groups, widened(x, out)
    grouped = te.compute(
        (images, groups, own, *space),
        lambda n, g, c, *at: wide(n, g * own + c, *at),
        name="grouped",
    )
    mean, scale = moments(grouped, 1 + len(space), eps, kernel, tagged=False)

    def element(at: Sequence[Index]) -> Any:
        row = (at[0], tirx.floordiv(at[1], own))
        value = (wide(*at) - mean(*row)) * scale(*row)
        return affine(value, weight, bias, at[1:2])

    return result(out, element), mean, scale


def _norm_of_batch(
    x: te.Tensor,
    weight: te.Tensor | None,
    bias: te.Tensor | None,
    eps: float,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> tuple[te.Tensor, te.Tensor, te.Tensor]:
    images, channels, *space = shape_of(x)
    wide = widened(x, out)
    by_channel = te.compute(
        (channels, images, *space), lambda c, n, *at: wide(n, c, *at), name="by_channel"
    )
    mean, scale = moments(by_channel, 1 + len(space), eps, kernel, tagged=False)

    def element(at: Sequence[Index]) -> Any:
        value = (wide(*at) - mean(at[1])) * scale(at[1])
        return affine(value, weight, bias, at[1:2])

    return result(out, element), mean, scale


def _norm_by_statistics(
    x: te.Tensor,
    weight: te.Tensor | None,
    bias: te.Tensor | None,
    mean: te.Tensor,
    variance: te.Tensor,
    eps: float,
    out: TensorSpec,
) -> te.Tensor:
    dtype = accumulator(out.dtype)
    scale = te.compute(
        variance.shape,
        lambda c: inverse_root(variance(c).astype(dtype), 1, eps),
        name="scale",
        attrs={"schedule": "stored"},
    )

    def element(at: Sequence[Index]) -> Any:
        value = (x(*at).astype(dtype) - mean(at[1]).astype(dtype)) * scale(at[1])
        return affine(value, weight, bias, at[1:2])

    return result(out, element)
