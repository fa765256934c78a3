"""Multiply-accumulates of an op, from its shapes: what the report counts."""

from collections.abc import Callable
from math import prod

import torch
from torch.fx import Node

from .ir.inference import Specs
from .ir.program import node_specs
from .ir.tensor_spec import TensorSpec
from .quantization import ops as ops  # registers penjing

aten = torch.ops.aten
penjing = torch.ops.penjing

_PRODUCTS = {
    aten.linear.default: 0,
    aten.matmul.default: 0,
    aten.mm.default: 0,
    aten.bmm.default: 0,
    aten.mv.default: 0,
    aten.dot.default: 0,
    aten.addmm.default: 1,
    aten.addmv.default: 1,
    aten.baddbmm.default: 1,
    penjing.linear_int8.default: 0,
    penjing.linear_int8_to_float.default: 0,
    penjing.matmul_int8.default: 0,
}
_CONVOLUTIONS = {
    aten.conv1d.default,
    aten.conv1d.padding,
    aten.conv2d.default,
    aten.conv2d.padding,
    aten.conv3d.default,
    aten.conv3d.padding,
    aten.convolution.default,
    penjing.conv_int8.default,
    penjing.conv_int8_to_float.default,
}
_ATTENTIONS = {aten.scaled_dot_product_attention.default, penjing.attention_int8.default}
_TRANSPOSED = {
    aten.conv_transpose1d.default,
    aten.conv_transpose2d.input,
    aten.conv_transpose3d.input,
}
_RECURRENT = {
    aten.lstm.input,
    aten.gru.input,
    aten.rnn_tanh.input,
    aten.rnn_relu.input,
}


SpecsOf = Callable[[Node], Specs]


def macs(node: Node, specs_of: SpecsOf = node_specs) -> int:
    """Multiply-accumulates of a matrix product, convolution, attention or recurrence, else 0.

    Args:
        node: A node of a program.
        specs_of: The shapes to count with; by default those that it has.
    """

    def spec(index: int) -> TensorSpec:
        source = node.args[index]
        assert isinstance(source, Node), f"argument {index} of {node.format_node()} is no tensor"
        specs = specs_of(source)
        assert isinstance(specs, TensorSpec), f"argument {index} of {node.format_node()} is a tuple"
        return specs

    if node.op != "call_function":
        return 0
    out = specs_of(node)
    if node.target in _PRODUCTS and isinstance(out, TensorSpec):
        left = spec(_PRODUCTS[node.target])
        return out.size * left.shape[-1]
    if node.target in _CONVOLUTIONS and isinstance(out, TensorSpec):
        if node.target is aten.convolution.default and node.args[6]:
            return spec(0).size * prod(spec(1).shape[1:])
        return out.size * prod(spec(1).shape[1:])
    if node.target in _TRANSPOSED:
        return spec(0).size * prod(spec(1).shape[1:])
    if node.target in _ATTENTIONS:
        query, key, value = (spec(index) for index in range(3))
        scores = prod(query.shape[:-1]) * key.shape[-2]
        return scores * (query.shape[-1] + value.shape[-1])
    if node.target in _RECURRENT:
        inputs = [specs_of(source) for source in node.all_input_nodes]
        weights = [s for s in inputs if isinstance(s, TensorSpec) and len(s.shape) == 2]
        x = spec(0)
        return prod(x.shape[:-1]) * sum(weight.size for weight in weights)
    return 0
