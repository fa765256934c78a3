"""Quantize and dequantize nodes: ONNX's own, which round and saturate in the same way.

PyTorch multiplies by 1 / scale where ONNX divides by the scale: values that are within a rounding
error of the middle between two integers may become either.
"""

import math
from typing import Any

import torch

from ...quantization.packed_weights import unpack_int4
from ..emitter import Emitter, Value
from ..registry import emits
from .arithmetic import bounded

_DECOMPOSED = torch.ops.quantized_decomposed
_BYTES = (torch.int8, torch.uint8)


@emits(
    _DECOMPOSED.quantize_per_tensor.default,
    _DECOMPOSED.quantize_per_tensor.tensor,
    _DECOMPOSED.quantize_per_tensor.tensor2,
)
def quantize(
    emit: Emitter, x: Value, scale: Any, zero_point: Any, low: Any, high: Any, dtype: torch.dtype
) -> Value:
    if isinstance(low, Value) or isinstance(high, Value):
        raise emit.refused("limits of integers that are tensors")
    return _quantized(emit, x, _one(emit, scale, torch.float32), zero_point, low, high)


@emits(_DECOMPOSED.quantize_per_channel.default)
def quantize_channels(
    emit: Emitter,
    x: Value,
    scales: Value,
    zero_points: Value,
    axis: int,
    low: int,
    high: int,
    dtype: torch.dtype,
) -> Value:
    scales = emit.cast(scales, torch.float32)
    return _quantized(emit, x, scales, zero_points, low, high, axis=axis)


def _quantized(
    emit: Emitter, x: Value, scale: Value, zero_point: Any, low: int, high: int, **axis: int
) -> Value:
    dtype, x = emit.dtype, emit.cast(x, torch.float32)
    if dtype == torch.int16:
        emit.needs(21, "integers of 16 bits")
    elif dtype not in _BYTES:
        raise emit.refused(f"{dtype} is no dtype that ONNX quantizes to")
    zero = _zero_point(emit, zero_point, dtype)
    integers = emit("QuantizeLinear", x, scale, zero, **axis)
    limits = torch.iinfo(dtype)
    if (low, high) == (limits.min, limits.max):
        return integers
    return bounded(emit, integers, low, high)


@emits(
    _DECOMPOSED.dequantize_per_tensor.default,
    _DECOMPOSED.dequantize_per_tensor.tensor,
    _DECOMPOSED.dequantize_per_tensor.tensor2,
)
def dequantize(
    emit: Emitter,
    x: Value,
    scale: Any,
    zero_point: Any,
    low: Any,
    high: Any,
    dtype: torch.dtype,
    out_dtype: torch.dtype | None,
) -> Value:
    return _dequantized(emit, x, _one(emit, scale, torch.float32), zero_point)


@emits(_DECOMPOSED.dequantize_per_channel.default)
def dequantize_channels(
    emit: Emitter,
    x: Value,
    scales: Value,
    zero_points: Value | None,
    axis: int,
    low: int,
    high: int,
    dtype: torch.dtype,
    out_dtype: torch.dtype | None,
) -> Value:
    return _dequantized(emit, x, emit.cast(scales, torch.float32), zero_points, axis=axis)


def _dequantized(emit: Emitter, x: Value, scale: Value, zero_point: Any, **axis: int) -> Value:
    if x.dtype == torch.int16:
        emit.needs(21, "integers of 16 bits")
    if x.dtype == torch.int32:
        if not _is_zero(zero_point):
            raise emit.refused("integers of 32 bits with a zero point")
        zero = None
    else:  # onnxruntime moves these nodes, and takes zero points that are left out for uint8
        zero = _zero_point(emit, _zeros_like(scale, zero_point), x.dtype)
    real = emit("DequantizeLinear", x, scale, zero, **axis)
    return real if emit.dtype == torch.float32 else emit.to(real, emit.dtype)


def _zeros_like(scale: Value, zero_point: Any) -> Any:
    """The zero points of steps; 0 where there are none."""
    return Value("", tensor=torch.zeros(scale.shape)) if zero_point is None else zero_point


def _is_zero(zero_point: Any) -> bool:
    if isinstance(zero_point, Value):
        return zero_point.tensor is not None and not zero_point.tensor.any()
    return not zero_point


