"""Operators on rows of features against onnxruntime and the node tests of the onnx package."""

from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

import penjing
from penjing import CompileError
from penjing.compiler.onnx_import.call import Call, Value
from penjing.compiler.onnx_import.registry import translation

from .graphs import model_of
from .node_cases import NodeCase, parametrize, run_case

ML = "ai.onnx.ml"
ROWS = torch.tensor([[1.0, -2.0, 0.5], [0.0, 0.0, 0.0], [3.0, 4.0, -1.0]])


def check(op: str, outputs: str = "y", weights: dict[str, Any] | None = None, **way: Any) -> None:
    """The program of a node on ROWS gives what onnxruntime gives."""
    names = outputs.split()
    node = helper.make_node(op, ["x", *(weights or {})], names, domain=ML, **way)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(ML, 1)]
    model = model_of([node], {"x": [3, 3]}, names, weights, opset_imports=opsets, ir_version=8)
    for value in model.graph.output:
        is_label = value.name == "label"
        value.type.tensor_type.elem_type = TensorProto.INT64 if is_label else TensorProto.FLOAT
    session = onnxruntime.InferenceSession(model.SerializeToString())
    wanted = session.run(None, {"x": ROWS.numpy()})
    got = penjing.trace(model, (ROWS,)).run(ROWS)
    results = [got] if isinstance(got, torch.Tensor) else got
    for one, other in zip(results, wanted, strict=True):
        torch.testing.assert_close(one, torch.from_numpy(other), rtol=1e-5, atol=1e-6)


@parametrize("TfIdfVectorizer")
def test_counted_sequences(case: NodeCase) -> None:
    run_case(case)


def test_features() -> None:
    check("ArrayFeatureExtractor", weights={"places": np.array([2, 0])})
    check("Binarizer", threshold=0.25)
    check("Scaler", offset=[0.5, 0.0, -1.0], scale=[2.0, 1.0, 0.5])


@pytest.mark.parametrize("norm", ["MAX", "L1", "L2"])
def test_normalized_rows(norm: str) -> None:
    check("Normalizer", norm=norm)


@pytest.mark.parametrize("post_transform", ["NONE", "LOGISTIC", "SOFTMAX"])
def test_linear_models(post_transform: str) -> None:
    way: dict[str, Any] = {
        "coefficients": [1.0, 2.0, 3.0, -1.0, 0.5, 0.25, 0.0, 1.0, -2.0],
        "intercepts": [0.1, 0.2, 0.3],
        "post_transform": post_transform,
    }
    check("LinearRegressor", targets=3, **way)
    check("LinearClassifier", "label scores", classlabels_ints=[7, 8, 9], **way)


def test_labels_that_are_strings_are_refused() -> None:
    function = translation(ML, "LinearClassifier")
    assert function is not None
    way = {"coefficients": [1.0] * 6, "classlabels_strings": ["a", "b"]}
    with pytest.raises(CompileError, match="labels that are strings"):
        function(Call("LinearClassifier", "labels", 1, [Value("x", ROWS)], way, domain=ML))
