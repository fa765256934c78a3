"""GELU and layer norm that old ONNX files spell out, as the functions they are."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import NodeProto, TensorProto, helper, numpy_helper
from torch import nn

import penjing
from penjing.compiler.onnx_import.join_functions import join_functions


class Block(nn.Module):
    """What a transformer has between its attentions."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.wide, self.narrow = nn.LayerNorm(8), nn.Linear(8, 16), nn.Linear(16, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        added: torch.Tensor = self.narrow(nn.functional.gelu(self.wide(self.norm(x))))
        return x + added


def test_exported_functions_are_found(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, x, path = Block().eval(), torch.randn(2, 5, 8), tmp_path / "block.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, (x,), path, dynamo=False, opset_version=14)
    program = penjing.trace(path)
    calls = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    assert calls == [
        f"aten.{name}" for name in ("layer_norm.default", "linear.default", "gelu.default")
    ] + ["aten.linear.default", "aten.add.Tensor"]
    torch.testing.assert_close(program.run(x), model(x))


class Gated(nn.Module):
    """What newer transformers have."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.gelu(x, approximate="tanh")
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6))


@pytest.mark.parametrize("dynamo", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_functions_of_both_exporters_are_found(tmp_path: Path, dynamo: bool) -> None:
    model, x, path = Gated().eval(), torch.randn(2, 5, 8), tmp_path / "gated.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, (x,), path, dynamo=dynamo, opset_version=18)
    program = penjing.trace(path)
    gelu, norm = [node for node in program.graph.nodes if node.op == "call_function"]
    assert gelu.kwargs == {"approximate": "tanh"}
    assert str(norm.target) == "aten.rms_norm.default"
    torch.testing.assert_close(program.run(x), model(x))


def constant(name: str, value: float) -> TensorProto:
    return numpy_helper.from_array(np.array(value, np.float32), name)


WEIGHTS = [constant("root", 2**0.5), constant("one", 1), constant("half", 0.5), constant("two", 2)]
CDF = [
    helper.make_node("Div", ["x", "root"], ["scaled"]),
    helper.make_node("Erf", ["scaled"], ["erf"]),
    helper.make_node("Add", ["erf", "one"], ["raised"]),
]


def joined_types(nodes: list[NodeProto], outputs: list[str]) -> list[str]:
    return [node.op_type for node in join_functions(nodes, outputs, WEIGHTS)[len(CDF) :]]


def mul(*names: str) -> NodeProto:
    return helper.make_node("Mul", list(names[:-1]), [names[-1]])


@pytest.mark.parametrize(
    "last",
    [
        [mul("x", "raised", "a"), mul("a", "half", "y")],
        [mul("raised", "half", "a"), mul("a", "x", "y")],
        [mul("half", "x", "a"), mul("a", "raised", "y")],
    ],
)
def test_factors_of_gelu_stand_in_any_order(last: list[NodeProto]) -> None:
    assert joined_types([*CDF, *last], ["y"]) == ["Mul", "Gelu"]
    assert joined_types([*CDF, *last], ["y", "raised"]) == ["Mul", "Mul"]


@pytest.mark.parametrize(
    "last",
    [
        [mul("x", "raised", "a"), mul("a", "two", "y")],
        [mul("z", "raised", "a"), mul("a", "half", "y")],
        [mul("half", "z", "a"), mul("a", "raised", "y")],
        [mul("raised", "raised", "a"), mul("a", "half", "y")],
    ],
)
def test_what_is_no_gelu_stays(last: list[NodeProto]) -> None:
    assert joined_types([*CDF, *last], ["y"]) == ["Mul", "Mul"]


def layer_norm(**changes: str) -> list[NodeProto]:
    names = {"centered": "centered", "eps": "one", "weight": "weight", **changes}
    return [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[-1]),
        helper.make_node("Sub", ["x", "mean"], ["centered"]),
        helper.make_node("Pow", [names["centered"], "two"], ["squares"]),
        helper.make_node("ReduceMean", ["squares"], ["variance"], axes=[-1]),
        helper.make_node("Add", ["variance", names["eps"]], ["raised"]),
        helper.make_node("Sqrt", ["raised"], ["root_of"]),
        helper.make_node("Div", ["centered", "root_of"], ["normal"]),
        helper.make_node("Mul", ["normal", names["weight"]], ["scaled"]),
        helper.make_node("Add", ["scaled", "bias"], ["y"]),
    ]


VECTORS = [numpy_helper.from_array(np.ones(8, np.float32), name) for name in ("weight", "bias")]


def test_layer_norm_is_found() -> None:
    *_, last = join_functions(layer_norm(), ["y"], [*WEIGHTS, *VECTORS])
    assert last.op_type == "LayerNormalization"
    assert list(last.input) == ["x", "weight", "bias"]


def test_copies_of_weights_are_weights() -> None:
    """Exporters write copies of equal weights as nodes."""
    copy = helper.make_node("Identity", ["weight"], ["copy"])
    *_, last = join_functions([copy, *layer_norm(weight="copy")], ["y"], [*WEIGHTS, *VECTORS])
    assert list(last.input) == ["x", "copy", "bias"]


@pytest.mark.parametrize("change", [{"centered": "x"}, {"eps": "z"}, {"weight": "z"}])
def test_what_is_no_layer_norm_stays(change: dict[str, str]) -> None:
    nodes = layer_norm(**change)
    assert join_functions(nodes, ["y"], [*WEIGHTS, *VECTORS]) == nodes
