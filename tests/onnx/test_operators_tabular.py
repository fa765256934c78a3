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


def check(
    op: str,
    way: dict[str, Any],
    outputs: str = "y",
    weights: dict[str, Any] | None = None,
    rows: torch.Tensor = ROWS,
) -> None:
    """The program of a node with the attributes `way` gives what onnxruntime gives."""
    names = outputs.split()
    node = helper.make_node(op, ["x", *(weights or {})], names, domain=ML, **way)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(ML, 1)]
    model = model_of([node], {"x": [3, 3]}, names, weights, opset_imports=opsets, ir_version=8)
    for value in model.graph.output:
        is_label = value.name == "label"
        value.type.tensor_type.elem_type = TensorProto.INT64 if is_label else TensorProto.FLOAT
    session = onnxruntime.InferenceSession(model.SerializeToString())
    wanted = session.run(None, {"x": rows.numpy()})
    got = penjing.trace(model, (rows,)).run(rows)
    results = [got] if isinstance(got, torch.Tensor) else got
    for one, other in zip(results, wanted, strict=True):
        torch.testing.assert_close(one, torch.from_numpy(other), rtol=1e-5, atol=1e-6)


@parametrize("TfIdfVectorizer")
def test_counted_sequences(case: NodeCase) -> None:
    run_case(case)


def test_features() -> None:
    check("ArrayFeatureExtractor", {}, weights={"places": np.array([2, 0])})
    check("Binarizer", {"threshold": 0.25})
    check("Scaler", {"offset": [0.5, 0.0, -1.0], "scale": [2.0, 1.0, 0.5]})


@pytest.mark.parametrize("norm", ["MAX", "L1", "L2"])
def test_normalized_rows(norm: str) -> None:
    check("Normalizer", {"norm": norm})


@pytest.mark.parametrize("post_transform", ["NONE", "LOGISTIC", "SOFTMAX"])
def test_linear_models(post_transform: str) -> None:
    way: dict[str, Any] = {
        "coefficients": [1.0, 2.0, 3.0, -1.0, 0.5, 0.25, 0.0, 1.0, -2.0],
        "intercepts": [0.1, 0.2, 0.3],
        "post_transform": post_transform,
    }
    check("LinearRegressor", {"targets": 3, **way})
    check("LinearClassifier", {"classlabels_ints": [7, 8, 9], **way}, "label scores")


def test_labels_that_are_strings_are_refused() -> None:
    function = translation(ML, "LinearClassifier")
    assert function is not None
    way = {"coefficients": [1.0] * 6, "classlabels_strings": ["a", "b"]}
    with pytest.raises(CompileError, match="labels that are strings"):
        function(Call("LinearClassifier", "labels", 1, [Value("x", ROWS)], way, domain=ML))


# Two trees: x0 <= 0.5 ? leaf : (x2 <= 0 ? leaf : leaf), and x1 <= -1 ? leaf : leaf.
TREES: dict[str, Any] = {
    "nodes_treeids": [0, 0, 0, 0, 0, 1, 1, 1],
    "nodes_nodeids": [0, 1, 2, 3, 4, 0, 1, 2],
    "nodes_featureids": [0, 0, 2, 0, 0, 1, 0, 0],
    "nodes_values": [0.5, 0.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0],
    "nodes_truenodeids": [1, 0, 3, 0, 0, 1, 0, 0],
    "nodes_falsenodeids": [2, 0, 4, 0, 0, 2, 0, 0],
    "nodes_missing_value_tracks_true": [0, 0, 0, 0, 0, 1, 0, 0],
}
VOTES: dict[str, list[Any]] = {
    "treeids": [0, 0, 0, 0, 1, 1],
    "nodeids": [1, 3, 3, 4, 1, 2],
    "ids": [0, 1, 0, 2, 1, 2],
    "weights": [0.5, 1.0, 2.0, -1.0, 0.25, 3.0],
}


@pytest.mark.parametrize("aggregate", ["SUM", "AVERAGE"])
@pytest.mark.parametrize("mode", ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GT"])
def test_trees(mode: str, aggregate: str) -> None:
    leaf = "LEAF"
    way = {**TREES, "nodes_modes": [mode, leaf, mode, leaf, leaf, mode, leaf, leaf]}
    targets = {f"target_{name}": values[:2] + values[3:] for name, values in VOTES.items()}
    targets["target_ids"] = [0] * 5
    more = {"aggregate_function": aggregate, "base_values": [0.5], "n_targets": 1}
    for rows in (ROWS, torch.where(ROWS == 0, torch.nan, ROWS)):
        check("TreeEnsembleRegressor", {**way, **targets, **more}, rows=rows)
    classes = {f"class_{name}": values for name, values in VOTES.items()}
    labels = {"classlabels_int64s": [7, 8, 9], "post_transform": "SOFTMAX"}
    check("TreeEnsembleClassifier", {**way, **classes, **labels}, "label scores")
    twice = {**way, **targets, **more, "target_nodeids": [1, 1, 4, 1, 2]}
    with pytest.raises(CompileError, match="votes twice"):
        check("TreeEnsembleRegressor", twice)
