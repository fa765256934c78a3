"""If, Loop and Scan are followed and unrolled; what cannot be is refused with the node."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import NodeProto, TensorProto, helper, numpy_helper

import penjing
from penjing import CompileError, Program

from .graphs import model_of, node

X = np.array([[1.0, -2.0, 3.0]], np.float32)


def _graph(
    nodes: list[NodeProto], inputs: str, outputs: str, weights: dict[str, Any] | None = None
) -> onnx.GraphProto:
    return helper.make_graph(
        nodes,
        "body",
        [_declared(name) for name in inputs.split()],
        [helper.make_empty_tensor_value_info(name) for name in outputs.split()],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in (weights or {}).items()],
    )


def _declared(name: str) -> onnx.ValueInfoProto:
    """The input of a body, which onnxruntime wants to know the type of."""
    if name == "i":
        return helper.make_tensor_value_info(name, TensorProto.INT64, [])
    if name.startswith("go"):
        return helper.make_tensor_value_info(name, TensorProto.BOOL, [])
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, None)


def _calls(program: Program) -> list[str]:
    return [str(n.target) for n in program.graph.nodes if n.op == "call_function"]


def _same_as_onnxruntime(model: onnx.ModelProto, x: np.ndarray = X) -> Program:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    expected = session.run(None, {session.get_inputs()[0].name: x})
    program = penjing.trace(model)
    got = program.run_flat(torch.from_numpy(x))
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_allclose(one.detach().numpy(), other, rtol=1e-6)
    return program


def _if(condition: list[NodeProto], weights: dict[str, Any]) -> onnx.ModelProto:
    then = _graph([node("Add", "x one", "a")], "", "a")
    other = _graph([node("Abs", "x", "b")], "", "b")
    choice = node("If", "c", "y", name="choice", then_branch=then, else_branch=other)
    model = model_of([*condition, choice], {"x": [1, 3]}, [], {"one": np.float32(1), **weights})
    model.graph.output.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3]))
    return model


@pytest.mark.parametrize("truth", [True, False])
def test_a_known_condition_leaves_one_branch(truth: bool) -> None:
    program = _same_as_onnxruntime(_if([], {"c": np.array([truth])}))
    assert _calls(program) == ["aten.add.Tensor" if truth else "aten.abs.default"]


def test_a_condition_on_shapes_is_known() -> None:
    condition = [node("Size", "x", "size"), node("Greater", "size two", "c")]
    program = _same_as_onnxruntime(_if(condition, {"two": np.int64(2)}))
    assert _calls(program) == ["aten.add.Tensor"]


@pytest.mark.parametrize("sign", [1, -1])
def test_a_condition_on_inputs_chooses_between_both(sign: int) -> None:
    condition = [
        node("ReduceSum", "x", "s", keepdims=0),
        node("Greater", "s zero", "c"),
    ]
    model = _if(condition, {"zero": np.float32(0)})
    program = _same_as_onnxruntime(model, sign * X)
    assert "aten.where.self" in _calls(program)


def test_a_branch_that_may_not_be_taken_must_not_read_at_unknown_places() -> None:
    then = _graph([node("Gather", "x i", "a", axis=1, name="look")], "", "a")
    other = _graph([node("Abs", "x", "b")], "", "b")
    nodes = [
        node("Cast", "x", "n", to=TensorProto.INT64),
        node("Squeeze", "n", "i"),
        node("ReduceSum", "x", "s", keepdims=0),
        node("Cast", "s", "c", to=TensorProto.BOOL),
        node("If", "c", "y", then_branch=then, else_branch=other),
    ]
    with pytest.raises(CompileError, match="cannot import the operator If") as caught:
        penjing.trace(model_of(nodes, {"x": [1, 3]}, ["y"]))
    assert "look (Gather)" in caught.value.got


def test_branches_of_different_shapes_are_refused() -> None:
    model = _if(
        [node("ReduceSum", "x", "s", keepdims=0), node("Cast", "s", "c", to=TensorProto.BOOL)], {}
    )
    branch = model.graph.node[-1].attribute[0].g
    branch.node.append(node("ReduceSum", branch.output[0].name, "scalar", keepdims=0))
    branch.output[0].name = "scalar"
    with pytest.raises(CompileError) as caught:
        penjing.trace(model)
    assert "float32[1, 3]" in caught.value.got and "float32[]" in caught.value.got


def _loop(body: onnx.GraphProto, outputs: list[str], **weights: object) -> onnx.ModelProto:
    loop = node("Loop", "n go x", " ".join(outputs), name="loop", body=body)
    numbers = {"n": np.int64(3), "go": np.array(True), **weights}
    model = model_of([loop], {"x": [1, 3]}, [], numbers)
    for name in outputs:
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    return model


WEIGHT = np.linspace(-1, 1, 9, dtype=np.float32).reshape(3, 3)


def test_a_loop_is_unrolled_and_its_weights_are_shared() -> None:
    nodes = [
        node("MatMul", "state w", "product"),
        node("Cast", "i", "f", to=TensorProto.FLOAT),
        node("Add", "product f", "next"),
        node("Identity", "go_in", "go_out"),
        node("Neg", "next", "row"),
    ]
    body = _graph(nodes, "i go_in state", "go_out next row", {"w": WEIGHT})
    program = _same_as_onnxruntime(_loop(body, ["last", "rows"]))
    assert [name for name, w in program.weights.items() if w.shape == (3, 3)] == ["w"]
    assert program.outputs[1].shape == (3, 1, 3)


def test_a_loop_ends_when_its_condition_does() -> None:
    nodes = [
        node("Add", "state state", "next"),
        node("Less", "i one", "go_out"),
    ]
    body = _graph(nodes, "i go_in state", "go_out next", {"one": np.int64(1)})
    assert len(_calls(_same_as_onnxruntime(_loop(body, ["last"])))) == 2


@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0])
def test_a_condition_on_inputs_lets_iterations_count_or_not(scale: float) -> None:
    nodes = [
        node("Add", "state state", "next"),
        node("ReduceMax", "next", "top", keepdims=0),
        node("Less", "top limit", "go_out"),
    ]
    body = _graph(nodes, "i go_in state", "go_out next", {"limit": np.float32(5)})
    _same_as_onnxruntime(_loop(body, ["last"]), np.float32(scale) * X)


def test_a_loop_without_iterations_gives_what_it_got() -> None:
    body = _graph([node("Neg", "state", "next")], "i go state", "go next")
    program = penjing.trace(_loop(body, ["last"], n=np.int64(0)))
    assert _calls(program) == [] or _calls(program) == ["aten.clone.default"]


def test_a_trip_count_that_depends_on_inputs_is_refused() -> None:
    body = _graph([node("Neg", "state", "next")], "i go state", "go next")
    model = _loop(body, ["last"])
    del model.graph.initializer[0]
    model.graph.node.insert(0, node("ReduceSum", "x", "f", keepdims=0))
    model.graph.node.insert(1, node("Cast", "f", "n", to=TensorProto.INT64))
    with pytest.raises(CompileError, match="operator Loop") as caught:
        penjing.trace(model)
    assert "the number of iterations, n, depends on the inputs" in caught.value.got


@pytest.mark.parametrize("nodes", [[], [node("Neg", "state", "next")]])
def test_endless_loops_end_in_an_error(
    nodes: list[NodeProto], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penjing.compiler.onnx_import.resolve.MAX_VISITS", 100)
    body = _graph(nodes, "i go state", "go next" if nodes else "go state")
    with pytest.raises(CompileError, match="unrolls to more than") as caught:
        penjing.trace(_loop(body, ["last"], n=np.int64(2**62)))
    assert "loop" in caught.value.at


@pytest.mark.parametrize("direction", [0, 1])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_scan_is_unrolled(direction: int, axis: int) -> None:
    nodes = [node("Add", "state row", "next"), node("Mul", "next row", "out")]
    body = _graph(nodes, "state row", "next out")
    scan = node(
        "Scan",
        "start x",
        "last rows",
        body=body,
        num_scan_inputs=1,
        scan_input_axes=[axis],
        scan_output_axes=[axis],
        scan_input_directions=[direction],
        scan_output_directions=[direction],
    )
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    start = np.zeros(4 if axis == 0 else 3, np.float32)
    model = model_of([scan], {"x": [3, 4]}, [], {"start": start})
    for name in ("last", "rows"):
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    _same_as_onnxruntime(model, x)


def test_names_inside_of_loops_tell_the_iteration() -> None:
    body = _graph([node("Neg", "state", "next", name="negate")], "i go state", "go next")
    program = penjing.trace(_loop(body, ["last"]))
    paths = [n.meta["origin"].module_path for n in program.graph.nodes if n.op == "call_function"]
    assert paths == ["loop/0/negate", "loop/1/negate", "loop/2/negate"]


def test_functions_of_the_model_are_called() -> None:
    body = [node("Mul", "a k", "s"), node("Add", "s a", "r")]
    constant = helper.make_node("Constant", [], ["k"])
    constant.attribute.append(onnx.AttributeProto(name="value_float", ref_attr_name="factor"))
    constant.attribute[0].type = onnx.AttributeProto.FLOAT
    opset = helper.make_opsetid("", 18)
    function = helper.make_function("own", "Scaled", ["a"], ["r"], [constant, *body], [opset])
    function.attribute_proto.append(helper.make_attribute("factor", 3.0))
    calls = [
        node("Scaled", "x", "h", domain="own", name="first"),
        node("Scaled", "h", "y", domain="own", name="second", factor=1.0),
    ]
    model = model_of(
        calls,
        {"x": [1, 3]},
        ["y"],
        functions=[function],
        opset_imports=[opset, helper.make_opsetid("own", 1)],
    )
    program = penjing.trace(model)
    np.testing.assert_allclose(program.run(torch.from_numpy(X)), 8 * X)
    paths = [n.meta["origin"].module_path for n in program.graph.nodes if n.op == "call_function"]
    assert paths[0] == "first/Mul_1"


def test_functions_that_call_themselves_are_refused() -> None:
    opset = helper.make_opsetid("", 18)
    own = helper.make_opsetid("own", 1)
    body = [node("Endless", "a", "r", domain="own")]
    function = helper.make_function("own", "Endless", ["a"], ["r"], body, [opset, own])
    model = model_of(
        [node("Endless", "x", "y", domain="own")],
        {"x": [1]},
        ["y"],
        functions=[function],
        opset_imports=[opset, own],
    )
    with pytest.raises(CompileError, match="nested more than"):
        penjing.trace(model)


def test_integers_are_not_divided_where_the_model_would_not() -> None:
    then = _graph([node("Div", "n n", "a", name="divide")], "", "a")
    other = _graph([node("Abs", "n", "b")], "", "b")
    nodes = [
        node("Cast", "x", "n", to=TensorProto.INT64),
        node("ReduceSum", "x", "s", keepdims=0),
        node("Cast", "s", "c", to=TensorProto.BOOL),
        node("If", "c", "y", then_branch=then, else_branch=other),
    ]
    with pytest.raises(CompileError, match="operator If") as caught:
        penjing.trace(model_of(nodes, {"x": [1, 3]}, ["y"]))
    assert "divide (Div)" in caught.value.got


def test_functions_that_call_each_other_too_often_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Forty functions, each of which calls the next one twice, are a few kilobytes."""
    monkeypatch.setattr("penjing.compiler.onnx_import.resolve.MAX_VISITS", 200)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    functions = [
        helper.make_function(
            "own",
            f"F{i}",
            ["a"],
            ["r"],
            [
                node(f"F{i + 1}", "a", "b", domain="own"),
                node(f"F{i + 1}", "b", "r", domain="own"),
            ],
            opsets,
        )
        for i in range(30)
    ]
    functions.append(
        helper.make_function("own", "F30", ["a"], ["r"], [node("Neg", "a", "r")], opsets)
    )
    model = model_of(
        [node("F0", "x", "y", domain="own")],
        {"x": [1]},
        ["y"],
        functions=functions,
        opset_imports=opsets,
    )
    with pytest.raises(CompileError, match="unrolls to more than"):
        penjing.trace(model)
