"""Turns layers of values that are quantized at run time into integer operators."""

import operator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.fx import Node

from ..compiler.ir.program import Program, node_spec
from ..compiler.ir.rewrite import arguments_of, insert_call, replace_by, shape_of
from ..compiler.pass_base import Pass
from ..compiler.quantization import dynamic as dynamic
from .integer.products import LAYERS, each_axis
from .integer.values import (
    GroupedWeight,
    QuantizedWeight,
    add_constant,
    constant,
    grouped_weight,
    quantized_weight,
)
from .quantizing import run_time_steps as steps

_LINEAR = torch.ops.aten.linear.default
_PENJING = torch.ops.penjing
_LEAST_TOKEN = 1e-5 / 127  # what choose_qparams_per_token makes of rows of zeros
_SYMMETRIC = {steps.CHOOSE, steps.CHOOSE_BY_TOKEN}
_WHOLE = {steps.CHOOSE, steps.CHOOSE_LIMITS}
_CHOICES = {*_WHOLE, steps.CHOOSE_BY_TOKEN, steps.CHOOSE_LIMITS_BY_TOKEN}
_QUANTIZE = {steps.QUANTIZE_TOKENS, steps.QUANTIZE_WHOLE}
_DEQUANTIZE = {steps.DEQUANTIZE_TOKENS, steps.DEQUANTIZE_WHOLE}


class FoldDynamicQuantization(Pass):
    """Let layers multiply integers whose steps are chosen when the program runs.

    It takes what `quantize-dynamic` and PyTorch's quantizers write: a node of
    `quantized_decomposed` that chooses steps, those that round in them, and weights of int8.

    1. choose, quantize -> quantize_rows: one kernel finds the limits of each row and rounds it.
    2. dequantize, linear -> linear_int8_rows; dequantize, convolution -> conv_int8_images.
    3. dequantize, linear with a weight of 4 bits in groups -> linear_int4_rows.

    Needs: canonical operators.
    Keeps: every integer within one of PyTorch's, and nearly all equal, as float32 is used where
        PyTorch uses float64; results within float32 of those of the same integers.
    Skips: unsigned integers, zero points where there is padding, weights of other forms: these
        stay, and no target has kernels for them.
    """

    name = "fold-dynamic-quantization"
    contract = "tolerance"

    def run(self, program: Program) -> int:
        known: dict[Node, _Rows] = {}
        count = 0
        for node in list(program.graph.nodes):
            if node.target not in LAYERS:
                continue
            value = arguments_of(node)["input"]
            if not isinstance(value, Node) or value.target not in _DEQUANTIZE:
                continue
            layer = _layer(program, node, value, known)
            if isinstance(layer, str):
                self.report.skip(node, layer)
                continue
            replace_by(node, layer)
            count += 1
        program.drop_dead()
        return count


@dataclass(frozen=True)
class _Rows:
    """The results of quantize_rows, or what they would be made of."""

    integers: Node
    step: Node
    zero_point: Node | None


def _layer(program: Program, node: Node, value: Node, known: dict[Node, _Rows]) -> Node | str:
    """A layer of integers in the place of one of rounded values, or why there is none."""
    quantize, arguments = value.args[0], arguments_of(node)
    if not isinstance(quantize, Node) or quantize.target not in _QUANTIZE:
        return "what it reads is not quantized in the program"
    choice = _choice(quantize, value)
    if isinstance(choice, str):
        return choice
    bias = constant(program, arguments["bias"])
    if bias is None and arguments["bias"] is not None:
        return "its bias is computed"
    grouped = grouped_weight(program, arguments["weight"])
    if grouped is not None and node.target is _LINEAR:
        if reason := grouped.why_not_dynamic():
            return reason
        if quantize not in known:
            known[quantize] = _rows(quantize, choice)
        return _groups(program, node, grouped, bias, known[quantize])
    weight = quantized_weight(program, arguments["weight"])
    scales = None if weight is None else weight.per_output()
    if weight is None or scales is None:
        return "its weight is not int8 with steps along its output channels"
    if int(weight.integers.long().flatten(1).abs().sum(1).max()) >= dynamic.MOST_WEIGHTS:
        return "its sums may not fit 32 bits"
    if node.target is not _LINEAR:
        if choice.target is not steps.CHOOSE:
            return "its input has zero points, or steps for each row"
        if len(shape_of(node)) != weight.integers.dim():
            return "images without a batch axis"
    if quantize not in known:
        known[quantize] = _rows(quantize, choice)
    added = torch.zeros(len(scales)) if bias is None else bias
    parts = _Constants(program, node, weight, scales, added)
    return (
        parts.linear(known[quantize]) if node.target is _LINEAR else parts.images(known[quantize])
    )


