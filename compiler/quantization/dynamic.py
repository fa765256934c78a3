"""Operators whose steps follow from the values at run time; docs/quantization.md has the formulas.

Each is a chain of single float32 operations, all rounded: what PyTorch computes here, kernels
compute bit by bit.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from .define import operator
from .ops import window_sums
from .packed_weights import unpack_int4

MOST_GROUP = 256  # neighbors with one step, of weights of 4 bits; kernels have code for each
MOST_WEIGHTS = 2**31 // 256  # the sum of their magnitudes, for one output; inputs are up to 255


def _quantized_rows(x: Tensor, axes: int, *_: object) -> tuple[Tensor, Tensor, Tensor]:
    sizes = (*x.shape[: x.dim() - axes], *[1] * axes)
    return (
        x.new_empty(x.shape, dtype=torch.int8),
        x.new_empty(sizes),
        x.new_empty(sizes, dtype=torch.int32),
    )


@operator(
    "quantize_rows(Tensor x, int axes, bool symmetric, float least_step, int low, int high)"
    " -> (Tensor, Tensor, Tensor)",
    _quantized_rows,
)
def quantize_rows(
    x: Tensor, axes: int, symmetric: bool, least_step: float, low: int, high: int
) -> tuple[Tensor, Tensor, Tensor]:
    """x in steps of its own for all elements that share the indices before its last `axes`.

    Args:
        x: float32.
        axes: How many of the last axes a step is for.
        symmetric: Whether zero points are 0.
        least_step: Positive.
        low: The least integer, at least -128.
        high: The greatest, at most 127.

    Returns:
        The integers, int8; the steps, float32, and the zero points, int32, with `axes` ones.
    """
    along = list(range(x.dim() - axes, x.dim()))
    least = x.amin(along, keepdim=True).clamp(max=0.0)
    greatest = x.amax(along, keepdim=True).clamp(min=0.0)
    width = torch.maximum(greatest, -least) if symmetric else greatest - least
    step = (width * (1 / step_count(symmetric, low, high))).clamp(min=least_step)
    inverse = 1.0 / step
    if symmetric:
        zero_point = torch.zeros_like(step, dtype=torch.int32)
    else:
        zero_point = low - (least * inverse).round().to(torch.int32)
    steps = (x * inverse).round().to(torch.int32) + zero_point
    return steps.clamp(low, high).to(torch.int8), step, zero_point


def step_count(symmetric: bool, low: int, high: int) -> float:
    """How many steps the largest magnitude has, or the whole range."""
    return (high - low) / 2 if symmetric else high - low


def _rows(x: Tensor, step: Tensor, zero_point: Tensor | None, weight: Tensor, *_: object) -> Tensor:
    return x.new_empty((*x.shape[:-1], len(weight)), dtype=torch.float32)


@operator(
    "linear_int8_rows(Tensor x, Tensor step, Tensor? zero_point, Tensor weight, Tensor sums,"
    " Tensor scale, Tensor bias)",
    _rows,
)
def linear_int8_rows(
    x: Tensor,
    step: Tensor,
    zero_point: Tensor | None,
    weight: Tensor,
    sums: Tensor,
    scale: Tensor,
    bias: Tensor,
) -> Tensor:
    """float32(x @ weight.T - zero_point * sums) * scale * step + bias, float32.

    Args:
        x: int8 [..., I].
        step: float32, [..., 1] or ones.
        zero_point: int32 of that shape; None for 0.
        weight: int8 [O, I].
        sums: int32 [O], those of the weight's rows.
        scale: float32 [O], the steps of the weight.
        bias: float32 [O].
    """
    total = functional.linear(x.double(), weight.double()).long()
    if zero_point is not None:
        total = total - zero_point.long() * sums.long()
    return total.float() * scale * step + bias


@operator(
    "linear_int4_rows(Tensor x, Tensor step, Tensor? zero_point, Tensor weight, Tensor scales,"
    " Tensor sums, Tensor bias)",
    _rows,
)
def linear_int4_rows(
    x: Tensor,
    step: Tensor,
    zero_point: Tensor | None,
    weight: Tensor,
    scales: Tensor,
    sums: Tensor,
    bias: Tensor,
) -> Tensor:
    """(total - zero_point * sums) * step + bias, float32, of weights with steps for groups.

    total = (... (t_0 + t_1) + ...) + t_last, where t_g = float32(the sum of x * weight over group
    g) * scales[:, g]. The sums are exact; every other operation is rounded to float32.

    Args:
        x: int8 [..., I].
        step: float32, [..., 1] or ones.
        zero_point: int32 of that shape; None for 0.
        weight: uint8 [O, I / 2], as `pack_int4` makes it.
        scales: float16 or float32 [O, groups], those of groups of I / groups neighbors.
        sums: float32 [O], those of the integers of a row times their scales.
        bias: float32 [O].
    """
    size = x.shape[-1] // scales.shape[1]
    groups = zip(x.split(size, -1), unpack_int4(weight).split(size, 1), scales.t(), strict=True)
    total = torch.zeros((), dtype=torch.float32)
    for inputs, weights, scale in groups:
        exact = functional.linear(inputs.double(), weights.double())
        total = total + exact.float() * scale.float()
    if zero_point is not None:
        total = total - zero_point.float() * sums
    result: Tensor = total * step + bias
    return result


def weighted_sums(weight: Tensor, scales: Tensor) -> Tensor:
    """The sums of `linear_int4_rows`, rounded once."""
    parts = unpack_int4(weight).double().unflatten(1, (scales.shape[1], -1)).sum(2)
    sums: Tensor = (parts * scales.double()).sum(1).float()
    return sums


def _images(
    x: Tensor,
    step: Tensor,
    weight: Tensor,
    scale: Tensor,
    bias: Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Tensor:
    options = zip(x.shape[2:], weight.shape[2:], stride, padding, dilation, strict=True)
    sizes = [(n + 2 * p - d * (taps - 1) - 1) // s + 1 for n, taps, s, p, d in options]
    return x.new_empty((len(x), len(weight), *sizes), dtype=torch.float32)


@operator(
    "conv_int8_images(Tensor x, Tensor step, Tensor weight, Tensor scale, Tensor bias,"
    " int[] stride, int[] padding, int[] dilation, int groups)",
    _images,
)
def conv_int8_images(
    x: Tensor,
    step: Tensor,
    weight: Tensor,
    scale: Tensor,
    bias: Tensor,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
) -> Tensor:
    """float32(sum x * weight) * scale * step + bias, float32; zero points are 0.

    Args:
        x: int8 [N, C, ...].
        step: float32, of the rank of x, with one element or one for each image.
        weight: int8 [O, C / groups, ...].
        scale: float32 [O], the steps of the weight.
        bias: float32 [O].
        stride: As `padding` and `dilation`, one number for each axis.
        padding: On both sides.
        dilation: Of the taps.
        groups: Of channels.
    """
    channels = (-1, *[1] * (x.dim() - 2))
    total = window_sums(x, weight, stride, padding, dilation, groups, 0)
    return total.float() * scale.view(channels) * step + bias.view(channels)
