"""Layers as functions of their operands, and the axes that their channels are on."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.fx import Node
from torch.nn import functional

from ...compiler.ir.program import Program
from ...compiler.ir.rewrite import arguments_of, shape_of
from ..integer import transposed
from ..integer.values import constant

_ATEN = torch.ops.aten
_LINEAR = _ATEN.linear.default
NORMS = {_ATEN.layer_norm.default, _ATEN.rms_norm.default}


def compute(layer: Node, x: Tensor, weight: Tensor) -> Tensor:
    """What a layer gives for an input and a weight, without its bias."""
    arguments = arguments_of(layer)
    rest = [v for name, v in arguments.items() if name not in ("input", "weight", "bias")]
    result: Tensor = layer.target(x, weight, None, *rest)  # type: ignore[operator]
    return result


def rows_read(layer: Node, x: Tensor) -> Tensor:
    """What a layer multiplies its weight by, [rows, I...] in the order of its weight's elements.

    Args:
        layer: A linear layer, or a convolution of one group over rows or images.
        x: Its input.
    """
    if layer.target is _LINEAR:
        return x.reshape(-1, x.shape[-1])
    arguments = arguments_of(layer)
    options = {name: _pair(arguments[name]) for name in ("stride", "dilation", "padding")}
    taps = shape_of(arguments["weight"])[2:]
    if len(taps) == 1:  # images one element high
        x, taps = x.unsqueeze(2), (1, *taps)
        rest = {"stride": 1, "dilation": 1, "padding": 0}
        options = {name: (rest[name], pair[1]) for name, pair in options.items()}
    windows = functional.unfold(x, taps, **options)
    return windows.transpose(1, 2).flatten(0, 1)


def fits_rows(layer: Node) -> bool:
    """Whether `rows_read` knows what a layer reads."""
    arguments = arguments_of(layer)
    if layer.target in transposed.TRANSPOSED or len(shape_of(arguments["weight"])) > 4:
        return False
    is_padded = isinstance(arguments.get("padding", 0), int | list | tuple)
    return is_padded and arguments.get("groups", 1) == 1


def _pair(value: int | Sequence[int]) -> tuple[int, int]:
    """An option that is given once, or for one or both axes, for both."""
    values = [value] if isinstance(value, int) else list(value)
    return values[0], values[-1]


def weight_now(program: Program, layer: Node) -> Tensor:
    """The weight that a layer reads, whether rounded or not."""
    weight = constant(program, arguments_of(layer)["weight"])
    assert weight is not None, layer
    return weight


def channel_axis(node: Node) -> int:
    """The axis of the channels that a layer or norm writes, or that a layer reads."""
    return -1 if node.target is _LINEAR or node.target in NORMS else 1


def output_axis(layer: Node) -> int:
    """The axis of a layer's weight that its steps run along."""
    return transposed.output_axis(layer) if layer.target in transposed.TRANSPOSED else 0


def is_depthwise(layer: Node) -> bool:
    """Whether a layer is a convolution of each channel alone."""
    arguments = arguments_of(layer)
    groups: int = arguments.get("groups", 1)
    return groups > 1 and groups == shape_of(arguments["input"])[1] == shape_of(layer)[1]


def reads_channels(layer: Node) -> bool:
    """Whether each channel that a layer reads has weights of its own, of all of its outputs."""
    return arguments_of(layer).get("groups", 1) == 1 or is_depthwise(layer)


def by_input(layer: Node, weight: Tensor) -> Tensor:
    """The weight as [I, ...]: what each input channel is multiplied by."""
    return weight if is_depthwise(layer) else weight.transpose(0, 1)


def along_input(layer: Node, weight: Tensor, factors: Tensor) -> Tensor:
    """The weight with what reads input channel i multiplied by `factors[i]`."""
    axis = 0 if is_depthwise(layer) else 1
    shape = [1] * weight.dim()
    shape[axis] = -1
    return weight * factors.view(shape)


def along(axis: int, factors: Tensor, rank: int) -> Tensor:
    """A vector as a tensor of `rank` axes that broadcasts along `axis`."""
    shape = [1] * rank
    shape[axis] = -1
    return factors.view(shape)
