"""Operators on integers that stand for real numbers, and sums of integers."""

import torch
from torch import Tensor

from ..call import Call
from ..element_types import TORCH_DTYPES
from ..registry import MICROSOFT, onnx_op
from .convolution import convolved
from .quantized import Steps, dequantized, from_integers, quantized, to_integers


@onnx_op("QuantizeLinear")
@onnx_op("QuantizeLinear", domain=MICROSOFT)
def quantize_linear(call: Call) -> Tensor:
    given = call.attribute("output_dtype", 0)
    if given and given not in TORCH_DTYPES:
        raise call.refused(f"attribute output_dtype is {given}")
    if call.attribute("precision", 0) not in (0, 1):
        raise call.refused("attribute precision is not that of float32")
    dtype = TORCH_DTYPES[given] if given else torch.uint8
    return to_integers(call.tensor(0), _steps(call), dtype, is_weight=call.is_known(0))


@onnx_op("DequantizeLinear")
@onnx_op("DequantizeLinear", domain=MICROSOFT)
def dequantize_linear(call: Call) -> Tensor:
    result = from_integers(call.tensor(0), _steps(call), is_weight=call.is_known(0))
    given = call.attribute("output_dtype", 0)
    return result.to(TORCH_DTYPES[given]) if given else result


def _steps(call: Call) -> Steps:
    axis, block = call.attribute("axis", 1), call.attribute("block_size", 0)
    rank = call.tensor(0).dim()
    if call.tensor(1).numel() > 1 and not -rank <= axis < rank:
        raise call.refused(f"attribute axis is {axis} for an input of {rank} axes")
    return Steps(call, 1, 2, axis, block)


@onnx_op("DynamicQuantizeLinear")
def dynamic_quantize_linear(call: Call) -> tuple[Tensor, Tensor, Tensor]:
    x = call.tensor(0)
    low, high = (
        limit.to(torch.float32) for limit in (x.amin().clamp(max=0), x.amax().clamp(min=0))
    )
    step = (high - low) / 255
    step = torch.where(high == low, torch.ones_like(step), step)
    zero_point = torch.round((-low / step).clamp(0, 255))
    integers = (torch.round(x / step) + zero_point).clamp(0, 255)
    return integers.to(torch.uint8), step, zero_point.to(torch.uint8)


@onnx_op("QLinearConv")
def quantized_conv(call: Call) -> Tensor:
    x, weight = dequantized(call, 0, 1), dequantized(call, 3, 4, axis=0)
    bias = call.optional(8)
    if bias is not None:  # in steps of the products
        bias = bias.to(torch.float32) * (call.tensor(1).reshape(()) * call.tensor(4).reshape(-1))
    return quantized(call, convolved(call, x, weight, bias), 6)


@onnx_op("QLinearMatMul")
def quantized_matmul(call: Call) -> Tensor:
    left, right = dequantized(call, 0, 1, axis=-2), dequantized(call, 3, 4, axis=-1)
    return quantized(call, torch.matmul(left, right), 6, axis=-2)


@onnx_op("ConvInteger")
def integer_conv(call: Call) -> Tensor:
    x, weight = centered(call, 0, 2), centered(call, 1, 3, axis=0)
    return convolved(call, x, weight, None)


@onnx_op("MatMulInteger")
def integer_matmul(call: Call) -> Tensor:
    return torch.matmul(centered(call, 0, 2, axis=-2), centered(call, 1, 3, axis=-1))


def centered(call: Call, index: int, zero_point: int, *, axis: int = 1) -> Tensor:
    """An input of integers of 8 bits minus its zero point, as int32."""
    x = call.tensor(index)
    if x.dtype not in (torch.int8, torch.uint8):
        raise call.refused(f"integers of {x.dtype}")
    wide = x.to(torch.int32)
    if not call.has(zero_point):
        return wide
    return wide - Steps(call, zero_point, zero_point, axis).along(x, zero_point).to(torch.int32)
