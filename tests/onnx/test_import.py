"""ONNX models become programs: names, weights, sizes, what is known."""

from pathlib import Path

import numpy as np
import onnx
import onnx_graphsurgeon
import pytest
import torch
from onnx import TensorProto, helper

import penjing
from penjing import CompileError
from penjing.compiler.ir.program import origin_of
from penjing.compiler.onnx_import import registry

from .graphs import model_of, node

BIAS = np.array([-1.0, 0.0, 1.0], np.float32)


def _biased(*shape: int | str | None) -> onnx.ModelProto:
    add = node("Add", "x layer1.0.bias", "sum", name="/layer1/layer1.0/Add")
    return model_of([add, node("Abs", "sum", "y")], {"x": shape}, ["y"], {"layer1.0.bias": BIAS})


def test_names_of_nodes_and_weights_survive() -> None:
    program = penjing.trace(_biased(2, 3))
    calls = [node for node in program.graph.nodes if node.op == "call_function"]
    assert list(program.weights) == ["layer1.0.bias"]
    assert isinstance(program.weights["layer1.0.bias"], torch.nn.Parameter)
    assert [str(origin_of(call)) for call in calls] == ["layer1.0.Add (Add)", "Abs_1 (Abs)"]
    assert program.input_names == ("x",) and program.output_names == ("y",)
    torch.testing.assert_close(program.run(torch.zeros(2, 3)), torch.tensor([[1.0, 0.0, 1.0]] * 2))


def test_files_graphs_and_models_are_read(tmp_path: Path) -> None:
    model = _biased(1, 3)
    onnx.save(model, tmp_path / "model.onnx")
    expected = str(penjing.trace(model))
    assert str(penjing.trace(tmp_path / "model.onnx")) == expected
    assert str(penjing.trace(str(tmp_path / "model.onnx"))) == expected
    assert str(penjing.trace(onnx_graphsurgeon.import_onnx(model))) == expected


def test_a_file_is_compiled(tmp_path: Path) -> None:
    onnx.save(_biased("batch", 3), tmp_path / "model.onnx")
    artifact = penjing.compile(tmp_path / "model.onnx", target="host", shapes={"batch": 2})
    (result,) = artifact.run(torch.zeros(2, 3))
    np.testing.assert_array_equal(result, [[1, 0, 1]] * 2)


@pytest.mark.parametrize("given", [torch.ones(2, 3), (np.ones((2, 3), np.float32),)])
def test_examples_fix_open_sizes(given: object) -> None:
    assert penjing.trace(_biased("batch", 3), given).inputs[0].shape == (2, 3)
    assert penjing.trace(_biased(None, None), given).inputs[0].shape == (2, 3)


def test_sizes_are_fixed_by_shape_or_name() -> None:
    assert penjing.trace(_biased("n", 3), shapes={"n": 4}).inputs[0].shape == (4, 3)
    assert penjing.trace(_biased("n", 3), shapes={"x": (4, 3)}).inputs[0].shape == (4, 3)


def test_a_size_given_once_holds_everywhere() -> None:
    model = model_of([node("Add", "a b", "y")], {"a": ["n", 2], "b": ["n", 2]}, ["y"])
    assert [x.shape for x in penjing.trace(model, shapes={"a": (5, 2)}).inputs] == [(5, 2)] * 2
    with pytest.raises(CompileError, match="dimension n has one size"):
        penjing.trace(model, (torch.ones(5, 2), torch.ones(1, 2)))


def test_open_sizes_are_named_with_a_fix() -> None:
    with pytest.raises(CompileError) as caught:
        penjing.trace(_biased("batch", 3))
    assert "x: float[batch, 3]" in caught.value.got
    assert "shapes={'batch': 1}" in caught.value.fix and "--shape 'batch=1'" in caught.value.fix
    with pytest.raises(CompileError) as caught:
        penjing.trace(_biased(None, 3))
    assert "x: float[?, 3]" in caught.value.got
    assert "shapes={'x': (1, 3)}" in caught.value.fix and "--shape 'x=1x3'" in caught.value.fix


@pytest.mark.parametrize(
    ("examples", "shapes", "message"),
    [
        (torch.ones(2, 4), None, "a shape is not one that the model declares"),
        (torch.ones(2, 3, dtype=torch.float64), None, "another type than the model declares"),
        ((torch.ones(2, 3), torch.ones(1)), None, "the model has 1 inputs"),
        ({"z": torch.ones(2, 3)}, None, "no input 'z'"),
        (None, {"z": 3}, "no input 'z'"),
        (None, {"x": 3}, "a shape is not one that the model declares"),
        (None, {"x": (3,)}, "a shape is not one that the model declares"),
        (None, {"x": (-1, 3)}, "sizes are numbers from 0"),
        (None, {"n": 1 << 40}, "larger than 2 GiB"),
    ],
)
def test_wrong_examples_and_shapes_are_refused(
    examples: object, shapes: dict[str, int] | None, message: str
) -> None:
    with pytest.raises(CompileError, match=message):
        penjing.trace(_biased("n", 3), examples, shapes=shapes)


