"""Operators of onnxruntime's domain on quantized tensors: what it has between its QLinearConv."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ...quantization.dynamic import MOST_WEIGHTS
from ..call import Call
from ..registry import MICROSOFT, onnx_op
from .pooling import mean_of_windows
from .quantization import dynamic_quantize_linear
from .quantized import (
    DECOMPOSED,
    Steps,
    dequantize_channels,
    dequantize_tensor,
    dequantized,
    from_integers,
    quantized,
)
from .windows import windows_of

_LEAST_STEP = float(torch.finfo(torch.float32).eps)  # for values that are all 0


@onnx_op("QLinearAdd", domain=MICROSOFT)
def quantized_add(call: Call) -> Tensor:
    return quantized(call, dequantized(call, 0, 1) + dequantized(call, 3, 4), 6)


@onnx_op("QLinearMul", domain=MICROSOFT)
def quantized_mul(call: Call) -> Tensor:
    return quantized(call, dequantized(call, 0, 1) * dequantized(call, 3, 4), 6)


@onnx_op("QLinearSigmoid", domain=MICROSOFT)
def quantized_sigmoid(call: Call) -> Tensor:
    return quantized(call, torch.sigmoid(dequantized(call, 0, 1)), 3)


@onnx_op("QLinearLeakyRelu", domain=MICROSOFT)
def quantized_leaky_relu(call: Call) -> Tensor:
    slope = call.attribute("alpha", 0.01)
    return quantized(call, functional.leaky_relu(dequantized(call, 0, 1), slope), 3)


@onnx_op("QLinearSoftmax", domain=MICROSOFT)
def quantized_softmax(call: Call) -> Tensor:
    x, axis = dequantized(call, 0, 1), call.attribute("axis", -1)
    if call.needed("opset") >= 13 or axis % x.dim() == x.dim() - 1:
        return quantized(call, torch.softmax(x, axis), 3)
    return quantized(call, torch.softmax(x.flatten(axis), -1).reshape(x.shape), 3)


@onnx_op("QLinearReduceMean", domain=MICROSOFT)
def quantized_mean(call: Call) -> Tensor:
    x = dequantized(call, 0, 1)
    axes = list(call.attribute("axes", list(range(x.dim()))))
    return quantized(call, x.mean(axes, keepdim=bool(call.attribute("keepdims", 1))), 3)


@onnx_op("QLinearAveragePool", domain=MICROSOFT)
def quantized_average_pool(call: Call) -> Tensor:
    def pooled(x: Tensor) -> Tensor:
        return mean_of_windows(call, x, windows_of(call, x, call.needed("kernel_shape")))

    return _on_images(call, pooled)


@onnx_op("QLinearGlobalAveragePool", domain=MICROSOFT)
def quantized_global_average_pool(call: Call) -> Tensor:
    return _on_images(call, lambda x: x.mean(list(range(2, x.dim())), keepdim=True))


def _on_images(call: Call, function: Callable[[Tensor], Tensor]) -> Tensor:
    """A function of images [N, C, ...], whose channels may be the last axis of the node."""
    x = dequantized(call, 0, 1)
    if not call.attribute("channels_last", 0):
        return quantized(call, function(x), 3)
    return quantized(call, function(x.movedim(-1, 1)).movedim(1, -1), 3)


@onnx_op("QLinearConcat", domain=MICROSOFT)
def quantized_concat(call: Call) -> Tensor:
    parts = [dequantized(call, index, index + 1) for index in range(2, len(call.inputs), 3)]
    return quantized(call, torch.cat(parts, call.needed("axis")), 0)


@onnx_op("QLinearWhere", domain=MICROSOFT)
def quantized_where(call: Call) -> Tensor:
    chosen = torch.where(call.tensor(0), dequantized(call, 1, 2), dequantized(call, 4, 5))
    return quantized(call, chosen, 7)


@onnx_op("QGemm", domain=MICROSOFT)
def quantized_gemm(call: Call) -> Tensor:
    is_transposed = bool(call.attribute("transB", 0))
    x, weight = dequantized(call, 0, 1), dequantized(call, 3, 4, axis=0 if is_transposed else 1)
    x = x.t() if call.attribute("transA", 0) else x
    alpha, bias = call.attribute("alpha", 1.0), call.optional(6)
    if bias is not None:  # in steps of alpha times the products
        steps = call.tensor(1).reshape(()) * call.tensor(4).reshape(-1)
        bias = bias.to(torch.float32) * (steps if alpha == 1 else steps * alpha)
    weight = weight if is_transposed else weight.t()
    if alpha == 1 and bias is not None and bias.dim() == 1:
        result = functional.linear(x, weight, bias)
    else:
        result = functional.linear(x, weight)
        result = result if alpha == 1 else result * alpha
        result = result if bias is None else result + bias
    return quantized(call, result, 7) if call.has(7) else result


@onnx_op("MatMulIntegerToFloat", domain=MICROSOFT)
def matmul_of_integers(call: Call) -> Tensor:
    x = from_integers(call.tensor(0), Steps(call, 2, 4, axis=-1))
    weight = from_integers(call.tensor(1), Steps(call, 3, 5, axis=-1), is_weight=call.is_known(1))
    product = torch.matmul(x, weight)
    return product + call.tensor(6) if call.has(6) else product


@onnx_op("DynamicQuantizeMatMul", domain=MICROSOFT)
def dynamically_quantized_matmul(call: Call) -> Tensor:
    """The operand's steps are chosen for the whole of it when the model runs."""
    weight = _weight_of_layer(call)
    if weight is not None:
        return functional.linear(_rounded(call.tensor(0)), weight, call.optional(4))
    integers, step, zero_point = dynamic_quantize_linear(replace(call, inputs=call.inputs[:1]))
    x = (integers.to(torch.float32) - zero_point.to(torch.float32)) * step
    product = torch.matmul(x, from_integers(call.tensor(1), Steps(call, 2, 3, axis=-1)))
    return product + call.tensor(4) if call.has(4) else product


