"""Means, average pools, softmax and norms of quantized tensors as integer operators."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from ...compiler.ir.program import Program, node_spec
from ...compiler.ir.rewrite import arguments_of, insert_call, shape_of
from ...compiler.quantization import ops as ops
from ...compiler.quantization.normalization import MOST_ELEMENTS as MOST_NORMALIZED
from ...compiler.quantization.normalization import NormalizationPlan
from ...compiler.quantization.scales import Rescaling
from ...compiler.quantization.softmax import MOST_ELEMENTS as MOST_IN_SOFTMAX
from ...compiler.quantization.softmax import SoftmaxPlan
from .values import NOT_QUANTIZED, Quantized, Target, add_constant, constant, quantized

_ATEN = torch.ops.aten
_PENJING = torch.ops.penjing
_MOST_IN_MEAN = 2**31 // 255


def mean(program: Program, target: Target) -> Node | str:
    """The mean or the sum over some axes, as mean_int8."""
    arguments = arguments_of(target.root)
    x = quantized(arguments["self"])
    if x is None:
        return NOT_QUANTIZED
    shape = shape_of(x.node)
    is_sum = target.root.target is _ATEN.sum.dim_IntList
    if is_sum or target.root.target is _ATEN.mean.dim:
        dims, keep = arguments["dim"] or list(range(len(shape))), arguments["keepdim"]
    else:
        rank = len(shape) - 2
        if shape_of(target.root)[-rank:] != (1,) * rank:
            return _adaptive_pool(target, x)
        dims, keep = list(range(2, len(shape))), True
    count = math.prod(shape[dim] for dim in dims)
    factor = target.factor if is_sum else target.factor / count
    if count > _MOST_IN_MEAN:
        return f"sums of more than {_MOST_IN_MEAN} elements may not fit 32 bits"
    return insert_call(
        target.quantize,
        _PENJING.mean_int8.default,
        x.node,
        list(dims),
        keep,
        x.range.zero_point,
        *Rescaling.of_one(factor * x.range.scale / target.range.scale),
        *target.bounds,
    )


def average_pool(program: Program, target: Target) -> Node | str:
    """An average pool, as avg_pool_int8, where all windows have the same number of elements."""
    arguments = arguments_of(target.root)
    x, taps = quantized(arguments["self"]), list(arguments["kernel_size"])
    if x is None:
        return NOT_QUANTIZED
    rank = len(shape_of(x.node)) - 2
    taps, padding = taps * (rank // len(taps)), list(arguments["padding"])
    padding = padding * (rank // len(padding))
    stride = list(arguments["stride"] or taps)
    stride = stride * (rank // len(stride))
    if any(padding) and not arguments["count_include_pad"]:
        return "an average of windows of different sizes"
    sizes = shape_of(x.node)[2:]
    floor = [
        (size + 2 * p - t) // s + 1
        for size, p, t, s in zip(sizes, padding, taps, stride, strict=True)
    ]
    if tuple(floor) != shape_of(target.root)[2:]:
        return "an average of windows that reach beyond the border"
    divisor = arguments.get("divisor_override") or math.prod(taps)
    return _pooled(target, x, taps, stride, padding, divisor)


def _adaptive_pool(target: Target, x: Quantized) -> Node | str:
    """An adaptive pool whose windows are all equal is an average pool."""
    inputs, outputs = shape_of(x.node)[2:], shape_of(target.root)[2:]
    if any(size % count for size, count in zip(inputs, outputs, strict=True)):
        return "an average of windows of different sizes"
    taps = [size // count for size, count in zip(inputs, outputs, strict=True)]
    return _pooled(target, x, taps, taps, [0] * len(taps), math.prod(taps))


def _pooled(
    target: Target,
    x: Quantized,
    taps: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    divisor: int,
) -> Node:
    return insert_call(
        target.quantize,
        _PENJING.avg_pool_int8.default,
        x.node,
        list(taps),
        list(stride),
        list(padding),
        x.range.zero_point,
        *Rescaling.of_one(target.factor * x.range.scale / target.range.scale / divisor),
        *target.bounds,
    )


def softmax(program: Program, target: Target) -> Node | str:
    """A softmax over one axis, as softmax_int8."""
    arguments = arguments_of(target.root)
    x = quantized(arguments["self"])
    if x is None:
        return NOT_QUANTIZED
    if target.factor != 1.0:
        return "a softmax times a number"
    dim = arguments["dim"]
    if shape_of(x.node)[dim] > MOST_IN_SOFTMAX:
        return f"rows of more than {MOST_IN_SOFTMAX} elements"
    plan = SoftmaxPlan.of(x.range, target.range)
    table = add_constant(program, target.root, "exponentials", plan.table)
    return insert_call(
        target.quantize,
        _PENJING.softmax_int8.default,
        x.node,
        table,
        dim,
        plan.inverse,
        plan.shift,
        *target.bounds,
    )


def normalization(program: Program, target: Target) -> Node | str:
    """A layer norm or RMS norm, as normalize_int8."""
    arguments = arguments_of(target.root)
    x = quantized(arguments["input"])
    if x is None:
        return NOT_QUANTIZED
    shape = list(arguments["normalized_shape"])
    if math.prod(shape) > MOST_NORMALIZED:
        return f"rows of more than {MOST_NORMALIZED} elements"
    centered = target.root.target is _ATEN.layer_norm.default
    weight, bias = _affine(program, arguments, shape)
    if weight is None or bias is None:
        return "its weight or bias is no constant"
    eps = arguments["eps"]
    eps = torch.finfo(node_spec(target.root).torch_dtype).eps if eps is None else eps
    plan = NormalizationPlan.of(
        weight * target.factor, bias * target.factor, eps, x.range, target.range
    )
    gain = add_constant(program, target.root, "gain", plan.gain)
    offset = add_constant(program, target.root, "offset", plan.offset)
    return insert_call(
        target.quantize,
        _PENJING.normalize_int8.default,
        x.node,
        gain,
        offset,
        len(shape),
        0 if centered else x.range.zero_point,
        centered,
        plan.epsilon,
        plan.shift,
        target.low,
        target.high,
    )


def _affine(
    program: Program, arguments: dict[str, Any], shape: Sequence[int]
) -> tuple[Tensor | None, Tensor | None]:
    """Weight and bias of a norm as real constants, 1 and 0 where it has none."""
    found: list[Tensor | None] = []
    for name, default in (("weight", 1.0), ("bias", 0.0)):
        value = arguments.get(name)
        given = torch.full(tuple(shape), default) if value is None else constant(program, value)
        found.append(given)
    return found[0], found[1]


REDUCTIONS = {
    _ATEN.mean.dim: mean,
    _ATEN.sum.dim_IntList: mean,
    _ATEN.adaptive_avg_pool1d.default: mean,
    _ATEN.adaptive_avg_pool2d.default: mean,
    _ATEN.adaptive_avg_pool3d.default: mean,
    _ATEN.avg_pool1d.default: average_pool,
    _ATEN.avg_pool2d.default: average_pool,
    _ATEN.avg_pool3d.default: average_pool,
    _ATEN.softmax.int: softmax,
    _ATEN.layer_norm.default: normalization,
    _ATEN.rms_norm.default: normalization,
}
