"""Convolutions, linear layers and matrix products of int8: int32 sums, requantized as they end.

The sums are the stages of the float rules with int32 accumulators, tagged "conv", "depthwise",
"parted" or "gemm" as there; docs/quantization.md says what integer micro-kernels find in them.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from tvm import te, tirx

from ...ir.tensor_spec import TensorSpec
from ...quantization import ops as ops
from ..builder import KernelBuilder
from ..math.floats import rounded
from ..registry import lowers
from .convolution import Total, window_products
from .depthwise_words import column_convolution, takes_columns
from .gemm import Finish, finished, right_operand, rows_product
from .indices import Index, flatten_index, shape_of, unflatten_index
from .integer_matrices import steps_product
from .integer_taps import missing_rows, takes_taps, tap_sums
from .integer_words import takes_words, word_convolution, word_product
from .integers import Multipliers, requantize
from .windows import Window, framed, split_index

penjing = torch.ops.penjing

SUMS = "int32"


@lowers(penjing.conv_int8.default)
def conv_int8(
    x: te.Tensor,
    weight: te.Tensor,
    bias: te.Tensor,
    multiplier: te.Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    input_zero_point: int,
    shift: int,
    zero_point: int,
    low: int,
    high: int,
    *,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """requantize(sum_ct x[n, c, p * stride + t * dilation - padding] * w[o,c,t] + bias[o]).

    The border holds the input's zero point, whose part of the sums is in the bias.
    """
    window = stride, padding, dilation, groups
    total = sums_of_windows(x, weight, *window, input_zero_point, out, kernel, bias=bias)
    scales = Multipliers.of(multiplier, kernel)

    def finish(value: Any, at: Sequence[Index]) -> Any:
        return scales.requantize(value, at[1], shift, zero_point, low, high)

    return finished(lambda at: total(*split_index(at)), out, finish)


@lowers(penjing.conv_int8_to_float.default)
def conv_int8_to_float(
    x: te.Tensor,
    weight: te.Tensor,
    bias: te.Tensor,
    scale: te.Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    input_zero_point: int,
    *,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """float32(sums of `conv_int8` + bias[o]) * scale[o]."""
    window = stride, padding, dilation, groups
    total = sums_of_windows(x, weight, *window, input_zero_point, out, kernel, bias=bias)

    def finish(value: Any, at: Sequence[Index]) -> Any:
        return rounded(value.astype("float32") * scale(at[1]))

    return finished(lambda at: total(*split_index(at)), out, finish)


def sums_of_windows(
    x: te.Tensor,
    weight: te.Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    input_zero_point: int,
    out: TensorSpec,
    kernel: KernelBuilder,
    *,
    bias: te.Tensor | None = None,
) -> Total:
    """The sums of a convolution, and the bias of their channel if there is one."""

    def start(o: Index) -> Any:
        return tirx.const(0, SUMS) if bias is None else bias(o)

    before, sizes = tuple(padding), out.shape[2:]
    window = Window(stride=tuple(stride), dilation=tuple(dilation), before=before, after=before)
    if takes_taps(weight, groups, kernel):
        after = (before[0] + missing_rows(weight, window, sizes, kernel), *before[1:])
        images = framed(x, before, after, input_zero_point, kernel)
        return tap_sums(images, weight, window, sizes, start, kernel)
    images = framed(x, before, before, input_zero_point, kernel)
    if groups == 1 and takes_words(weight, kernel):
        total = word_convolution(images, weight, window, sizes, kernel)
    elif groups > 1 and takes_columns(images, weight, kernel):
        total = column_convolution(images, weight, window, sizes, kernel)
    else:
        total = window_products(images, weight, window, groups, sizes, SUMS, kernel)
    return lambda n, o, position: total(n, o, position) + start(o)


@lowers(penjing.linear_int8.default)
def linear_int8(
    x: te.Tensor,
    weight: te.Tensor,
    bias: te.Tensor,
    multiplier: te.Tensor,
    shift: int,
    zero_point: int,
    low: int,
    high: int,
    *,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """requantize(sum_k x[...,k] * w[n,k] + bias[n])."""
    scales = Multipliers.of(multiplier, kernel)

    def finish(value: Any, at: Sequence[Index]) -> Any:
        return scales.requantize(value + bias(at[-1]), at[-1], shift, zero_point, low, high)

    return sums_of_rows(x, weight, out, kernel, finish)


@lowers(penjing.linear_int8_to_float.default)
def linear_int8_to_float(
    x: te.Tensor,
    weight: te.Tensor,
    bias: te.Tensor,
    scale: te.Tensor,
    *,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """float32(sum_k x[...,k] * w[n,k] + bias[n]) * scale[n]."""

    def finish(value: Any, at: Sequence[Index]) -> Any:
        return rounded((value + bias(at[-1])).astype("float32") * scale(at[-1]))

    return sums_of_rows(x, weight, out, kernel, finish)


def sums_of_rows(
    x: te.Tensor, weight: te.Tensor, out: TensorSpec, kernel: KernelBuilder, finish: Finish
) -> te.Tensor:
    *rows, depth = shape_of(x)
    extents = (math.prod(rows), depth)

    def left(m: Index, k: Index) -> Any:
        return x(*unflatten_index(m, rows), k)

    if takes_words(weight, kernel):
        total = word_product(left, weight, extents, kernel)
    else:
        right = right_operand(weight, kernel, k_last=True, rows=math.prod(rows))
        total = rows_product(left, right, extents, SUMS)
    return finished(lambda at: total(flatten_index(at[:-1], rows), at[-1]), out, finish)


@lowers(penjing.matmul_int8.default)
def matmul_int8(
    x: te.Tensor,
    y: te.Tensor,
    x_zero_point: int,
    y_zero_point: int,
    multiplier: int,
    shift: int,
    zero_point: int,
    low: int,
    high: int,
    *,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """requantize(sum_k (x[...,m,k] - x_zero_point) * (y[...,k,n] - y_zero_point)).

    Both have at least two axes.
    """
    total = steps_product(x, y, (x_zero_point, y_zero_point), out.shape[:-2], kernel)
    return finished(
        lambda at: total(*at),
        out,
        lambda value, at: requantize(value, multiplier, shift, zero_point, low, high),
    )
