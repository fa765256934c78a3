"""Puts quantize and dequantize nodes into a program."""

import torch
from torch import Tensor
from torch.fx import Node

from ...compiler.errors import CompileError
from ...compiler.ir.program import Program, node_spec, origin_of
from ...compiler.ir.rewrite import arguments_of, insert_call
from ...compiler.quantization.scales import QuantizedRange
from ..integer.values import DECOMPOSED, DEQUANTIZE_CHANNELS, dequantized, quantized_again
from .annotate import Rounding

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


def round_value(rounding: Rounding, steps: QuantizedRange) -> None:
    """Let the readers of a value read what its integers stand for."""
    after = rounding.value.next
    while after.op in ("placeholder", "get_attr"):
        after = after.next
    integers = quantized_again(after, rounding.value, steps)
    real = dequantized(after, integers, steps)
    integers.meta["origin"] = real.meta["origin"] = origin_of(rounding.value)
    for reader in rounding.readers:
        reader.replace_input_with(rounding.value, real)


def weight_scales(weight: Tensor, bits: int) -> Tensor:
    """Steps of each output channel of [O, ...], float32 [O], for integers up to 2^(bits - 1) - 1.

    Channels of zeros have steps of 1.
    """
    largest = weight.detach().flatten(1).abs().amax(1).double()
    scales = (largest / (2 ** (bits - 1) - 1)).float()
    return torch.where(scales < _SMALLEST_SCALE, torch.ones_like(scales), scales)


def nearest(weight: Tensor, scales: Tensor, bits: int) -> Tensor:
    """The integers next to a weight, int8 [O, ...]."""
    largest = 2 ** (bits - 1) - 1
    steps = scales.view(-1, *[1] * (weight.dim() - 1))
    return torch.round(weight.detach() / steps).clamp(-largest, largest).to(torch.int8)


def round_weight(program: Program, layer: Node, integers: Tensor, scales: Tensor) -> None:
    """Let a layer read `scales` [O] times `integers` [O, ...] instead of its weight."""
    weight = arguments_of(layer)["weight"]
    assert node_spec(weight).shape == integers.shape, layer
    stem = str(weight.target)
    zeros = torch.zeros(len(scales), dtype=torch.int64)
    parts = (("int8", integers), ("scales", scales), ("zero_points", zeros))
    nodes = [program.add_weight(part, f"{stem}_{name}", like=layer) for name, part in parts]
    real = insert_call(layer, DEQUANTIZE_CHANNELS, *nodes, 0, -127, 127, torch.int8)
    layer.replace_input_with(weight, real)
