"""Activations, and what takes a step of its own: softmax, gates."""

import math

import torch

from ..emitter import Emitter, Number, Value
from ..registry import emits
from .arithmetic import bounded

_ATEN = torch.ops.aten


@emits(_ATEN.relu)
def relu(emit: Emitter, x: Value) -> Value:
    if emit.dtype.is_floating_point:
        return emit("Relu", x)
    return emit("Max", x, emit.scalar(0, emit.dtype))


@emits(_ATEN.hardtanh)
def hardtanh(emit: Emitter, x: Value, low: Number, high: Number) -> Value:
    return bounded(emit, x, low, high)


@emits(_ATEN.relu6)
def relu6(emit: Emitter, x: Value) -> Value:
    return bounded(emit, x, 0, 6)


@emits(_ATEN.leaky_relu)
def leaky_relu(emit: Emitter, x: Value, slope: float) -> Value:
    return emit("LeakyRelu", x, alpha=float(slope))


@emits(_ATEN.elu, _ATEN.celu)
def elu(
    emit: Emitter, x: Value, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0
) -> Value:
    if emit.operator == "aten.celu":
        return emit("Celu", x, alpha=float(alpha))
    if scale == input_scale == 1:
        return emit("Elu", x, alpha=float(alpha))
    zero, one = emit.scalar(0, emit.dtype), emit.scalar(1, emit.dtype)
    inside = emit("Mul", emit("Min", x, zero), emit.scalar(input_scale, emit.dtype))
    below = emit("Mul", emit("Sub", emit("Exp", inside), one), emit.scalar(alpha, emit.dtype))
    total = emit("Add", emit("Max", x, zero), below)
    return emit("Mul", total, emit.scalar(scale, emit.dtype))


@emits(_ATEN.selu)
def selu(emit: Emitter, x: Value) -> Value:
    return emit("Selu", x)


@emits(_ATEN.gelu)
def gelu(emit: Emitter, x: Value, approximate: str) -> Value:
    if emit.opset >= 20:
        return emit("Gelu", x, approximate=approximate)
    half, one = emit.scalar(0.5, emit.dtype), emit.scalar(1, emit.dtype)
    if approximate == "none":
        inside = emit("Erf", emit("Mul", x, emit.scalar(math.sqrt(0.5), emit.dtype)))
    else:
        cube = emit("Mul", emit("Mul", x, x), x)
        sum_ = emit("Add", x, emit("Mul", cube, emit.scalar(0.044715, emit.dtype)))
        scale = emit.scalar(math.sqrt(2 / math.pi), emit.dtype)
        inside = emit("Tanh", emit("Mul", sum_, scale))
    return emit("Mul", emit("Mul", x, emit("Add", inside, one)), half)


@emits(_ATEN.silu)
def silu(emit: Emitter, x: Value) -> Value:
    return emit("Mul", x, emit("Sigmoid", x))


@emits(_ATEN.mish)
def mish(emit: Emitter, x: Value) -> Value:
    if emit.opset >= 18:
        return emit("Mish", x)
    return emit("Mul", x, emit("Tanh", emit("Softplus", x)))


@emits(_ATEN.hardsigmoid)
def hardsigmoid(emit: Emitter, x: Value) -> Value:
    return emit("HardSigmoid", x, alpha=1 / 6, beta=0.5)


@emits(_ATEN.hardswish)
def hardswish(emit: Emitter, x: Value) -> Value:
    if emit.opset >= 14:
        return emit("HardSwish", x)
    return emit("Mul", x, hardsigmoid(emit, x))


@emits(_ATEN.softplus)
def softplus(emit: Emitter, x: Value, beta: Number, threshold: Number) -> Value:
    """Beyond the threshold it is x, which Softplus rounds to if that is 17 or more."""
    if beta == 1:
        smooth = emit("Softplus", x)
    else:
        steep = emit("Mul", x, emit.scalar(beta, emit.dtype))
        smooth = emit("Div", emit("Softplus", steep), emit.scalar(beta, emit.dtype))
    if threshold >= 17 and emit.dtype == torch.float32:
        return smooth
    limit = emit.scalar(threshold / beta, emit.dtype)
    return emit("Where", emit("Greater", x, limit), x, smooth)


@emits(_ATEN.log_sigmoid)
def log_sigmoid(emit: Emitter, x: Value) -> Value:
    return emit("Neg", emit("Softplus", emit("Neg", x)))


@emits(_ATEN.prelu, _ATEN._prelu_kernel)
def prelu(emit: Emitter, x: Value, slope: Value) -> Value:
    """One slope, or one for each channel (axis 1)."""
    if len(slope.shape) == 1 and slope.shape[0] > 1 and len(x.shape) > 2:
        slope = emit.reshape(slope, (*slope.shape, *[1] * (len(x.shape) - 2)))
    return emit("PRelu", x, slope)


@emits(_ATEN.hardshrink)
def hardshrink(emit: Emitter, x: Value, limit: Number) -> Value:
    is_small = emit("LessOrEqual", emit("Abs", x), emit.scalar(limit, emit.dtype))
    return emit("Where", is_small, emit.scalar(0, emit.dtype), x)


@emits(_ATEN.softshrink)
def softshrink(emit: Emitter, x: Value, limit: Number) -> Value:
    return emit("Shrink", x, bias=float(limit), lambd=float(limit))


@emits(_ATEN.threshold)
def threshold(emit: Emitter, x: Value, limit: Number, number: Number) -> Value:
    is_low = emit("LessOrEqual", x, emit.scalar(limit, emit.dtype))
    return emit("Where", is_low, emit.scalar(number, emit.dtype), x)


@emits(_ATEN.glu)
def glu(emit: Emitter, x: Value, dim: int) -> Value:
    size = x.shape[dim] // 2
    first, second = emit.several("Split", x, emit.ints([size, size]), count=2, axis=dim)
    return emit("Mul", first, emit("Sigmoid", second))


@emits(_ATEN.softmax.int, _ATEN._softmax)
def softmax(emit: Emitter, x: Value, dim: int, _: object = None) -> Value:
    return _shared(emit, "Softmax", x, dim)


@emits(_ATEN.log_softmax.int, _ATEN._log_softmax)
def log_softmax(emit: Emitter, x: Value, dim: int, _: object = None) -> Value:
    return _shared(emit, "LogSoftmax", x, dim)


def _shared(emit: Emitter, op_type: str, x: Value, dim: int) -> Value:
    """A softmax; that of a number without axes is one of a row with one number."""
    x = emit.cast(x, emit.dtype)
    if x.shape:
        return emit(op_type, x, axis=dim)
    return emit.reshape(emit(op_type, emit.reshape(x, (1,)), axis=0), ())
