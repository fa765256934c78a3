"""The integer operators of folded programs, bit for bit: sums by ONNX's products of integers.

What only computes with elements needs no rule here: it is exported as it is defined.
"""

from collections.abc import Sequence

import torch

from ...quantization.arithmetic import INT32_MAX
from ..emitter import Emitter, Value
from ..registry import emits
from .quantization import group_integers

_PENJING = torch.ops.penjing


def requantized(
    emit: Emitter,
    total: Value,
    multiplier: Value | int,
    shift: int,
    zero_point: int,
    low: int,
    high: int,
) -> Value:
    """clamp(zero_point + mulh(total * 2^shift, multiplier), low, high) of int64, as int8."""
    if shift > 0:
        total = _clamped(emit, total, -(1 << 31) >> shift, INT32_MAX >> shift)
        total = emit("Mul", total, emit.scalar(1 << shift, torch.int64))
    elif shift < 0:
        total = _halved(emit, total, -shift)
    factor = multiplier if isinstance(multiplier, Value) else emit.scalar(multiplier, torch.int64)
    rounded = emit("Add", emit("Mul", total, factor), emit.scalar(1 << 30, torch.int64))
    steps = _clamped(emit, _halved(emit, rounded, 31), low - zero_point, high - zero_point)
    return emit.to(emit("Add", steps, emit.scalar(zero_point, torch.int64)), torch.int8)


def _halved(emit: Emitter, x: Value, times: int) -> Value:
    """x >> times of int64."""
    divisor = emit.scalar(1 << times, torch.int64)
    return emit("Div", emit("Sub", x, emit("Mod", x, divisor)), divisor)


def _clamped(emit: Emitter, x: Value, low: int, high: int) -> Value:
    return emit("Clip", x, *(emit.scalar(limit, torch.int64) for limit in (low, high)))


def _window_sums(
    emit: Emitter,
    x: Value,
    weight: Value,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    zero_point: int,
) -> Value:
    """Sums of a convolution whose padding holds the zero point, int64."""
    if any(padding):
        around = [0, 0, *padding] * 2
        x = emit("Pad", x, emit.ints(around), emit.scalar(zero_point, torch.int8))
    options = {"strides": list(stride), "dilations": list(dilation), "group": groups}
    sums = emit("ConvInteger", x, weight, kernel_shape=list(weight.shape[2:]), **options)
    return emit.to(sums, torch.int64)


def _along_channels(emit: Emitter, constants: Value, rank: int, dtype: torch.dtype) -> Value:
    """[O] as it broadcasts to images."""
    shape = (constants.shape[0], *[1] * (rank - 2))
    return emit.reshape(emit.cast(constants, dtype), shape)


@emits(_PENJING.conv_int8.default)
def conv_int8(
    emit: Emitter,
    x: Value,
    weight: Value,
    bias: Value,
    multiplier: Value,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    input_zero_point: int,
    shift: int,
    zero_point: int,
    low: int,
    high: int,
) -> Value:
    sums = _window_sums(emit, x, weight, stride, padding, dilation, groups, input_zero_point)
    rank = len(x.shape)
    total = emit("Add", sums, _along_channels(emit, bias, rank, torch.int64))
    factor = _along_channels(emit, multiplier, rank, torch.int64)
    return requantized(emit, total, factor, shift, zero_point, low, high)


@emits(_PENJING.conv_int8_to_float.default)
def conv_int8_to_float(
    emit: Emitter,
    x: Value,
    weight: Value,
    bias: Value,
    scale: Value,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    input_zero_point: int,
) -> Value:
    sums = _window_sums(emit, x, weight, stride, padding, dilation, groups, input_zero_point)
    rank = len(x.shape)
    total = emit("Add", sums, _along_channels(emit, bias, rank, torch.int64))
    real = emit.to(total, torch.float32)
    return emit("Mul", real, _along_channels(emit, scale, rank, torch.float32))


