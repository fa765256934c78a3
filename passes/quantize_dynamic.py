"""Rounds weights to int8, and activations in steps that are chosen when the program runs."""

from dataclasses import dataclass
from math import prod
from typing import Literal

import torch
from torch.fx import Node

from ..compiler.errors import CompileError
from ..compiler.ir.program import Program, node_spec
from ..compiler.ir.rewrite import arguments_of, shape_of, weight_of
from ..compiler.pass_base import Pass
from .fuse_linear import FuseLinear
from .integer.products import LAYERS
from .integer.values import grouped_weight, quantized_weight
from .quantizing.insert import first_call_behind, nearest, round_weight, weight_scales
from .quantizing.prepare import check_finite, prepare
from .quantizing.run_time_steps import round_by_token, round_whole
from .quantizing.selection import named

_LINEAR = torch.ops.aten.linear.default
Granularity = Literal["token", "tensor"]


@dataclass(frozen=True)
class QuantizeDynamic(Pass):
    """Round weights to int8, and what layers read in steps that are chosen at run time.

    Weights that `quantize-weights` has rounded before, to 4 bits or with a step for each output,
    stay as they are: layers then multiply these by int8.

    No calibration data is needed, and no value is ever out of range. Layers multiply integers and
    return float32; everything between them stays as it is. The program gets nodes of
    `quantized_decomposed`, which `fold-dynamic-quantization` turns into integer operators.

    Args:
        granularity: What has a step of its own: each "token" (row that a linear layer reads), or
            the whole "tensor".
        symmetric: Whether zero points are 0: one addition less for each result, and up to one bit
            less where values have one sign, as after ReLU or GELU.
        convolutions: Whether convolutions are rounded too; their inputs have one step and no zero
            point.
        weight_bits: 2 to 8; weights have steps for each output channel.
        least_elements: Layers with smaller weights stay as they are: to find steps costs more.
        keep: Modules (patterns of names) and operators that stay as they are.

    Needs: nothing. Operators become canonical and batch norms are folded first.
    Keeps: all values within what rounding makes of them; see the report.
    Skips: weights that are computed, and those of 8 bits with steps for groups.
    """

    name = "quantize-dynamic"
    contract = "lossy"

    granularity: Granularity = "token"
    symmetric: bool = False
    convolutions: bool = False
    weight_bits: int = 8
    least_elements: int = 1024
    keep: tuple[str, ...] = ()

    def run(self, program: Program) -> int:
        """Insert nodes that choose steps, quantize and dequantize; the number of layers."""
        self._check()
        prepared = prepare(program, FuseLinear())
        kept = named(program, "keep", self.keep)
        layers = [n for n in program.graph.nodes if n not in kept and self._is_chosen(program, n)]
        rounded: dict[tuple[Node, bool], Node] = {}
        for layer in layers:
            source = arguments_of(layer)["input"]
            is_linear = layer.target is _LINEAR
            key = source, is_linear
            if key not in rounded:
                rounded[key] = self._rounded(layer, source)
            layer.replace_input_with(source, rounded[key])
            if weight_of(program, arguments_of(layer)["weight"]) is None:
                continue  # it is rounded already
            weight = program.weight(arguments_of(layer)["weight"]).detach()
            scales = weight_scales(weight, self.weight_bits)
            round_weight(program, layer, nearest(weight, scales, self.weight_bits), scales)
        self.report.details["values"] = len(rounded)
        return len(layers) or prepared

    def _check(self) -> None:
        if self.weight_bits not in range(2, 9):
            raise CompileError("weight_bits must be 2 to 8", got=f"weight_bits={self.weight_bits}")
        if self.granularity not in ("token", "tensor"):
            raise CompileError(
                'granularity must be "token" or "tensor"', got=f"granularity={self.granularity!r}"
            )

    def _is_chosen(self, program: Program, node: Node) -> bool:
        if node.target not in LAYERS or (node.target is not _LINEAR and not self.convolutions):
            return False
        stored = arguments_of(node)["weight"]
        weight = weight_of(program, stored)
        if weight is None and (reason := _why_not_rounded(program, node)):
            self.report.skip(node, reason)
            return False
        bias = arguments_of(node)["bias"]
        if bias is not None and weight_of(program, bias) is None:
            self.report.skip(node, "its bias is computed")
            return False
        sizes = shape_of(stored)
        if len(sizes) > 2 and len(shape_of(node)) != len(sizes):
            self.report.skip(node, "images without a batch axis")
            return False
        if node_spec(stored).dtype != "float32" or prod(sizes) < self.least_elements:
            return False
        if weight is not None:
            check_finite(node, weight)
        return True

    def _rounded(self, layer: Node, source: Node) -> Node:
        """The values that a layer reads, rounded."""
        after = first_call_behind(source)
        if layer.target is not _LINEAR:
            return round_whole(after, source, symmetric=True)
        if self.granularity == "token":
            return round_by_token(after, source, symmetric=self.symmetric)
        return round_whole(after, source, symmetric=self.symmetric)


def _why_not_rounded(program: Program, layer: Node) -> str:
    """Why integers cannot multiply a weight that is computed; "" if they can."""
    value = arguments_of(layer)["weight"]
    if grouped := grouped_weight(program, value):
        return grouped.why_not_dynamic()
    if quantized_weight(program, value) is not None:
        return ""
    return "its weight is computed"