def _rounded(x: Tensor) -> Tensor:
    """`x` in steps chosen for its limits, in the vocabulary of `fold-dynamic-quantization`."""
    limits = torch.iinfo(torch.int8)
    options = limits.min, limits.max
    step, zero_point = DECOMPOSED.choose_qparams.tensor(x, *options, _LEAST_STEP, torch.int8)
    steps = step, zero_point, *options, torch.int8
    integers = DECOMPOSED.quantize_per_tensor.tensor(x, *steps)
    result: Tensor = DECOMPOSED.dequantize_per_tensor.tensor(integers, *steps)
    return result


def _weight_of_layer(call: Call) -> Tensor | None:
    """The weight as [O, I], dequantized from int8; None if a layer of integers cannot have it."""
    if not call.is_known(1) or call.tensor(1).dim() != 2:
        return None
    centered, integers = call.known(1).astype(np.int32), call.tensor(1).to(torch.int32)
    if call.has(3):
        if not call.is_known(3):
            return None
        centered = centered - call.known(3).astype(np.int32)
        integers = integers - call.tensor(3).to(torch.int32)
    if not _fits(centered):
        return None
    turned, scales = integers.to(torch.int8).t(), call.tensor(2)
    if scales.numel() == 1 and call.is_known(2):
        return dequantize_tensor(turned, float(call.known(2).item()), 0)
    if scales.numel() != len(turned):
        return None
    zeros = torch.zeros(len(turned), dtype=torch.int64)
    return dequantize_channels(turned, scales.reshape(-1), zeros, 0)


def _fits(weight: np.ndarray) -> bool:
    """Whether the integers [I, O] have 8 bits, and their products with 9 bits sums of 32."""
    limits = np.iinfo(np.int8)
    has_8_bits = bool(weight.min() >= limits.min and weight.max() <= limits.max)
    return has_8_bits and int(np.abs(weight).sum(0).max()) < MOST_WEIGHTS
