"""MatMul, Add and Gemm become the linear layers that they were in PyTorch."""

import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

import penjing
from penjing.compiler.onnx_import.node_names import dotted

from .graphs import model_of, node

WEIGHT = np.arange(12, dtype=np.float32).reshape(3, 4)
BIAS = np.arange(4, dtype=np.float32)
X = torch.tensor([[[1.0, -2.0, 3.0], [0.5, 0.0, 1.0]]])


def _text(nodes: list[onnx.NodeProto], shape: tuple[int, ...] = (1, 2, 3)) -> str:
    program = penjing.trace(model_of(nodes, {"x": shape}, ["y"], {"w": WEIGHT, "b": BIAS}))
    x = X if len(shape) == 3 else X[0]
    expected = x @ torch.from_numpy(WEIGHT)
    if any("b" in node.input for node in nodes):
        expected = expected + torch.from_numpy(BIAS)
    torch.testing.assert_close(program.run(x), expected)
    assert program.weights["w"].shape in {(3, 4), (4, 3)}
    assert isinstance(program.weights["w"], nn.Parameter)
    return str(program)


@pytest.mark.parametrize("order", ["p b", "b p"])
def test_matmul_and_add_are_a_layer(order: str) -> None:
    text = _text([node("MatMul", "x w", "p", name="fc"), node("Add", order, "y")])
    assert "%1 = aten.linear(%0, @w, @b): f32[1,2,4]\nreturn %1" in text


def test_matmul_alone_is_a_layer() -> None:
    assert "aten.linear(%0, @w)" in _text([node("MatMul", "x w", "y")])


def test_gemm_of_either_orientation_is_a_layer() -> None:
    assert "aten.linear(%0, @w, @b)" in _text([node("Gemm", "x w b", "y")], (2, 3))


@pytest.mark.parametrize(
    "nodes",
    [
        [node("MatMul", "x w", "p"), node("Add", "p p", "q"), node("Sub", "q p", "y")],
        [node("MatMul", "x w", "p"), node("Add", "p b", "q"), node("Identity", "q", "y")],
    ],
)
def test_results_that_others_read_stay(nodes: list[onnx.NodeProto]) -> None:
    assert "aten.linear(%0, @w" in _text(nodes)


def test_a_matrix_that_others_read_is_not_transposed() -> None:
    nodes = [
        node("MatMul", "x w", "p"),
        node("ReduceSum", "w", "s", keepdims=0),
        node("Sub", "s s", "nothing"),
        node("Add", "p nothing", "y"),
    ]
    assert "aten.matmul(%0, @w)" in _text(nodes)


def test_weights_of_exported_layers_get_their_names_back(tmp_path: Path) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2, bias=False))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.layers(x)
            return y

    net, file = Net().eval(), tmp_path / "net.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net, (X,), file, dynamo=False)
    program = penjing.trace(file)
    assert {n: w.shape for n, w in program.weights.items()} == {
        name: weight.shape for name, weight in net.state_dict().items()
    }
    torch.testing.assert_close(program.run(X), net(X))


@pytest.mark.parametrize(
    ("node_name", "path"),
    [
        ("/encoder/layer.0/fc/MatMul", "encoder.layer.0.fc.MatMul"),
        ("/layer1/layer1.0/conv1/Conv", "layer1.0.conv1.Conv"),
        ("/Conv", "Conv"),
        ("Conv_3", "Conv_3"),
        ("a/b/Conv", "a/b/Conv"),
    ],
)
def test_names_of_nodes_as_those_of_modules(node_name: str, path: str) -> None:
    assert dotted(node_name) == path