def _zero_point(emit: Emitter, zero_point: Any, dtype: torch.dtype) -> Value:
    """A zero point in the dtype of its integers, as a constant where it is known."""
    if not isinstance(zero_point, Value):
        return emit.scalar(zero_point, dtype)
    if zero_point.tensor is not None:
        known = zero_point.tensor.to(dtype)
        return emit.constant(known if known.numel() > 1 else known.reshape(()))
    value = emit.cast(zero_point, dtype)
    return emit.reshape(value, ()) if math.prod(value.shape) == 1 else value


def _one(emit: Emitter, number: Any, dtype: torch.dtype) -> Value:
    """A number, or a tensor of one element, as a tensor without axes."""
    value = emit.cast(number, dtype)
    return emit.reshape(value, ())


@emits(_DECOMPOSED.choose_qparams.tensor)
def choose_steps(
    emit: Emitter, x: Value, low: int, high: int, least: float, dtype: torch.dtype
) -> list[Value]:
    """The range, 0 included, in as many steps as there are integers."""
    zero = emit.scalar(0, torch.float32)
    least_value = emit("Min", emit.reduce("ReduceMin", x, None), zero)
    greatest = emit("Max", emit.reduce("ReduceMax", x, None), zero)
    width = emit("Sub", greatest, least_value)
    step = emit("Div", width, emit.scalar(high - low, torch.float32))
    step = emit("Max", step, emit.scalar(least, torch.float32))
    offset = emit("Round", emit("Div", least_value, step))
    zero_point = emit("Sub", emit.scalar(low, torch.float32), offset)
    limits = [emit.scalar(limit, torch.float32) for limit in (low, high)]
    return _steps(emit, step, emit("Clip", zero_point, *limits))


@emits(_DECOMPOSED.choose_qparams_symmetric.tensor)
def choose_symmetric_steps(
    emit: Emitter, x: Value, low: int, high: int, least: float, dtype: torch.dtype
) -> list[Value]:
    """The largest magnitude in half as many steps as there are integers; zero points are 0."""
    largest = emit.reduce("ReduceMax", emit("Abs", x), None)
    step = emit("Div", largest, emit.scalar((high - low) / 2, torch.float32))
    step = emit("Max", step, emit.scalar(least, torch.float32))
    return _steps(emit, step, emit.scalar(0, torch.float32))


def _steps(emit: Emitter, step: Value, zero_point: Value) -> list[Value]:
    """A step and a zero point in the shapes and dtypes that the program records."""
    assert isinstance(emit.specs, tuple)
    results = []
    for value, spec in zip((step, zero_point), emit.specs, strict=True):
        assert spec is not None
        results.append(emit.reshape(emit.to(value, spec.torch_dtype), spec.shape))
    return results


@emits(torch.ops.penjing.dequantize_groups.default)
def dequantize_groups(emit: Emitter, weight: Value, scales: Value) -> Value:
    """Blocks of integers of 4 or 8 bits; before operator set 21 by arithmetic."""
    rows, columns = emit.shape
    groups = scales.shape[1]
    steps = emit.cast(scales, torch.float32)
    if emit.opset >= 21 and weight.tensor is not None:
        blocks = {"axis": 1, "block_size": columns // groups}
        return emit("DequantizeLinear", group_integers(emit, weight), steps, **blocks)
    integers = emit.to(group_integers(emit, weight), torch.float32)
    parts = emit.reshape(integers, (rows, groups, columns // groups))
    return emit.reshape(emit("Mul", parts, emit.reshape(steps, (rows, groups, 1))), emit.shape)


def group_integers(emit: Emitter, weight: Value) -> Value:
    """The integers [O, I] of a weight that may have two in a byte."""
    if weight.dtype != torch.uint8:
        return weight
    if emit.opset >= 21 and weight.tensor is not None:
        return emit.int4_weight(weight, unpack_int4(weight.tensor))
    rows, pairs = weight.shape
    packed, sixteen = emit.cast(weight, torch.int32), emit.scalar(16, torch.int32)
    halves = [emit("Mod", packed, sixteen), emit("Div", packed, sixteen)]
    columns = [emit.reshape(half, (rows, pairs, 1)) for half in halves]
    shifted = emit.reshape(emit("Concat", *columns, axis=2), (rows, 2 * pairs))
    return emit.to(emit("Sub", shifted, emit.scalar(8, torch.int32)), torch.int8)
