"""Transposed convolutions of quantized operands as plain ones, one for each residue of the output.

Along an axis, output p reads input q - j by weight r + stride j, where p + padding = stride q + r.
So the outputs of one residue r are a convolution of stride 1 by every stride-th weight, backwards.
The residues of all axes become output channels, which are interleaved afterwards.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node
from torch.nn import functional

from ...compiler.ir.program import Program
from ...compiler.ir.rewrite import arguments_of, insert_call, shape_of
from .products import Layer, each_axis, insert_requantized, insert_to_float
from .values import QuantizedWeight, Target, constant, quantized, quantized_weight

_ATEN = torch.ops.aten


@dataclass(frozen=True)
class _Axis:
    """One axis of a transposed convolution: weights, dilation included, and positions."""

    weights: int
    stride: int
    padding: int
    inputs: int
    outputs: int

    @property
    def taps(self) -> int:
        """Weights of one residue."""
        return -(-self.weights // self.stride)

    @property
    def border(self) -> int:
        """What the plain convolution pads both ends by."""
        first, last = self.padding // self.stride, (self.padding + self.outputs - 1) // self.stride
        return max(self.taps - 1 - first, last - (self.inputs - 1), 0)

    @property
    def places(self) -> int:
        """Results of the plain convolution."""
        return self.inputs + 2 * self.border - self.taps + 1

    @property
    def start(self) -> int:
        """Which of the interleaved results is the first output."""
        return self.padding - self.stride * (self.taps - 1 - self.border)


def requantized(program: Program, target: Target) -> Node | str:
    """A transposed convolution of quantized operands as conv_int8."""
    found = _layer(program, target.root)
    if isinstance(found, str):
        return found
    return _interleaved(target.quantize, insert_requantized(program, target, found[0]), found[1])


def to_float(program: Program, node: Node) -> Node | str:
    """A transposed convolution, whose result is not quantized, as conv_int8_to_float."""
    found = _layer(program, node)
    if isinstance(found, str):
        return found
    return _interleaved(node, insert_to_float(program, found[0]), found[1])


def output_axis(layer: Node) -> int:
    """The axis of a weight [I, O / groups, ...] that its steps run along."""
    arguments = arguments_of(layer)
    is_depthwise = 1 < arguments["groups"] == shape_of(arguments["weight"])[0]
    return 0 if is_depthwise else 1


def _layer(program: Program, node: Node) -> tuple[Layer, list[_Axis]] | str:
    """The plain convolution, and the axes to interleave its channels along; or why not."""
    arguments = arguments_of(node)
    x, weight = quantized(arguments["input"]), quantized_weight(program, arguments["weight"])
    if x is None:
        return "its input is not quantized"
    if weight is None:
        return "its weight is not quantized to int8"
    groups, outputs = arguments["groups"], shape_of(node)[1]
    scales = _per_output(weight, groups, outputs)
    if scales is None:
        return "the scales of its weight do not run along its output channels"
    bias = constant(program, arguments["bias"])
    if bias is None and arguments["bias"] is not None:
        return "its bias is no constant"
    integers = _spread(weight.integers, each_axis(arguments["dilation"], weight.integers.dim() - 2))
    axes = _axes(node, arguments, integers)
    residues = math.prod(axis.stride for axis in axes)
    rank = len(axes)
    window = [1] * rank, [axis.border for axis in axes], [1] * rank, groups
    added = torch.zeros(outputs) if bias is None else bias
    steps = (x.range.scale * scales).repeat_interleave(residues)
    plain = _by_residue(integers, axes, groups)
    return Layer(node, x, plain, steps, added.double().repeat_interleave(residues), window), axes


def _per_output(weight: QuantizedWeight, groups: int, outputs: int) -> Tensor | None:
    """The scale of each output channel, [O]; they have axis 1 of every group."""
    inputs = len(weight.integers)
    if weight.scales.numel() == 1:
        return weight.scales.expand(outputs)
    if weight.axis == 1:
        return weight.scales.repeat(groups)
    return weight.scales.repeat_interleave(outputs // groups) if inputs == groups else None


def _spread(weight: Tensor, dilation: Sequence[int]) -> Tensor:
    """The weight with the zeros of its dilation written out."""
    sizes = [d * (size - 1) + 1 for d, size in zip(dilation, weight.shape[2:], strict=True)]
    whole = weight.new_zeros(*weight.shape[:2], *sizes)
    taps = whole
    for dim, step in enumerate(dilation, 2):
        taps = taps[(slice(None),) * dim + (slice(None, None, step),)]
    taps.copy_(weight)
    return whole


def _axes(node: Node, arguments: dict[str, Any], weight: Tensor) -> list[_Axis]:
    rank = weight.dim() - 2
    return [
        _Axis(*sizes)
        for sizes in zip(
            weight.shape[2:],
            each_axis(arguments["stride"], rank),
            each_axis(arguments["padding"], rank),
            shape_of(arguments["input"])[2:],
            shape_of(node)[2:],
            strict=True,
        )
    ]


def _by_residue(weight: Tensor, axes: Sequence[_Axis], groups: int) -> Tensor:
    """[I, O / groups, ...] as the weight [O * residues, I / groups, taps...] of the plain one."""
    rank = len(axes)
    room = [(0, axis.taps * axis.stride - axis.weights) for axis in reversed(axes)]
    padded = functional.pad(weight, [size for pair in room for size in pair])
    split = [size for axis in axes for size in (axis.taps, axis.stride)]
    parts = padded.reshape(groups, -1, weight.shape[1], *split)
    taps, residues = range(3, 3 + 2 * rank, 2), range(4, 4 + 2 * rank, 2)
    ordered = parts.flip(list(taps)).permute(0, 2, *residues, 1, *taps)
    return ordered.flatten(0, 1 + rank).contiguous()


def _interleaved(before: Node, value: Node, axes: Sequence[_Axis]) -> Node:
    """[N, O * residues, places...] with the residues between the places, cut to the outputs."""
    batch, channels = shape_of(value)[:2]
    strides, places = [axis.stride for axis in axes], [axis.places for axis in axes]
    rank = len(axes)
    if math.prod(strides) > 1:
        outputs = channels // math.prod(strides)
        parts = insert_call(
            before, _ATEN.reshape.default, value, [batch, outputs, *strides, *places]
        )
        order = [dim for axis in range(rank) for dim in (2 + rank + axis, 2 + axis)]
        mixed = insert_call(before, _ATEN.permute.default, parts, [0, 1, *order])
        whole = [places[axis] * strides[axis] for axis in range(rank)]
        value = insert_call(before, _ATEN.reshape.default, mixed, [batch, outputs, *whole])
    for dim, axis in enumerate(axes, 2):
        end = axis.start + axis.outputs
        if (axis.start, end) != (0, shape_of(value)[dim]):
            value = insert_call(before, _ATEN.slice.Tensor, value, dim, axis.start, end)
    return value


TRANSPOSED = {
    _ATEN.conv_transpose1d.default: requantized,
    _ATEN.conv_transpose2d.input: requantized,
    _ATEN.conv_transpose3d.input: requantized,
}
