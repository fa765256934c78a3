"""Products that onnxruntime quantizes when a model runs: layers of integers, and its results."""

import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import NodeProto, TensorProto, helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import nn

import penjing
from penjing.compiler.onnx_import.dynamic_products import JOINED, join_dynamic_products
from penjing.passes import Canonicalize, FoldDynamicQuantization


@pytest.mark.parametrize("per_channel", [False, True])
def test_layers_multiply_integers(tmp_path: Path, per_channel: bool) -> None:
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 8)), torch.randn(2, 5, 16)
    real, path = tmp_path / "real.onnx", tmp_path / "quantized.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model.eval(), (x,), real, dynamo=False, input_names=["x"])
    quantize_dynamic(real, path, weight_type=QuantType.QInt8, per_channel=per_channel)
    program = penjing.trace(path)
    folded = penjing.optimize(program, [Canonicalize(), FoldDynamicQuantization()])
    targets = [str(node.target) for node in folded.graph.nodes]
    assert targets.count("penjing.linear_int8_rows.default") == 2
    session = onnxruntime.InferenceSession(path)
    (expected,) = session.run(None, {"x": x.numpy()})
    for found in (program, folded):
        np.testing.assert_allclose(found.run(x)[0].detach().numpy(), expected[0], atol=1e-5)


def product(**changes: str) -> list[NodeProto]:
    """The nodes of one product, as onnxruntime's quantizer writes them."""
    names = {"zero": "zero", "cast": "wide", "scales": "scales", **changes}
    return [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["integers", "step", "zero"]),
        helper.make_node("Mul", ["step", "weight_scale"], ["scales"]),
        helper.make_node("MatMulInteger", ["integers", "weight", names["zero"], "z"], ["sums"]),
        helper.make_node("Cast", ["sums"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [names["cast"], names["scales"]], ["y"]),
    ]


def test_a_product_becomes_one_node() -> None:
    (joined,) = [n for n in join_dynamic_products(product(), ["y"]) if n.output[0] == "y"]
    assert (joined.op_type, joined.domain) == (JOINED, "com.microsoft")
    assert list(joined.input) == ["x", "weight", "weight_scale", "z"]


@pytest.mark.parametrize(
    ("nodes", "outputs"),
    [
        (product(zero="other"), ["y"]),
        (product(scales="other"), ["y"]),
        (product(), ["y", "sums"]),
        (product(), ["y", "wide"]),
        ([*product(), helper.make_node("Neg", ["wide"], ["again"])], ["y", "again"]),
    ],
)
def test_other_products_stay(nodes: list[NodeProto], outputs: list[str]) -> None:
    assert join_dynamic_products(nodes, outputs) == nodes


def test_nodes_of_onnxruntime_are_joined_too() -> None:
    quantize, *_ = product()
    inputs = ["integers", "weight", "step", "weight_scale", "zero", "z", "bias"]
    node = helper.make_node("MatMulIntegerToFloat", inputs, ["y"], domain="com.microsoft")
    _, joined = join_dynamic_products([quantize, node], ["y"])
    assert joined.op_type == JOINED
    assert list(joined.input) == ["x", "weight", "weight_scale", "z", "bias"]
