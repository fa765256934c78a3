"""Moves of uint8 between quantized operators, as onnxruntime's QOperator format has them."""

import torch
from torch.fx import Node

from penjing.compiler.ir.rewrite import insert_call
from penjing.compiler.pass_manager import optimize
from penjing.passes import FoldQuantization

from ..support import program_of
from .quantized_models import DEQUANTIZE, QUANTIZE, aten


def test_moves_of_uint8_become_moves_of_int8() -> None:
    options = 0.5, 130, 0, 255, torch.uint8

    def make(before: Node, x: Node) -> Node:
        integers = insert_call(before, QUANTIZE, x, *options)
        padded = insert_call(before, aten.pad.default, integers, [1, 1, 0, 0], "constant", 130)
        largest = insert_call(before, aten.max_pool2d.default, padded, [2, 2], [1, 1])
        moved = insert_call(before, aten.permute.default, largest, [0, 1, 3, 2])
        return insert_call(before, DEQUANTIZE, moved, *options)

    x = 20 * torch.randn(1, 2, 5, 6)
    program = program_of(make, x)
    result = optimize(program, [FoldQuantization()])
    calls = {str(node.target) for node in result.graph.nodes if node.op == "call_function"}
    assert not any("signed" in name for name in calls), calls
    assert torch.equal(result.run(x), program.run(x))
