"""Sequences and optionals at the edges of a model, and inside of it."""

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

import penjing
from penjing import CompileError
from penjing.compiler.onnx_import.importer import import_onnx

from .graphs import model_of, node

X = torch.arange(6.0).reshape(2, 3)


def _with_input(model: onnx.ModelProto, kind: str) -> onnx.ModelProto:
    """The model with an input `s` that is a sequence or optional of tensors."""
    tensor = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    make = {
        "sequence": helper.make_sequence_type_proto,
        "optional": helper.make_optional_type_proto,
    }
    model.graph.input.append(helper.make_value_info("s", make[kind](tensor)))
    return model


def test_a_sequence_goes_in_and_comes_out() -> None:
    nodes = [node("SequenceInsert", "s x", "more"), node("ConcatFromSequence", "s", "all", axis=0)]
    model = _with_input(model_of(nodes, {"x": [2, 3]}, ["more", "all"]), "sequence")
    program = penjing.trace(model, (X, [X + 1, X + 2]))
    assert program.input_names == ("x", "s_0", "s_1")
    assert program.output_names == ("more_0", "more_1", "more_2", "all")
    more, joined = program.run(X, [X + 1, X + 2])
    assert [float(item[0, 0]) for item in more] == [1, 2, 0] and joined.shape == (4, 3)


def test_sequences_need_an_example() -> None:
    model = _with_input(model_of([node("SequenceAt", "s i", "y")], {}, ["y"]), "sequence")
    with pytest.raises(CompileError, match="an input is a sequence, so an example is needed"):
        import_onnx(model, None, None)


@pytest.mark.parametrize("example", [X, None])
def test_optionals_are_there_or_not(example: torch.Tensor | None) -> None:
    full = helper.make_graph(
        [node("OptionalGetElement", "s", "a")],
        "full",
        [],
        [helper.make_empty_tensor_value_info("a")],
    )
    empty = helper.make_graph(
        [node("Neg", "x", "b")], "empty", [], [helper.make_empty_tensor_value_info("b")]
    )
    nodes = [
        node("OptionalHasElement", "s", "has"),
        node("If", "has", "y", then_branch=full, else_branch=empty),
    ]
    model = _with_input(model_of(nodes, {"x": [2, 3]}, ["y"]), "optional")
    program = penjing.trace(model, {"x": X, "s": example})
    expected = -X if example is None else example
    inputs = (X,) if example is None else (X, example)
    torch.testing.assert_close(program.run_flat(*inputs)[0], expected)


def test_parts_are_split_and_joined() -> None:
    nodes = [
        node("SplitToSequence", "x sizes", "parts", axis=1),
        node("SequenceErase", "parts first", "rest"),
        node("SequenceConstruct", "x x", "pair"),
        node("SequenceAt", "pair last", "again"),
        node("SequenceLength", "rest", "count"),
        node("ConcatFromSequence", "rest", "joined", axis=1),
        node("Concat", "joined again", "y", axis=1),
    ]
    weights = {"sizes": np.array([1, 2]), "first": np.int64(0), "last": np.int64(-1)}
    program = penjing.trace(model_of(nodes, {"x": [2, 3]}, ["y", "count"], weights))
    y, count = program.run(X)
    torch.testing.assert_close(y, torch.cat([X[:, 1:], X], 1))
    assert count.tolist() == 1


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (node("SequenceAt", "pair nine", "y"), "position 9 of 2"),
        (node("SequenceErase", "pair nine", "y"), "position 9 of 2"),
        (node("SequenceInsert", "pair x nine", "y"), "position 9 of 2"),
        (node("SequenceAt", "x nine", "y"), "input"),
        (node("SplitToSequence", "x nine", "y", axis=5), "axis 5 of 2"),
        (node("SplitToSequence", "x parts", "y"), "parts of [4, 4] for 2"),
        (node("OptionalGetElement", "nothing", "y"), "is empty"),
    ],
)
def test_what_a_sequence_does_not_hold_is_refused(wrong: onnx.NodeProto, reason: str) -> None:
    empty = node("Optional", "", "nothing", type=helper.make_tensor_type_proto(1, None))
    nodes = [node("SequenceConstruct", "x x", "pair"), empty, wrong]
    weights = {"nine": np.int64(9), "parts": np.array([4, 4])}
    with pytest.raises(CompileError, match=f"operator {wrong.op_type}") as caught:
        import_onnx(model_of(nodes, {"x": [2, 3]}, ["y"], weights), None, None)
    assert reason in caught.value.got
