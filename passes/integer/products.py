"""Convolutions, linear layers and products of quantized tensors as integer operators."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from ...compiler.ir.program import Program
from ...compiler.ir.rewrite import arguments_of, insert_call, shape_of
from ...compiler.quantization import ops as ops
from ...compiler.quantization.scales import LayerConstants, Rescaling
from .pointwise import affine
from .values import (
    Quantized,
    Target,
    add_constant,
    constant,
    quantized,
    quantized_weight,
)

_ATEN = torch.ops.aten
_PENJING = torch.ops.penjing
_CONVOLUTIONS = (_ATEN.conv1d.default, _ATEN.conv2d.default, _ATEN.conv3d.default)
_MOST_DEPTH = 2**31 // 255**2  # products of two activations that fit 32 bits


@dataclass(frozen=True)
class Layer:
    """A convolution or linear layer of quantized operands: y = steps * (x * weight) + bias.

    Args:
        node: What it comes from.
        x: Its input.
        weight: int8 [O, ...].
        steps: float64 [O].
        bias: float64 [O].
        window: Stride, padding, dilation and groups of a convolution; nothing for a linear layer.
    """

    node: Node
    x: Quantized
    weight: Tensor
    steps: Tensor
    bias: Tensor
    window: tuple[Any, ...]

    def constants(self) -> LayerConstants:
        """Its integers."""
        return LayerConstants.of(self.weight, self.steps, self.bias, self.x.range)

    def options(self) -> tuple[Any, ...]:
        """The window as conv_int8 takes it."""
        return (*self.window, self.x.range.zero_point) if self.window else ()


def requantized(program: Program, target: Target) -> Node | str:
    """A layer of quantized operands as conv_int8 or linear_int8."""
    layer = _layer(program, target.root)
    return layer if isinstance(layer, str) else insert_requantized(program, target, layer)


def to_float(program: Program, node: Node) -> Node | str:
    """A layer of quantized operands, whose result is none, as conv_ or linear_int8_to_float."""
    layer = _layer(program, node)
    return layer if isinstance(layer, str) else insert_to_float(program, layer)


def insert_to_float(program: Program, layer: Layer) -> Node:
    """conv_int8_to_float or linear_int8_to_float in front of what a layer comes from."""
    node, constants = layer.node, layer.constants()
    is_linear = layer.weight.dim() == 2
    operator = _PENJING.linear_int8_to_float if is_linear else _PENJING.conv_int8_to_float
    return insert_call(
        node,
        operator.default,
        layer.x.node,
        add_constant(program, node, "weight_int8", constants.weight),
        add_constant(program, node, "bias_int32", constants.bias),
        add_constant(program, node, "scale", constants.steps.float()),
        *layer.options(),
    )


def matmul(program: Program, target: Target) -> Node | str:
    """matmul of two quantized tensors -> matmul_int8, of one and a matrix -> linear_int8."""
    left, right = target.root.args[:2]
    x, y, weight = quantized(left), quantized(right), quantized_weight(program, right)
    if x is None:
        return "the left operand is not quantized"
    if weight is not None:
        layer = _layer(program, target.root)
        return layer if isinstance(layer, str) else insert_requantized(program, target, layer)
    if y is None:
        return "the right operand is not quantized"
    if min(len(shape_of(x.node)), len(shape_of(y.node))) < 2:
        return "a product with a vector"
    if shape_of(x.node)[-1] > _MOST_DEPTH:
        return f"sums of more than {_MOST_DEPTH} products may not fit 32 bits"
    scale = target.factor * x.range.scale * y.range.scale / target.range.scale
    return insert_call(
        target.quantize,
        _PENJING.matmul_int8.default,
        x.node,
        y.node,
        x.range.zero_point,
        y.range.zero_point,
        *Rescaling.of_one(scale),
        *target.bounds,
    )


def batch_norm(program: Program, target: Target) -> Node | str:
    """A batch norm, as part of the layer before it, or of a quantized value as affine_int8."""
    node, arguments = target.root.args[0], arguments_of(target.root)
    names = ("weight", "bias", "running_mean", "running_var")
    weight, bias, mean, variance = (constant(program, arguments[name]) for name in names)
    if arguments["training"] or mean is None or variance is None:
        return "it normalizes by the statistics of the batch"
    scale = (variance.double() + arguments["eps"]).rsqrt()
    scale = scale if weight is None else scale * weight.double()
    added = -mean.double() * scale + (0 if bias is None else bias.double())
    if (x := quantized(node)) is not None:
        shape = (-1, *[1] * (len(shape_of(x.node)) - 2))
        return affine(program, target, x, scale.view(shape), added.view(shape))
    if not isinstance(node, Node) or node.target not in LAYERS or len(node.users) > 1:
        return "a batch norm that follows no quantized layer"
    if node.target is _ATEN.linear.default and len(shape_of(node)) != 2:
        return "a batch norm over an axis that is not the last"
    layer = _layer(program, node)
    if isinstance(layer, str):
        return layer
    normal = replace(layer, steps=layer.steps * scale, bias=layer.bias * scale + added)
    return insert_requantized(program, target, normal)


def _layer(program: Program, node: Node) -> Layer | str:
    """A convolution, linear layer or product with a matrix as a layer, or why it is none."""
    arguments = arguments_of(node)
    is_product = node.target is _ATEN.matmul.default
    x = quantized(arguments["self" if is_product else "input"])
    weight = quantized_weight(program, arguments["other" if is_product else "weight"])
    if x is None:
        return "its input is not quantized"
    if weight is None:
        return "its weight is not quantized to int8"
    if is_product:
        weight = weight.transposed()
    scales = weight.per_output()
    if scales is None:
        return "the scales of its weight do not run along its output channels"
    bias = constant(program, arguments.get("bias"))
    if bias is None and arguments.get("bias") is not None:
        return "its bias is no constant"
    rank = weight.integers.dim()
    if rank < 2 or (rank > 2 and len(shape_of(x.node)) != rank):
        return "images without a batch axis, or a weight that is a vector"
    added = torch.zeros(len(scales)) if bias is None else bias
    window = _window(arguments, rank - 2) if rank > 2 else ()
    return Layer(node, x, weight.integers, x.range.scale * scales, added.double(), window)


def _window(arguments: dict[str, Any], rank: int) -> tuple[Any, ...]:
    sizes = [each_axis(arguments[name], rank) for name in ("stride", "padding", "dilation")]
    return (*sizes, arguments["groups"])


def insert_requantized(program: Program, target: Target, layer: Layer) -> Node:
    """conv_int8 or linear_int8 in front of the quantize node of a target."""
    constants = layer.constants()
    rescaling = Rescaling.of(constants.steps * target.factor / target.range.scale)
    is_linear = layer.weight.dim() == 2
    operator = _PENJING.linear_int8 if is_linear else _PENJING.conv_int8
    return insert_call(
        target.quantize,
        operator.default,
        layer.x.node,
        add_constant(program, layer.node, "weight_int8", constants.weight),
        add_constant(program, layer.node, "bias_int32", constants.bias),
        add_constant(program, layer.node, "multiplier", rescaling.multipliers),
        *layer.options(),
        rescaling.shift,
        *target.bounds,
    )


def each_axis(value: Any, rank: int) -> list[int]:
    """An option that ATen gives once for all axes or once for each."""
    values = [value] if isinstance(value, int) else list(value)
    return values * rank if len(values) == 1 else values


CONV_INT8 = _PENJING.conv_int8.default
LAYERS = {*_CONVOLUTIONS, _ATEN.linear.default}
PRODUCTS = {
    **dict.fromkeys(_CONVOLUTIONS, requantized),
    _ATEN.linear.default: requantized,
    _ATEN.matmul.default: matmul,
    _ATEN.batch_norm.default: batch_norm,
}
