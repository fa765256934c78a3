"""Convolutions, linear layers and products of quantized tensors as integer operators."""

from dataclasses import replace
from typing import Any

import torch
from torch.fx import Node

from ...compiler.ir.program import Program
from ...compiler.ir.rewrite import arguments_of, insert_call, shape_of
from ...compiler.quantization import ops as ops
from ...compiler.quantization.scales import Rescaling, folded_bias
from .values import (
    Quantized,
    QuantizedWeight,
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


def convolution(program: Program, target: Target) -> Node | str:
    """A convolution of quantized operands, as conv_int8."""
    arguments = arguments_of(target.root)
    operands = _operands(program, arguments)
    if isinstance(operands, str):
        return operands
    x, weight = operands
    rank = weight.integers.dim() - 2
    if len(shape_of(x.node)) != rank + 2:
        return "images without a batch axis"
    sizes = [_each(arguments[name], rank) for name in ("stride", "padding", "dilation")]
    constants = _constants(program, target, x, weight)
    if isinstance(constants, str):
        return constants
    *tensors, shift = constants
    groups, zero_point = arguments["groups"], x.range.zero_point
    return insert_call(
        target.quantize,
        _PENJING.conv_int8.default,
        x.node,
        *tensors,
        *sizes,
        groups,
        zero_point,
        shift,
        *target.bounds,
    )


def linear(program: Program, target: Target) -> Node | str:
    """A linear layer of quantized operands, as linear_int8."""
    operands = _operands(program, arguments_of(target.root))
    if isinstance(operands, str):
        return operands
    x, weight = operands
    return _linear(program, target, x, weight)


def matmul(program: Program, target: Target) -> Node | str:
    """matmul of two quantized tensors -> matmul_int8, of one and a matrix -> linear_int8."""
    left, right = target.root.args[:2]
    x, y, weight = quantized(left), quantized(right), quantized_weight(program, right)
    if x is None:
        return "the left operand is not quantized"
    if weight is not None and weight.integers.dim() == 2 and len(shape_of(x.node)) > 1:
        transposed = QuantizedWeight(
            weight.node, weight.integers.t().contiguous(), weight.scales, 1 - weight.axis
        )
        return _linear(program, target, x, transposed)
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


def normalized_layer(program: Program, target: Target) -> Node | str:
    """batch_norm(conv(...)) -> conv_int8: scale and shift join the multiplier and the bias."""
    layer = target.root.args[0]
    if not isinstance(layer, Node) or layer.target not in _LAYERS or len(layer.users) > 1:
        return "a batch norm that follows no quantized layer"
    if layer.target is _ATEN.linear.default and len(shape_of(layer)) != 2:
        return "a batch norm over an axis that is not the last"
    arguments = arguments_of(target.root)
    names = ("weight", "bias", "running_mean", "running_var")
    weight, bias, mean, variance = (constant(program, arguments[name]) for name in names)
    if arguments["training"] or mean is None or variance is None:
        return "it normalizes by the statistics of the batch"
    scale = (variance.double() + arguments["eps"]).rsqrt()
    scale = scale if weight is None else scale * weight.double()
    if bool((scale == 0).any()):
        return "a batch norm that multiplies by 0"
    added = -mean.double() * scale + (0 if bias is None else bias.double())
    return _LAYERS[layer.target](program, replace(target, root=layer, affine=(scale, added)))


def _operands(
    program: Program, arguments: dict[str, Any]
) -> tuple[Quantized, QuantizedWeight] | str:
    x = quantized(arguments["input"])
    if x is None:
        return "its input is not quantized"
    weight = quantized_weight(program, arguments["weight"])
    return "its weight is not quantized to int8" if weight is None else (x, weight)


def _linear(program: Program, target: Target, x: Quantized, weight: QuantizedWeight) -> Node | str:
    if weight.integers.dim() != 2:
        return "a weight that is no matrix"
    constants = _constants(program, target, x, weight)
    if isinstance(constants, str):
        return constants
    *tensors, shift = constants
    operator = _PENJING.linear_int8.default
    return insert_call(target.quantize, operator, x.node, *tensors, shift, *target.bounds)


def _constants(
    program: Program, target: Target, x: Quantized, weight: QuantizedWeight
) -> tuple[Node, Node, Node, int] | str:
    """Weight, bias, multiplier and shift of a layer.

    The layer is y = acc * x.scale * scales + bias; what may follow is y * factors + added.
    """
    scales = weight.per_output()
    if scales is None:
        return "the scales of its weight do not run along its output channels"
    steps = x.range.scale * scales
    real = arguments_of(target.root).get("bias")
    bias = constant(program, real)
    if bias is None and real is not None:
        return "its bias is no constant"
    factors = torch.full_like(steps, target.factor)
    if target.affine is not None:
        factor, added = target.affine
        bias = added / factor + (0 if bias is None else bias.double())
        factors = factors * factor
    rescaling = Rescaling.of(steps * factors / target.range.scale)
    folded = folded_bias(bias, steps, weight.integers, x.range)
    return (
        add_constant(program, target, "weight_int8", weight.integers),
        add_constant(program, target, "bias_int32", folded),
        add_constant(program, target, "multiplier", rescaling.multipliers),
        rescaling.shift,
    )


def _each(value: Any, rank: int) -> list[int]:
    """An option that ATen gives once for all axes or once for each."""
    values = [value] if isinstance(value, int) else list(value)
    return values * rank if len(values) == 1 else values


_LAYERS = {**dict.fromkeys(_CONVOLUTIONS, convolution), _ATEN.linear.default: linear}
PRODUCTS = {
    **_LAYERS,
    _ATEN.matmul.default: matmul,
    _ATEN.batch_norm.default: normalized_layer,
}
