"""Norms of channels, groups and rows."""

import math
from collections.abc import Sequence

import torch

from ..emitter import Emitter, Value
from ..registry import emits

_ATEN = torch.ops.aten


@emits(_ATEN.batch_norm)
def batch_norm(
    emit: Emitter,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    mean: Value | None,
    variance: Value | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Value:
    if training or mean is None or variance is None:
        return _batch_statistics(emit, x, weight, bias, eps)
    ones, zeros = _affine(emit, weight, bias, x.shape[1])
    return emit("BatchNormalization", x, ones, zeros, mean, variance, epsilon=eps)


@emits(_ATEN._native_batch_norm_legit_no_training)
def batch_norm_of_three(
    emit: Emitter,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    mean: Value,
    variance: Value,
    momentum: float,
    eps: float,
) -> list[Value | None]:
    scale, shift = _affine(emit, weight, bias, x.shape[1])
    result = emit("BatchNormalization", x, scale, shift, mean, variance, epsilon=eps)
    return [result, None, None]


@emits(_ATEN._native_batch_norm_legit.no_stats)
def batch_norm_of_batch(
    emit: Emitter,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    training: bool,
    momentum: float,
    eps: float,
) -> list[Value | None]:
    return [_batch_statistics(emit, x, weight, bias, eps), None, None]


def _affine(
    emit: Emitter, weight: Value | None, bias: Value | None, channels: int
) -> tuple[Value, Value]:
    """Scale and shift, ones and zeros where a norm has none."""
    ones = weight or emit.constant(torch.ones(channels))
    return ones, bias or emit.constant(torch.zeros(channels))


def _batch_statistics(
    emit: Emitter, x: Value, weight: Value | None, bias: Value | None, eps: float
) -> Value:
    """(x - mean) / sqrt(variance + eps) of each channel over all else."""
    axes = [axis for axis in range(len(x.shape)) if axis != 1]
    shape = (x.shape[1], *[1] * (len(x.shape) - 2))
    return _scaled(emit, _normalized(emit, x, axes, eps, centered=True), weight, bias, shape)


def _normalized(emit: Emitter, x: Value, axes: Sequence[int], eps: float, centered: bool) -> Value:
    rest = emit("Sub", x, emit.reduce("ReduceMean", x, axes, True)) if centered else x
    squares = emit.reduce("ReduceMean", emit("Mul", rest, rest), axes, True)
    return emit("Div", rest, emit("Sqrt", emit("Add", squares, emit.scalar(eps, x.dtype))))


def _scaled(
    emit: Emitter, x: Value, weight: Value | None, bias: Value | None, shape: Sequence[int]
) -> Value:
    """x * weight + bias, both in a shape that broadcasts to x."""
    if weight is not None:
        x = emit("Mul", x, emit.reshape(weight, shape))
    return x if bias is None else emit("Add", x, emit.reshape(bias, shape))


@emits(_ATEN.layer_norm)
def layer_norm(
    emit: Emitter,
    x: Value,
    shape: Sequence[int],
    weight: Value | None,
    bias: Value | None,
    eps: float,
    cudnn_enabled: bool,
) -> Value:
    axes = list(range(len(x.shape) - len(shape), len(x.shape)))
    if emit.opset < 17:
        return _scaled(emit, _normalized(emit, x, axes, eps, centered=True), weight, bias, shape)
    scale = weight or emit.constant(torch.ones(tuple(shape), dtype=x.dtype))
    return emit("LayerNormalization", x, scale, bias, axis=-len(shape), epsilon=eps)


@emits(_ATEN.rms_norm)
def rms_norm(
    emit: Emitter, x: Value, shape: Sequence[int], weight: Value | None, eps: float | None
) -> Value:
    eps = torch.finfo(x.dtype).eps if eps is None else eps
    if emit.opset >= 23:
        scale = weight or emit.constant(torch.ones(tuple(shape), dtype=x.dtype))
        return emit("RMSNormalization", x, scale, axis=-len(shape), epsilon=eps)
    axes = list(range(len(x.shape) - len(shape), len(x.shape)))
    return _scaled(emit, _normalized(emit, x, axes, eps, centered=False), weight, None, shape)


@emits(_ATEN.group_norm)
def group_norm(
    emit: Emitter,
    x: Value,
    groups: int,
    weight: Value | None,
    bias: Value | None,
    eps: float,
    cudnn_enabled: bool,
) -> Value:
    """Each group as one channel of an instance norm, which older operator sets have too."""
    if emit.opset >= 21 and len(x.shape) > 2:
        scale, shift = _affine(emit, weight, bias, x.shape[1])
        return emit("GroupNormalization", x, scale, shift, num_groups=groups, epsilon=eps)
    rows = emit.reshape(x, (x.shape[0], groups, math.prod(x.shape[1:]) // groups))
    normal = emit("InstanceNormalization", rows, *_affine(emit, None, None, groups), epsilon=eps)
    shape = (x.shape[1], *[1] * (len(x.shape) - 2))
    return _scaled(emit, emit.reshape(normal, x.shape), weight, bias, shape)


@emits(_ATEN.instance_norm)
def instance_norm(
    emit: Emitter,
    x: Value,
    weight: Value | None,
    bias: Value | None,
    mean: Value | None,
    variance: Value | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Value:
    scale, shift = _affine(emit, weight, bias, x.shape[1])
    if use_input_stats or mean is None or variance is None:
        return emit("InstanceNormalization", x, scale, shift, epsilon=eps)
    return emit("BatchNormalization", x, scale, shift, mean, variance, epsilon=eps)
