"""Activation functions."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from ..call import Call
from ..registry import onnx_op
from .elementwise import of_one

_SELU_ALPHA, _SELU_GAMMA = 1.6732632423543772, 1.0507009873554805  # as PyTorch has them
_SAME_FLOAT = 1e-6  # attributes are float32

_OF_ONE: dict[str, Callable[[Tensor], Tensor]] = {
    "HardSwish": functional.hardswish,
    "Mish": functional.mish,
    "Relu": torch.relu,
    "Sigmoid": torch.sigmoid,
    "Softplus": functional.softplus,
    "Softsign": functional.softsign,
}
for _name, _function in _OF_ONE.items():
    onnx_op(_name)(of_one(_function))


@onnx_op("Celu")
def celu(call: Call) -> Tensor:
    return functional.celu(call.tensor(0), call.attribute("alpha", 1.0))


@onnx_op("Elu")
def elu(call: Call) -> Tensor:
    return functional.elu(call.tensor(0), call.attribute("alpha", 1.0))


@onnx_op("Gelu")
def gelu(call: Call) -> Tensor:
    return functional.gelu(call.tensor(0), approximate=call.attribute("approximate", "none"))


@onnx_op("HardSigmoid")
def hard_sigmoid(call: Call) -> Tensor:
    """max(0, min(1, alpha x + beta)); PyTorch's own has alpha = 1/6."""
    x, alpha, beta = call.tensor(0), call.attribute("alpha", 0.2), call.attribute("beta", 0.5)
    if beta == 0.5 and math.isclose(alpha, 1 / 6, rel_tol=_SAME_FLOAT):
        return functional.hardsigmoid(x)
    return torch.clamp(x * alpha + beta, 0, 1)


@onnx_op("LeakyRelu")
def leaky_relu(call: Call) -> Tensor:
    return functional.leaky_relu(call.tensor(0), call.attribute("alpha", 0.01))


@onnx_op("PRelu")
def prelu(call: Call) -> Tensor:
    """x where it is positive, else slope * x; a slope per channel is PyTorch's own."""
    x, slope = call.tensor(0), call.tensor(1)
    if not x.is_floating_point():
        return torch.where(x < 0, x * slope, x)
    full = (1,) * (x.dim() - slope.dim()) + tuple(slope.shape)
    if call.opset < 7 and x.dim() >= 2:  # slopes were of channels before they were broadcast
        full = (1, slope.numel(), *(1,) * (x.dim() - 2))
    is_per_channel = x.dim() >= 2 and full == (1, x.shape[1], *(1,) * (x.dim() - 2))
    if slope.numel() == 1 or is_per_channel:
        return functional.prelu(x, slope.reshape(-1))
    return torch.where(x < 0, x * slope, x)


@onnx_op("Selu")
def selu(call: Call) -> Tensor:
    x, alpha = call.tensor(0), call.attribute("alpha", _SELU_ALPHA)
    gamma = call.attribute("gamma", _SELU_GAMMA)
    given, usual = (alpha, gamma), (_SELU_ALPHA, _SELU_GAMMA)
    if all(math.isclose(a, b, rel_tol=_SAME_FLOAT) for a, b in zip(given, usual, strict=True)):
        return functional.selu(x)
    return functional.elu(x, alpha) * gamma


@onnx_op("Shrink")
def shrink(call: Call) -> Tensor:
    """x + bias below -lambd, x - bias above lambd, else 0."""
    x, lambd, bias = call.tensor(0), call.attribute("lambd", 0.5), call.attribute("bias", 0.0)
    if x.is_floating_point() and lambd >= 0 and bias in {0.0, lambd}:
        return functional.softshrink(x, lambd) if bias else functional.hardshrink(x, lambd)
    low, high = (x + bias).to(x.dtype), (x - bias).to(x.dtype)
    return torch.where(x < -lambd, low, torch.where(x > lambd, high, torch.zeros_like(x)))


@onnx_op("Swish")
def swish(call: Call) -> Tensor:
    return _swish(call.tensor(0), call.attribute("alpha", 1.0))


@onnx_op("SwiGLU")
def swiglu(call: Call) -> Tensor:
    return _swish(call.tensor(0), call.attribute("alpha", 1.0)) * call.tensor(1)


@onnx_op("ThresholdedRelu")
def thresholded_relu(call: Call) -> Tensor:
    return functional.threshold(call.tensor(0), call.attribute("alpha", 1.0), 0.0)


def _swish(x: Tensor, alpha: float) -> Tensor:
    return functional.silu(x) if alpha == 1 else x * torch.sigmoid(x * alpha)
