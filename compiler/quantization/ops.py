"""The operators of quantized programs, `penjing::*_int8`, with exactly the integer semantics.

They are ordinary PyTorch operators: a program that holds them runs in PyTorch and gives the bytes
that every device gives. docs/quantization.md has their formulas. Tensors are int8 [N, C, ...] as
in ATen; `multiplier`s are int32; `low` and `high` bound the result.
"""

import torch
from torch import Tensor
from torch.nn import functional

from . import shapes
from .arithmetic import requantize
from .attention import attention_int8
from .define import operator
from .normalization import normalize_int8
from .softmax import softmax_int8

_RESULT = "int zero_point, int low, int high"
_POINTWISE = (torch.Tag.pointwise,)
_POOLS = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}
_CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}


@operator(
    "conv_int8(Tensor x, Tensor weight, Tensor bias, Tensor multiplier, int[] stride,"
    f" int[] padding, int[] dilation, int groups, int input_zero_point, int shift, {_RESULT})",
    shapes.convolved,
)
def conv_int8(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    multiplier: Tensor,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
    input_zero_point: int,
    shift: int,
    zero_point: int,
    low: int,
    high: int,
) -> Tensor:
    """requantize(sum x * weight + bias); padding holds `input_zero_point`, [O] bias knows it."""
    total = window_sums(x, weight, stride, padding, dilation, groups, input_zero_point)
    channels = (-1, *[1] * (x.dim() - 2))
    accumulator = total + bias.long().view(channels)
    return requantize(accumulator, multiplier.long().view(channels), shift, zero_point, low, high)


@operator(
    "conv_int8_to_float(Tensor x, Tensor weight, Tensor bias, Tensor scale, int[] stride,"
    " int[] padding, int[] dilation, int groups, int input_zero_point)",
    shapes.convolved,
)
def conv_int8_to_float(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    scale: Tensor,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
    input_zero_point: int,
) -> Tensor:
    """float32(sum x * weight + bias) * scale, `scale` float32 [O]."""
    total = window_sums(x, weight, stride, padding, dilation, groups, input_zero_point)
    channels = (-1, *[1] * (x.dim() - 2))
    return (total + bias.long().view(channels)).float() * scale.view(channels)


def window_sums(
    x: Tensor,
    weight: Tensor,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
    input_zero_point: int,
) -> Tensor:
    """The sums of a convolution, int64: float64 holds all that occur, and has a convolution."""
    around = [size for size in reversed(padding) for _ in (0, 1)]
    padded = functional.pad(x.double(), around, value=float(input_zero_point))
    convolve = _CONVOLUTIONS[weight.dim() - 2]
    return convolve(padded, weight.double(), None, stride, 0, dilation, groups).long()


@operator(
    f"linear_int8(Tensor x, Tensor weight, Tensor bias, Tensor multiplier, int shift, {_RESULT})",
    shapes.rows,
)
def linear_int8(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    multiplier: Tensor,
    shift: int,
    zero_point: int,
    low: int,
    high: int,
) -> Tensor:
    """requantize(x @ weight.T + bias), weight [O, I], bias and multiplier [O]."""
    accumulator = functional.linear(x.double(), weight.double()).long() + bias.long()
    return requantize(accumulator, multiplier.long(), shift, zero_point, low, high)


@operator("linear_int8_to_float(Tensor x, Tensor weight, Tensor bias, Tensor scale)", shapes.rows)
def linear_int8_to_float(x: Tensor, weight: Tensor, bias: Tensor, scale: Tensor) -> Tensor:
    """float32(x @ weight.T + bias) * scale, `scale` float32 [O]."""
    accumulator = functional.linear(x.double(), weight.double()).long() + bias.long()
    return accumulator.float() * scale


@operator(
    "matmul_int8(Tensor x, Tensor y, int x_zero_point, int y_zero_point, int multiplier,"
    f" int shift, {_RESULT})",
    shapes.products,
)
def matmul_int8(
    x: Tensor,
    y: Tensor,
    x_zero_point: int,
    y_zero_point: int,
    multiplier: int,
    shift: int,
    zero_point: int,
    low: int,
    high: int,
) -> Tensor:
    """requantize((x - x_zero_point) @ (y - y_zero_point))."""
    total = torch.matmul(x.double() - x_zero_point, y.double() - y_zero_point)
    return requantize(total.long(), multiplier, shift, zero_point, low, high)


@operator(
    "add_int8(Tensor x, Tensor y, int x_multiplier, int y_multiplier, int offset, int shift,"
    " int low, int high)",
    shapes.pairs,
    _POINTWISE,
)
def add_int8(
    x: Tensor,
    y: Tensor,
    x_multiplier: int,
    y_multiplier: int,
    offset: int,
    shift: int,
    low: int,
    high: int,
) -> Tensor:
    """clamp((x * x_multiplier + y * y_multiplier + offset) >> shift, low, high)."""
    total = x.long() * x_multiplier + y.long() * y_multiplier + offset
    return (total >> shift).clamp(low, high).to(torch.int8)


