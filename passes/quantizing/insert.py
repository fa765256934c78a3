"""Puts quantize and dequantize nodes into a program."""

import torch
from torch import Tensor
from torch.fx import Node

from ...compiler.errors import CompileError
from ...compiler.ir.program import Program, node_spec, origin_of
from ...compiler.ir.rewrite import arguments_of, insert_call
from ...compiler.quantization.scales import QuantizedRange
from ...compiler.training import keep_zeros, zeros_stay
from ..integer.values import DECOMPOSED, DEQUANTIZE_CHANNELS, dequantized, quantized_again
from .annotate import Rounding
from .layers import along

QUANTIZE_CHANNELS = DECOMPOSED.quantize_per_channel.default
_SMALLEST_SCALE = float(torch.finfo(torch.float32).tiny)


def range_of_limits(low: float, high: float, bits: int, node: Node) -> QuantizedRange:
    """The steps of integers that cover [low, high], 0 among them.

    Raises:
        CompileError: The value is always 0, or steps are too small for float32.
    """
    least, greatest = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    if low == high:
        raise CompileError(
            "a value is always 0 on the calibration data",
            at=str(origin_of(node)),
            got=str(node.target),
            fix="give representative data, or keep this module in floating point",
        )
    scale = (high - low) / (greatest - least)
    if not _SMALLEST_SCALE <= scale < float("inf"):
        raise CompileError(
            "a step is out of the range of float32",
            at=str(origin_of(node)),
            got=f"values in [{low:g}, {high:g}], steps of {scale:g}",
            fix="scale the data, or keep this module in floating point",
        )
    scale = float(torch.tensor(scale, dtype=torch.float32))
    zero_point = min(max(round(least - low / scale), least), greatest)
    return QuantizedRange(scale, zero_point, least, greatest)


def first_call_behind(value: Node) -> Node:
    """Where a value is known: inputs and weights come before all that is computed."""
    after = value.next
    while after.op in ("placeholder", "get_attr"):
        after = after.next
    return after


def round_value(rounding: Rounding, steps: QuantizedRange) -> None:
    """Let the readers of a value read what its integers stand for."""
    after = first_call_behind(rounding.value)
    integers = quantized_again(after, rounding.value, steps)
    real = dequantized(after, integers, steps)
    integers.meta["origin"] = real.meta["origin"] = origin_of(rounding.value)
    for reader in rounding.readers:
        reader.replace_input_with(rounding.value, real)


def weight_scales(weight: Tensor, bits: int, axis: int = 0) -> Tensor:
    """Steps along an axis of a weight, float32 [O], for integers up to 2^(bits - 1) - 1.

    Channels of zeros have steps of 1.
    """
    largest = weight.detach().transpose(0, axis).flatten(1).abs().amax(1).double()
    scales = (largest / (2 ** (bits - 1) - 1)).float()
    return torch.where(scales < _SMALLEST_SCALE, torch.ones_like(scales), scales)


def nearest(weight: Tensor, scales: Tensor, bits: int, axis: int = 0) -> Tensor:
    """The integers next to a weight whose steps run along an axis, int8."""
    largest = 2 ** (bits - 1) - 1
    steps = along(axis, scales, weight.dim())
    return torch.round(weight.detach() / steps).clamp(-largest, largest).to(torch.int8)


def round_weight(
    program: Program, layer: Node, integers: Tensor, scales: Tensor, axis: int = 0
) -> None:
    """Let a layer read `integers` in steps `scales` along an axis instead of its weight."""
    weight = arguments_of(layer)["weight"]
    layer.replace_input_with(weight, rounded(program, layer, weight, integers, scales, axis))


def rounded(
    program: Program, before: Node, weight: Node, integers: Tensor, scales: Tensor, axis: int = 0
) -> Node:
    """A new node in front of `before` for a weight: `integers` in steps along an axis."""
    assert node_spec(weight).shape == integers.shape, weight
    stem = str(weight.target)
    zeros = torch.zeros(len(scales), dtype=torch.int64)
    parts = (("int8", integers), ("scales", scales), ("zero_points", zeros))
    nodes = [program.add_weight(part, f"{stem}_{name}", like=before) for name, part in parts]
    if zeros_stay(weight):
        keep_zeros(program, nodes[0])
    return insert_call(before, DEQUANTIZE_CHANNELS, *nodes, axis, -127, 127, torch.int8)
