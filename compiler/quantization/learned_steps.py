"""Rounding that can be trained: quantize and dequantize in one operator, with gradients.

Forward, the operators give what `quantized_decomposed` operators give with the same steps, bit by
bit. Backward, rounding counts as the identity between the ends of the integers and as constant
beyond (the straight-through estimator, Bengio et al. 2013). Steps learn as in LSQ (Esser et al.
2020), as a factor exp(growth), so that they stay positive and an optimizer that gives all
parameters updates of one size changes them in proportion (Jain et al. 2020).
"""

from typing import Any

import torch
from torch import Tensor

from .define import operator
from .shapes import reals


def step_of(growth: Tensor, scale: float | Tensor) -> Tensor:
    """Steps that have grown from `scale`, float32."""
    return growth.exp() * scale


def zero_point_of(shift: Tensor, zero_point: int, low: int, high: int) -> Tensor:
    """The integer of 0, moved by `shift` of all integers from low to high; real, but whole."""
    return torch.round(zero_point + (high - low) * shift).clamp(low, high)


def channel_integers(weight: Tensor, steps: Tensor, axis: int, low: int, high: int) -> Tensor:
    """The integers next to a weight whose steps [O] run along an axis; real, but whole."""
    return torch.round(weight / _along(steps, weight, axis)).clamp(low, high)


@operator(
    "round_values(Tensor x, Tensor growth, Tensor shift, float scale, int zero_point, int low,"
    " int high, float share)",
    reals,
    (torch.Tag.pointwise,),
)
def round_values(
    x: Tensor,
    growth: Tensor,
    shift: Tensor,
    scale: float,
    zero_point: int,
    low: int,
    high: int,
    share: float,
) -> Tensor:
    """What the integers next to x stand for.

    Args:
        x: Real values.
        growth: Of the step: it is exp(growth) * scale; [].
        shift: Of the zero point, as a part of all integers from low to high; [].
        scale: The step at the beginning.
        zero_point: The zero point at the beginning.
        low: The least integer.
        high: The greatest.
        share: What gradients of growth and shift are multiplied by.
    """
    step, zero = step_of(growth, scale), zero_point_of(shift, zero_point, low, high)
    # Not x / step: quantize_per_tensor multiplies.
    integers = (torch.round(x * step.reciprocal()) + zero).clamp(low, high)
    return (integers - zero) * step


@operator(
    "round_channels(Tensor weight, Tensor growth, Tensor scales, int axis, int low, int high,"
    " float share)",
    reals,
)
def round_channels(
    weight: Tensor, growth: Tensor, scales: Tensor, axis: int, low: int, high: int, share: float
) -> Tensor:
    """What the integers next to a weight stand for.

    Args:
        weight: Real.
        growth: Of the step of each channel, [O].
        scales: The steps at the beginning, [O].
        axis: Of the channels.
        low: The least integer.
        high: The greatest.
        share: What gradients of growth are multiplied by.
    """
    steps = step_of(growth, scales)
    return channel_integers(weight, steps, axis, low, high) * _along(steps, weight, axis)


def _remember_values(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, growth, shift, *numbers = inputs
    ctx.save_for_backward(x, growth, shift, output)
    ctx.numbers = numbers


def _values_backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    x, growth, shift, rounded = ctx.saved_tensors
    scale, zero_point, low, high, share = ctx.numbers
    step, zero = step_of(growth, scale), zero_point_of(shift, zero_point, low, high)
    integers = torch.round(x * step.reciprocal()) + zero
    inside = gradient * ((integers >= low) & (integers <= high))
    of_growth = of_shift = None
    if ctx.needs_input_grad[1]:
        # The step times how far x was rounded, beyond the ends times how many steps they are.
        of_growth = share * (gradient * rounded - inside * x).sum()
    if ctx.needs_input_grad[2]:
        of_shift = share * (inside - gradient).sum() * step * (high - low)
    return inside, of_growth, of_shift, None, None, None, None, None


def _remember_channels(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    weight, growth, scales, *numbers = inputs
    ctx.save_for_backward(weight, growth, scales, output)
    ctx.numbers = numbers


def _channels_backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    weight, growth, scales, rounded = ctx.saved_tensors
    axis, low, high, share = ctx.numbers
    integers = torch.round(weight / _along(step_of(growth, scales), weight, axis))
    inside = gradient * ((integers >= low) & (integers <= high))
    of_growth = None
    if ctx.needs_input_grad[1]:
        each = gradient * rounded - inside * weight
        of_growth = share * each.transpose(0, axis).flatten(1).sum(1)
    return inside, of_growth, None, None, None, None, None


def _along(steps: Tensor, weight: Tensor, axis: int) -> Tensor:
    """The steps as a tensor that broadcasts to the weight."""
    return steps.view([-1 if dim == axis else 1 for dim in range(weight.dim())])


for _name, _backward, _remember in (
    ("round_values", _values_backward, _remember_values),
    ("round_channels", _channels_backward, _remember_channels),
):
    torch.library.register_autograd(f"penjing::{_name}", _backward, setup_context=_remember)