@operator(
    "rescale_int8(Tensor x, int multiplier, int offset, int shift, int low, int high)",
    shapes.elements,
    _POINTWISE,
)
def rescale_int8(
    x: Tensor, multiplier: int, offset: int, shift: int, low: int, high: int
) -> Tensor:
    """clamp((x * multiplier + offset) >> shift, low, high)."""
    total = x.long() * multiplier + offset
    return (total >> shift).clamp(low, high).to(torch.int8)


@operator(
    "affine_int8(Tensor x, Tensor multiplier, Tensor offset, int shift, int low, int high)",
    shapes.triples,
    _POINTWISE,
)
def affine_int8(
    x: Tensor, multiplier: Tensor, offset: Tensor, shift: int, low: int, high: int
) -> Tensor:
    """clamp((x * multiplier + offset) >> shift, low, high), constants broadcast to x."""
    total = x.long() * multiplier.long() + offset.long()
    return (total >> shift).clamp(low, high).to(torch.int8)


@operator(
    "mul_int8(Tensor x, Tensor y, int x_zero_point, int y_zero_point, int multiplier, int shift,"
    f" {_RESULT})",
    shapes.pairs,
    _POINTWISE,
)
def mul_int8(
    x: Tensor,
    y: Tensor,
    x_zero_point: int,
    y_zero_point: int,
    multiplier: int,
    shift: int,
    zero_point: int,
    low: int,
    high: int,
) -> Tensor:
    """requantize((x - x_zero_point) * (y - y_zero_point))."""
    product = (x.long() - x_zero_point) * (y.long() - y_zero_point)
    return requantize(product, multiplier, shift, zero_point, low, high)


@operator("table_int8(Tensor x, Tensor table)", shapes.elements, _POINTWISE)
def table_int8(x: Tensor, table: Tensor) -> Tensor:
    """table[x + 128]: any function of one element; table int8 [256]."""
    return table[x.long() + 128]


@operator("signed_int8(Tensor x)", shapes.elements, _POINTWISE)
def signed_int8(x: Tensor) -> Tensor:
    """uint8 minus 128."""
    return (x.short() - 128).to(torch.int8)


@operator("unsigned_int8(Tensor x)", shapes.unsigned_elements, _POINTWISE)
def unsigned_int8(x: Tensor) -> Tensor:
    """int8 plus 128."""
    return (x.short() + 128).to(torch.uint8)


@operator(
    "avg_pool_int8(Tensor x, int[] kernel_size, int[] stride, int[] padding,"
    f" int input_zero_point, int multiplier, int shift, {_RESULT})",
    shapes.pooled,
)
def avg_pool_int8(
    x: Tensor,
    kernel_size: list[int],
    stride: list[int],
    padding: list[int],
    input_zero_point: int,
    multiplier: int,
    shift: int,
    zero_point: int,
    low: int,
    high: int,
) -> Tensor:
    """requantize(sum over the window of (x - input_zero_point)); padding adds nothing."""
    centered = x.double() - input_zero_point
    taps = torch.Size(kernel_size).numel()
    # what is left of the sum after * 1 / taps * taps is within 2^-40 of it
    mean = _POOLS[len(kernel_size)](centered, kernel_size, stride, padding)
    return requantize((mean * taps).round().long(), multiplier, shift, zero_point, low, high)


@operator(
    "mean_int8(Tensor x, int[] dim, bool keepdim, int input_zero_point, int multiplier,"
    f" int shift, {_RESULT})",
    shapes.reduced,
)
def mean_int8(
    x: Tensor,
    dim: list[int],
    keepdim: bool,
    input_zero_point: int,
    multiplier: int,
    shift: int,
    zero_point: int,
    low: int,
    high: int,
) -> Tensor:
    """requantize(sum over `dim` of (x - input_zero_point))."""
    total = (x.long() - input_zero_point).sum(dim, keepdim)
    return requantize(total, multiplier, shift, zero_point, low, high)


operator(
    f"softmax_int8(Tensor x, Tensor table, int dim, int inverse, int shift, {_RESULT})",
    shapes.elements,
)(softmax_int8)
operator(
    "normalize_int8(Tensor x, Tensor gain, Tensor offset, int axes, int input_zero_point,"
    " bool centered, int epsilon, int shift, int low, int high)",
    shapes.elements,
)(normalize_int8)
operator(
    "attention_int8(Tensor query, Tensor key, Tensor value, Tensor? bias, Tensor table,"
    " bool causal, int query_zero_point, int key_zero_point, int value_zero_point,"
    " int index_multiplier, int index_shift, int total_shift, int multiplier, int shift,"
    f" {_RESULT})",
    shapes.attended,
)(attention_int8)