def _choice(quantize: Node, dequantize: Node) -> Node | str:
    """The node that chooses the steps that two others round in; or why there is none."""
    if quantize.args[1:6] != dequantize.args[1:6]:
        return "its input is quantized in other steps than it is dequantized in"
    value, *parts = quantize.args[:3]
    sources = [part.args[0] for part in parts if isinstance(part, Node) and part.args]
    choice = sources[0] if sources else None
    if len(sources) != 2 or sources[1] is not choice or not isinstance(choice, Node):
        return "no node chooses the steps of its input"
    if choice.target not in _CHOICES:
        return "no node chooses the steps of its input"
    if choice.args[0] is not value or not isinstance(value, Node):
        return "the steps of its input are those of another value"
    if quantize.args[5] is not torch.int8:
        return f"integers of {quantize.args[5]}"
    if (choice.target in _WHOLE) is (quantize.target is steps.QUANTIZE_TOKENS):
        return "steps of each row are used for the whole tensor"
    if node_spec(value).dtype != "float32":
        return f"values of {node_spec(value).dtype}"
    return choice


def _rows(quantize: Node, choice: Node) -> _Rows:
    """quantize_rows in the place of a choice and a quantize node."""
    value, (low, high) = choice.args[0], quantize.args[3:5]
    assert isinstance(value, Node), choice
    symmetric = choice.target in _SYMMETRIC
    if choice.target in _WHOLE:
        axes, least_step = len(shape_of(value)), arguments_of(choice)["eps"]
    else:
        axes, least_step = 1, _LEAST_TOKEN if symmetric else steps.LEAST_STEP
    options = axes, symmetric, least_step, low, high
    rounded = insert_call(quantize, _PENJING.quantize_rows.default, value, *options)
    parts = [insert_call(quantize, operator.getitem, rounded, index) for index in range(3)]
    return _Rows(parts[0], parts[1], None if symmetric else parts[2])


def _groups(
    program: Program, node: Node, weight: GroupedWeight, bias: Tensor | None, rows: _Rows
) -> Node:
    """A linear layer whose weight has steps for groups."""
    source = arguments_of(node)["weight"]
    sums = dynamic.weighted_sums(weight.weight, weight.scales)
    added = torch.zeros(len(sums)) if bias is None else bias.float()
    return insert_call(
        node,
        _PENJING.linear_int4_rows.default,
        rows.integers,
        rows.step,
        rows.zero_point,
        *source.args,
        add_constant(program, node, "sums", sums),
        add_constant(program, node, "bias", added),
    )


@dataclass(frozen=True)
class _Constants:
    """What is known of a layer."""

    program: Program
    node: Node
    weight: QuantizedWeight
    scales: Tensor
    bias: Tensor

    def linear(self, rows: _Rows) -> Node:
        sums = self.weight.integers.sum(1, dtype=torch.int32)
        return insert_call(
            self.node,
            _PENJING.linear_int8_rows.default,
            rows.integers,
            rows.step,
            rows.zero_point,
            self._add("weight_int8", self.weight.integers),
            self._add("sums", sums),
            self._add("scale", self.scales.float()),
            self._add("bias", self.bias.float()),
        )

    def images(self, rows: _Rows) -> Node:
        arguments, rank = arguments_of(self.node), self.weight.integers.dim() - 2
        window = [each_axis(arguments[name], rank) for name in ("stride", "padding", "dilation")]
        return insert_call(
            self.node,
            _PENJING.conv_int8_images.default,
            rows.integers,
            rows.step,
            self._add("weight_int8", self.weight.integers),
            self._add("scale", self.scales.float()),
            self._add("bias", self.bias.float()),
            *window,
            arguments["groups"],
        )

    def _add(self, name: str, value: Tensor) -> Node:
        return add_constant(self.program, self.node, name, value)
