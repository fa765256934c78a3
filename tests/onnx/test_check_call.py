"""Nodes that do not follow their operator's description are refused, not reinterpreted."""

import numpy as np
import pytest
from onnx import NodeProto, TensorProto

from penjing import CompileError
from penjing.compiler.onnx_import.importer import import_onnx

from .graphs import model_of, node


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (node("BitwiseAnd", "x x", "y"), "input A, x, is a tensor(float)"),
        (node("Add", "x n", "y"), "input B, n, is a tensor(int64) beside a tensor(float)"),
        (node("Add", "x", "y"), "1 inputs, not 2 to 2"),
        (node("Add", "x x x", "y"), "3 inputs, not 2 to 2"),
        (node("Add", "x -", "y"), "input B is missing"),
        (node("Reshape", "x x", "y"), "input shape, x, is a tensor(float)"),
        (node("Relu", "x", "y", alpha=1.0), "the operator has no attribute alpha"),
        (node("Softmax", "x", "y", axis=1.0), "attribute axis is 1.0"),
        (node("Transpose", "x", "y", perm="01"), "attribute perm is '01'"),
        (node("Cast", "x", "y"), "attribute to is missing"),
        (node("Concat", "x n", "y", axis=0), "input inputs, n, is a tensor(int64)"),
    ],
)
def test_wrong_nodes_are_refused(wrong: NodeProto, reason: str) -> None:
    with pytest.raises(CompileError, match="cannot import the operator") as caught:
        import_onnx(model_of([wrong], {"x": [2, 3]}, ["y"], {"n": np.int64(2)}), None, None)
    assert reason in caught.value.got


@pytest.mark.parametrize(
    "greedy",
    [
        node("ConstantOfShape", "sizes", "y"),
        node("Range", "zero huge one", "y"),
        node("HannWindow", "huge", "y"),
        node("Resize", "x - - sizes", "y"),
        node("Pad", "x pads", "y", mode="edge"),
        node("Expand", "x sizes", "y"),
        node("Tile", "x sizes", "y"),
        node("OneHot", "zero huge values", "y"),
        node("MaxPool", "image", "y", kernel_shape=[1, 1], pads=[0, 1 << 40, 0, 0]),
    ],
)
def test_absurd_sizes_are_refused_before_memory_is_taken(greedy: NodeProto) -> None:
    weights = {
        "sizes": np.array([1 << 36, 1 << 36]),
        "zero": np.int64(0),
        "one": np.int64(1),
        "huge": np.int64(1 << 50),
        "pads": np.array([0, 1 << 50, 0, 0]),
        "values": np.zeros(2, np.float32),
        "image": np.zeros((1, 1, 2, 2), np.float32),
    }
    nodes = [greedy, node("Cast", "y", "z", to=TensorProto.FLOAT), node("Add", "z x", "r")]
    with pytest.raises(CompileError, match="cannot import the operator"):
        import_onnx(model_of(nodes, {"x": [1, 1]}, ["r"], weights, opset=18), None, None)
