"""Norms over channels, features and neighbors."""

from math import prod

import torch
from torch import Tensor
from torch.nn import functional

from ..call import Call
from ..registry import MICROSOFT, onnx_op


@onnx_op("BatchNormalization")
def batch_normalization(call: Call) -> Tensor | tuple[Tensor, ...]:
    x, scale, bias, mean, variance = (call.tensor(index) for index in range(5))
    epsilon = call.attribute("epsilon", 1e-5)
    if x.dim() < 2:
        raise call.refused("its input has one axis")
    if call.attribute("spatial", 1) != 1:
        raise call.refused("attribute spatial is not 1: a norm for each element")
    if call.attribute("training_mode", 0):
        return _train(call, x, scale, bias, mean, variance)
    if sum(call.outputs_wanted) > 1:
        raise call.refused("statistics of the batch are wanted, which training alone has")
    mean, variance = mean.to(x.dtype), variance.to(x.dtype)
    scale, bias = scale.to(x.dtype), bias.to(x.dtype)
    return functional.batch_norm(x, mean, variance, scale, bias, training=False, eps=epsilon)


def _train(
    call: Call, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor
) -> tuple[Tensor, ...]:
    """The norm by statistics of the batch, and the running statistics that follow."""
    axes = [axis for axis in range(x.dim()) if axis != 1]
    channels = (-1, *[1] * (x.dim() - 2))
    now = x.mean(axes)
    centered = x - now.reshape(channels)
    spread = (centered * centered).mean(axes)
    factor = (spread + call.attribute("epsilon", 1e-5)).rsqrt() * scale
    result = centered * factor.reshape(channels) + bias.reshape(channels)
    keeps = call.attribute("momentum", 0.9)
    return (
        result,
        mean * keeps + now * (1 - keeps),
        variance * keeps + spread * (1 - keeps),
    )[: call.output_count]


@onnx_op("InstanceNormalization")
def instance_normalization(call: Call) -> Tensor:
    x, scale, bias = (call.tensor(index) for index in range(3))
    if x.dim() < 3:
        raise call.refused(f"its input has {x.dim()} axes, so no image")
    return functional.instance_norm(x, weight=scale, bias=bias, eps=call.attribute("epsilon", 1e-5))


@onnx_op("GroupNormalization")
def group_normalization(call: Call) -> Tensor:
    x, scale, bias = (call.tensor(index) for index in range(3))
    groups = call.needed("num_groups")
    if x.shape[1] % groups:
        raise call.refused(f"{x.shape[1]} channels in {groups} groups")
    if call.opset < 21:  # one number for each group
        repeats = x.shape[1] // groups
        scale, bias = (value.repeat_interleave(repeats) for value in (scale, bias))
    return functional.group_norm(x, groups, scale, bias, call.attribute("epsilon", 1e-5))


@onnx_op("LayerNormalization")
@onnx_op("LayerNormalization", domain=MICROSOFT)  # what join_functions finds in older versions
def layer_normalization(call: Call) -> Tensor | tuple[Tensor, ...]:
    x, axis = call.tensor(0), call.attribute("axis", -1)
    result = normalized(call, x, axis, call.tensor(1), call.optional(2))
    return (result, *statistics(call, x, axis)) if sum(call.outputs_wanted) > 1 else result


def normalized(
    call: Call, x: Tensor, axis: int, scale: Tensor | None, bias: Tensor | None
) -> Tensor:
    """`x` with mean 0 and variance 1 over the axes from `axis` on, then scaled and moved."""
    features, epsilon = list(x.shape[first_axis(call, x, axis) :]), call.attribute("epsilon", 1e-5)
    weight, added = (
        None if value is None else as_features(value, features) for value in (scale, bias)
    )
    if (scale is None) == (weight is None) and (bias is None) == (added is None):
        return functional.layer_norm(x, features, weight, added, epsilon)
    result = functional.layer_norm(x, features, None, None, epsilon)
    result = result if scale is None else result * scale
    return result if bias is None else result + bias


def as_features(value: Tensor, features: list[int]) -> Tensor | None:
    """A scale or bias in the shape of the features, None if it is another for each row."""
    shape = list(value.shape)
    if shape == features:
        return value
    leading = shape[: len(shape) - len(features)]
    if shape[len(leading) :] == features and prod(leading) == 1:
        return value.reshape(features)
    if value.dim() <= len(features):
        return value.expand(features)
    return None


def statistics(call: Call, x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Mean and 1 / standard deviation over the axes from `axis` on."""
    axes = list(range(first_axis(call, x, axis), x.dim()))
    mean = x.mean(axes, keepdim=True)
    centered = x - mean
    variance = (centered * centered).mean(axes, keepdim=True)
    return mean, (variance + call.attribute("epsilon", 1e-5)).rsqrt()


def first_axis(call: Call, x: Tensor, axis: int) -> int:
    """The axis counted from the front."""
    if not -x.dim() <= axis < x.dim():
        raise call.refused(f"attribute axis is {axis} for an input of {x.dim()} axes")
    return axis % x.dim()


@onnx_op("RMSNormalization")
def rms_normalization(call: Call) -> Tensor:
    return root_mean_square(call, call.tensor(0), call.tensor(1), call.attribute("axis", -1))


def root_mean_square(call: Call, x: Tensor, scale: Tensor, axis: int) -> Tensor:
    """`x` over the root of the mean of its squares over the axes from `axis` on, scaled."""
    features, epsilon = list(x.shape[first_axis(call, x, axis) :]), call.attribute("epsilon", 1e-5)
    given = as_features(scale, features)
    if given is not None:
        return functional.rms_norm(x, features, given, epsilon)
    return functional.rms_norm(x, features, None, epsilon) * scale


@onnx_op("LRN")
def local_response_normalization(call: Call) -> Tensor:
    x, size = call.tensor(0), call.needed("size")
    alpha, beta = call.attribute("alpha", 1e-4), call.attribute("beta", 0.75)
    rows = (x * x).reshape(x.shape[0], 1, x.shape[1], -1)
    around = functional.pad(rows, [0, 0, (size - 1) // 2, size // 2])
    means = functional.avg_pool2d(around, [size, 1], 1).reshape(x.shape)
    return x / (call.attribute("bias", 1.0) + alpha * means).pow(beta)


@onnx_op("MeanVarianceNormalization")
def mean_variance_normalization(call: Call) -> Tensor:
    x, axes = call.tensor(0), list(call.attribute("axes", [0, 2, 3]))
    centered = x - x.mean(axes, keepdim=True)
    return centered / ((centered * centered).mean(axes, keepdim=True).sqrt() + 1e-9)


@onnx_op("LpNormalization")
def lp_normalization(call: Call) -> Tensor:
    x, axis = call.tensor(0), call.attribute("axis", -1)
    power = call.attribute("p", 2)
    if power not in (1, 2):
        raise call.refused(f"attribute p is {power}, not 1 or 2")
    norm = x.abs().sum(axis, True) if power == 1 else (x * x).sum(axis, True).sqrt()
    return x / torch.where(norm == 0, torch.ones_like(norm), norm)