def test_inputs_that_are_weights_are_weights() -> None:
    model = _biased(1, 3)
    model.graph.input.append(helper.make_tensor_value_info("layer1.0.bias", TensorProto.FLOAT, [3]))
    assert penjing.trace(model).input_names == ("x",)


def test_names_that_python_and_c_do_not_accept() -> None:
    model = model_of([node("Abs", "x:0", "495")], {"x:0": [2]}, ["495"])
    program = penjing.trace(model, {"x:0": torch.ones(2)})
    assert program.input_names == ("x_0",) and program.output_names == ("output_495",)
    assert penjing.trace(model, {"x_0": torch.ones(2)}).input_names == ("x_0",)


def test_several_outputs_are_a_tuple() -> None:
    model = model_of([node("Abs", "x", "a"), node("Neg", "x", "b")], {"x": [2]}, ["a", "b", "a"])
    program = penjing.trace(model)
    assert program.output_names == ("a", "b", "a_")
    first, second, third = program.run(torch.tensor([-1.0, 2.0]))
    assert first.tolist() == third.tolist() == [1, 2] and second.tolist() == [1, -2]


def test_what_is_known_is_calculated() -> None:
    """Constants meet constants: no operator is left but the one that reads the input."""
    two = helper.make_node("Constant", [], ["two"], value_float=2.0)
    nodes = [two, node("Mul", "two two", "four"), node("Mul", "x four", "y")]
    program = penjing.trace(model_of(nodes, {"x": [3]}, ["y"]))
    assert [n.op for n in program.graph.nodes].count("call_function") == 1
    assert program.run(torch.ones(3)).tolist() == [4, 4, 4]


def test_dead_nodes_and_wrong_order_do_not_matter() -> None:
    nodes = [node("Abs", "b", "y"), node("Neg", "x", "b"), node("Unknown", "x", "dead")]
    program = penjing.trace(model_of(nodes, {"x": [1]}, ["y"]))
    assert program.run(torch.tensor([3.0])).tolist() == [3]


def test_operators_without_a_translation_are_named() -> None:
    with pytest.raises(CompileError) as caught:
        penjing.trace(model_of([node("Frobnicate", "x", "y", name="n7")], {"x": [1]}, ["y"]))
    assert "Frobnicate" in caught.value.what and caught.value.at == "n7"
    custom = node("Frobnicate", "x", "y", domain="my.company")
    with pytest.raises(CompileError, match=r"my\.company\.Frobnicate"):
        penjing.trace(model_of([custom], {"x": [1]}, ["y"]))


def test_operands_that_do_not_fit_are_refused_with_the_node() -> None:
    model = model_of([node("Add", "x w", "y", name="n3")], {"x": [2]}, ["y"], {"w": BIAS})
    with pytest.raises(CompileError, match="cannot import the operator Add") as caught:
        penjing.trace(model)
    assert caught.value.at == "n3"


@pytest.mark.parametrize("opset", [1, 5, 1000])
def test_other_operator_sets_are_refused(opset: int) -> None:
    with pytest.raises(CompileError, match="operator sets 6 to"):
        penjing.trace(model_of([node("Abs", "x", "y")], {"x": [1]}, ["y"], opset=opset))


@pytest.mark.parametrize("version", [-1, 1 << 40])
def test_absurd_versions_of_other_operator_sets_are_refused(version: int) -> None:
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", version)]
    model = model_of([node("Abs", "x", "y")], {"x": [1]}, ["y"], opset_imports=opsets)
    with pytest.raises(CompileError, match="no sensible number"):
        penjing.trace(model)


def test_shapes_are_for_onnx_models() -> None:
    with pytest.raises(CompileError, match="shapes are for ONNX"):
        penjing.trace(torch.nn.ReLU(), torch.ones(1), shapes={"n": 1})


@pytest.mark.parametrize("op_type", ["Celu", "HardSwish", "Softmax", "LayerNormalization"])
def test_operators_that_the_standard_defines_by_others(
    op_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new operator with a function body in the standard works before it has a translation."""
    inputs = "x w" if op_type == "LayerNormalization" else "x"
    model = model_of([node(op_type, inputs, "y")], {"x": [2, 3]}, ["y"], {"w": BIAS})
    x = torch.tensor([[1.0, -2.0, 4.0], [0.0, -0.5, 3.0]])
    expected = penjing.trace(model).run(x)
    monkeypatch.delitem(registry._TRANSLATIONS, ("", op_type))
    program = penjing.trace(model)
    assert sum(n.op == "call_function" for n in program.graph.nodes) > 1
    torch.testing.assert_close(program.run(x), expected)


def test_modules_that_the_file_names_are_in_front_of_nodes() -> None:
    """As PyTorch's newer exporter writes them, whose nodes are only numbered."""
    model = _biased(2, 3)
    entry = model.graph.node[0].metadata_props.add()
    entry.key, entry.value = "pkg.torch.onnx.name_scopes", "['', 'layer1', 'layer1.0', 'add']"
    program = penjing.trace(model)
    first = next(node for node in program.graph.nodes if node.op == "call_function")
    assert origin_of(first).module_path == "layer1.0./layer1/layer1.0/Add"
    entry.value = "[[[" * 100
    assert penjing.trace(model).output_names == ("y",)
