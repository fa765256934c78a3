"""Forms of quantized programs that come from ONNX files."""

import torch
from torch.fx import Node

from penjing.compiler.ir.rewrite import insert_call
from penjing.compiler.pass_manager import optimize
from penjing.passes import FoldQuantization

from ..support import program_of
from .quantized_models import DEQUANTIZE, DEQUANTIZE_CHANNELS, QUANTIZE, aten
from .samples import integers


def test_moves_of_uint8_become_moves_of_int8() -> None:
    """onnxruntime's QOperator format has them between quantized operators."""
    options = 0.5, 130, 0, 255, torch.uint8

    def make(before: Node, x: Node) -> Node:
        quantized = insert_call(before, QUANTIZE, x, *options)
        padded = insert_call(before, aten.pad.default, quantized, [1, 1, 0, 0], "constant", 130)
        largest = insert_call(before, aten.max_pool2d.default, padded, [2, 2], [1, 1])
        moved = insert_call(before, aten.permute.default, largest, [0, 1, 3, 2])
        return insert_call(before, DEQUANTIZE, moved, *options)

    x = 20 * torch.randn(1, 2, 5, 6)
    program = program_of(make, x)
    result = optimize(program, [FoldQuantization()])
    calls = {str(node.target) for node in result.graph.nodes if node.op == "call_function"}
    assert not any("signed" in name for name in calls), calls
    assert torch.equal(result.run(x), program.run(x))


def test_weights_may_be_turned_around_after_they_are_widened() -> None:
    """Gemm has them as [inputs, outputs], with scales along the second axis."""
    options = 0.5, 3, -128, 127, torch.int8

    def make(before: Node, x: Node, weight: Node, scales: Node, zeros: Node) -> Node:
        real = insert_call(before, DEQUANTIZE, insert_call(before, QUANTIZE, x, *options), *options)
        steps = scales, zeros, 1, -127, 127, torch.int8
        matrix = insert_call(before, DEQUANTIZE_CHANNELS, weight, *steps)
        turned = insert_call(before, aten.permute.default, matrix, [1, 0])
        layer = insert_call(before, aten.linear.default, real, turned)
        return insert_call(
            before, DEQUANTIZE, insert_call(before, QUANTIZE, layer, *options), *options
        )

    x = torch.randn(2, 4)
    weights = integers(4, 3, low=-127), torch.tensor([0.1, 0.2, 0.3]), torch.zeros(3).long()
    program = program_of(make, x, weights=weights)
    result = optimize(program, [FoldQuantization()])
    calls = [str(node.target) for node in result.graph.nodes if node.op == "call_function"]
    assert "penjing.linear_int8.default" in calls, calls
    assert (result.run(x) - program.run(x)).abs().max() <= 0.5