@emits(_PENJING.conv_int8_images.default)
def conv_int8_images(
    emit: Emitter,
    x: Value,
    step: Value,
    weight: Value,
    scale: Value,
    bias: Value,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Value:
    sums = _window_sums(emit, x, weight, stride, padding, dilation, groups, 0)
    rank = len(x.shape)
    real = emit.to(sums, torch.float32)
    scaled = emit("Mul", real, _along_channels(emit, scale, rank, torch.float32))
    return emit("Add", emit("Mul", scaled, step), _along_channels(emit, bias, rank, torch.float32))


def _row_sums(emit: Emitter, x: Value, weight: Value) -> Value:
    """x [..., I] times weight [O, I], int64."""
    sums = emit("MatMulInteger", x, emit.transpose(weight, (1, 0)))
    return emit.to(sums, torch.int64)


@emits(_PENJING.linear_int8.default)
def linear_int8(
    emit: Emitter,
    x: Value,
    weight: Value,
    bias: Value,
    multiplier: Value,
    shift: int,
    zero_point: int,
    low: int,
    high: int,
) -> Value:
    total = emit("Add", _row_sums(emit, x, weight), emit.cast(bias, torch.int64))
    factor = emit.cast(multiplier, torch.int64)
    return requantized(emit, total, factor, shift, zero_point, low, high)


@emits(_PENJING.linear_int8_to_float.default)
def linear_int8_to_float(
    emit: Emitter, x: Value, weight: Value, bias: Value, scale: Value
) -> Value:
    total = emit("Add", _row_sums(emit, x, weight), emit.cast(bias, torch.int64))
    return emit("Mul", emit.to(total, torch.float32), scale)


@emits(_PENJING.linear_int8_rows.default)
def linear_int8_rows(
    emit: Emitter,
    x: Value,
    step: Value,
    zero_point: Value | None,
    weight: Value,
    sums: Value,
    scale: Value,
    bias: Value,
) -> Value:
    total = _row_sums(emit, x, weight)
    if zero_point is not None:
        offset = emit("Mul", emit.cast(zero_point, torch.int64), emit.cast(sums, torch.int64))
        total = emit("Sub", total, offset)
    scaled = emit("Mul", emit.to(total, torch.float32), scale)
    return emit("Add", emit("Mul", scaled, step), bias)


@emits(_PENJING.linear_int4_rows.default)
def linear_int4_rows(
    emit: Emitter,
    x: Value,
    step: Value,
    zero_point: Value | None,
    weight: Value,
    scales: Value,
    sums: Value,
    bias: Value,
) -> Value:
    """One product for each group, as a batch; their float32 sum may be taken in another order."""
    outputs, groups = scales.shape
    *rows, inputs = x.shape
    size, count = inputs // groups, torch.Size(rows).numel()
    integers = group_integers(emit, weight)
    if emit.opset >= 21 and weight.tensor is not None:
        integers = emit.to(integers, torch.int8)
    parts = emit.reshape(integers, (outputs, groups, size))
    weights = emit("Transpose", parts, perm=[1, 2, 0])
    split = emit.reshape(x, (count, groups, size))
    exact = emit("MatMulInteger", emit("Transpose", split, perm=[1, 0, 2]), weights)
    turned = emit("Transpose", emit.cast(scales, torch.float32), perm=[1, 0])
    steps = emit.reshape(turned, (groups, 1, outputs))
    products = emit("Mul", emit.to(exact, torch.float32), steps)
    total = emit.reshape(emit.reduce("ReduceSum", products, [0]), (*rows, outputs))
    if zero_point is not None:
        offset = emit("Mul", emit.cast(zero_point, torch.float32), sums)
        total = emit("Sub", total, offset)
    return emit("Add", emit("Mul", total, step), bias)


@emits(_PENJING.matmul_int8.default)
def matmul_int8(
    emit: Emitter,
    x: Value,
    y: Value,
    x_zero_point: int,
    y_zero_point: int,
    multiplier: int,
    shift: int,
    zero_point: int,
    low: int,
    high: int,
) -> Value:
    zeros = [emit.scalar(number, torch.int8) for number in (x_zero_point, y_zero_point)]
    total = emit.to(emit("MatMulInteger", x, y, *zeros), torch.int64)
    return requantized(emit, total, multiplier, shift, zero_point, low, high)


@emits(_PENJING.avg_pool_int8.default)
def avg_pool_int8(
    emit: Emitter,
    x: Value,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    input_zero_point: int,
    multiplier: int,
    shift: int,
    zero_point: int,
    low: int,
    high: int,
) -> Value:
    """The sums of windows are those of a depthwise convolution with ones."""
    channels, taps = x.shape[1], torch.Size(kernel).numel()
    ones = emit.constant(torch.ones((channels, 1, *kernel), dtype=torch.int8))
    sums = _window_sums(
        emit, x, ones, stride, padding, [1] * len(kernel), channels, input_zero_point
    )
    centered = emit("Sub", sums, emit.scalar(taps * input_zero_point, torch.int64))
    return requantized(emit, centered, multiplier, shift, zero_point, low, high)
