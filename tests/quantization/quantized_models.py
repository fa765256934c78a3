"""Puts quantize and dequantize nodes around operators, as PT2E does, with observed ranges."""

from collections.abc import Collection

import torch
import torch.ao.quantization.fx._decomposed  # registers quantized_decomposed
from torch import nn
from torch.fx import Interpreter, Node

from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.program import Program
from penjing.compiler.ir.rewrite import arguments_of, insert_call
from penjing.compiler.pass_manager import optimize
from penjing.passes import Canonicalize

aten = torch.ops.aten
decomposed = torch.ops.quantized_decomposed

QUANTIZE = decomposed.quantize_per_tensor.default
DEQUANTIZE = decomposed.dequantize_per_tensor.default
DEQUANTIZE_CHANNELS = decomposed.dequantize_per_channel.default
LAYERS = {aten.conv1d.default, aten.conv2d.default, aten.conv3d.default, aten.linear.default}
TRANSPOSED = {
    aten.conv_transpose1d.default,
    aten.conv_transpose2d.input,
    aten.conv_transpose3d.input,
}
ACTIVATIONS = {aten.relu.default, aten.clamp.default, aten.batch_norm.default}
KEPT = {aten.reshape.default, aten.permute.default, aten.pad.default, aten.slice.Tensor}


class _Ranges(Interpreter):
    """The least and the greatest value of every node."""

    def __init__(self, program: Program) -> None:
        super().__init__(program.module)
        self.ranges: dict[Node, tuple[float, float]] = {}

    def run_node(self, n: Node) -> object:
        value = super().run_node(n)
        if isinstance(value, torch.Tensor) and value.is_floating_point() and value.numel():
            self.ranges[n] = (float(value.min()), float(value.max()))
        return value


def quantized_program(
    model: nn.Module,
    *inputs: torch.Tensor,
    dtype: torch.dtype = torch.int8,
    kept: Collection[object] = KEPT,
    weight_low: int = -127,
) -> Program:
    """The model with every value of float32 rounded to 8 bits, weights per channel.

    Args:
        model: Put into evaluation mode.
        inputs: What ranges are observed with.
        dtype: Of activations.
        kept: Operators whose result is rounded as their operand was.
        weight_low: The least weight.
    """
    program = optimize(trace(model.eval(), inputs), [Canonicalize()])
    observer = _Ranges(program)
    with torch.no_grad():
        observer.run(*inputs)
    nodes = [node for node in program.graph.nodes if node in observer.ranges]
    for node in nodes:
        if node.op != "get_attr" and not _continues(node, kept):
            _round(node, observer.ranges[node], dtype)
    for node in list(program.graph.nodes):
        if node.target in LAYERS | TRANSPOSED:
            _round_weight(program, node, weight_low, axis=int(node.target in TRANSPOSED))
    program.tidy()
    return program


def _continues(node: Node, kept: Collection[object]) -> bool:
    """Whether a value is rounded later, or was before."""
    readers = list(node.users)
    fusing = LAYERS | TRANSPOSED | ACTIVATIONS | {aten.add.Tensor}
    early = len(readers) == 1 and node.target in fusing
    return (early and readers[0].target in ACTIVATIONS) or node.target in kept


def _round(node: Node, limits: tuple[float, float], dtype: torch.dtype) -> None:
    info = torch.iinfo(dtype)
    low, high = min(limits[0], 0.0), max(limits[1], 0.0)
    scale = max(high - low, 1e-3) / 255
    zero_point = min(max(round(info.min - low / scale), info.min), info.max)
    options = (scale, zero_point, info.min, info.max, dtype)
    readers = list(node.users)
    after = node.next
    while after.op in ("placeholder", "get_attr"):
        after = after.next
    rounded = insert_call(after, QUANTIZE, node, *options)
    real = insert_call(after, DEQUANTIZE, rounded, *options)
    rounded.meta["origin"] = real.meta["origin"] = node.meta["origin"]
    for reader in readers:
        reader.replace_input_with(node, real)


def _round_weight(program: Program, layer: Node, low: int, axis: int) -> None:
    weight = arguments_of(layer)["weight"]
    value = program.weight(weight).detach()
    scales = value.transpose(0, axis).flatten(1).abs().amax(1).clamp(min=1e-6) / 127
    zeros = torch.zeros(len(scales), dtype=torch.int64)
    integers = decomposed.quantize_per_channel(value, scales, zeros, axis, low, 127, torch.int8)
    nodes = [program.add_weight(t, "quantized", like=layer) for t in (integers, scales, zeros)]
    real = insert_call(layer, DEQUANTIZE_CHANNELS, *nodes, axis, low, 127, torch.int8)
    layer.replace_input_with(weight, real)
