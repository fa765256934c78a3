"""Every way in which a program can be wrong is found and named."""

import operator
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.fx import Node

from penjing.compiler.errors import CompileError
from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.inference import fake_of
from penjing.compiler.ir.program import Program
from penjing.compiler.ir.tensor_spec import TensorSpec
from penjing.compiler.ir.verify import verify

aten = torch.ops.aten


@pytest.fixture
def program() -> Program:
    return trace(nn.Sequential(nn.Linear(3, 2), nn.ReLU()), torch.ones(1, 3))


def found(program: Program) -> CompileError:
    with pytest.raises(CompileError) as caught:
        verify(program)
    return caught.value


def call_of(program: Program, target: Callable[..., object]) -> Node:
    node: Node = program.graph.find_nodes(op="call_function", target=target)[0]
    return node


def test_traced_program_is_right(program: Program) -> None:
    verify(program)


def test_wrong_shape_names_node_and_module(program: Program) -> None:
    relu = call_of(program, aten.relu.default)
    relu.meta["val"] = fake_of(TensorSpec((1, 3), "float32"))
    error = found(program)
    assert error.what == "the operator gives f32[1,2], not what is recorded"
    assert error.at.startswith("1 (ReLU)")
    assert error.got == f"{relu.name} = aten.relu(%{relu.args[0]}): f32[1,3]"


def test_wrong_dtype(program: Program) -> None:
    call_of(program, aten.relu.default).meta["val"] = fake_of(TensorSpec((1, 2), "float64"))
    assert "gives f32[1,2]" in found(program).what


def test_operands_that_do_not_fit(program: Program) -> None:
    linear = call_of(program, aten.linear.default)
    linear.args = (linear.args[0], *reversed(linear.args[1:]))
    assert found(program).what.startswith("the operator refuses its operands: ")


def test_value_used_before_it_is_computed(program: Program) -> None:
    linear, relu = call_of(program, aten.linear.default), call_of(program, aten.relu.default)
    relu.append(linear)
    assert found(program).what == f"{linear.name} is used before it is computed"


def test_operator_that_writes(program: Program) -> None:
    call_of(program, aten.relu.default).target = aten.relu_.default
    assert found(program).what == "operators must not write to their operands"


def test_python_function(program: Program) -> None:
    call_of(program, aten.relu.default).target = operator.neg
    assert found(program).what.startswith("only operators of PyTorch")


def test_module_call(program: Program) -> None:
    relu = call_of(program, aten.relu.default)
    program.module.add_module("act", nn.ReLU())
    relu.op, relu.target = "call_module", "act"
    assert found(program).what.startswith("programs hold placeholders")


def test_value_not_recorded(program: Program) -> None:
    del call_of(program, aten.linear.default).meta["val"]
    assert 'meta["val"]' in found(program).what


def test_missing_weight(program: Program) -> None:
    program.graph.find_nodes(op="get_attr")[0].target = "0.gone"
    assert found(program).what == "there is no weight 0.gone"


def test_weight_of_another_shape(program: Program) -> None:
    node = program.graph.find_nodes(op="get_attr", target="0.bias")[0]
    program.module.get_submodule("0").bias = nn.Parameter(torch.ones(3))
    assert found(program).what == "weight 0.bias is f32[3]"
    program.replace_weight(node, torch.ones(2, 2).t()[0])
    verify(program)


def test_weight_that_is_not_dense(program: Program) -> None:
    program.module.get_submodule("0").weight = nn.Parameter(torch.ones(3, 2).t())
    assert found(program).what == "weight 0.weight is not dense in row-major order"


def test_unused_weight(program: Program) -> None:
    program.module.register_buffer("left_over", torch.ones(1))
    error = found(program)
    assert (error.what, error.at) == ("a weight is not used", "left_over")


def test_placeholder_after_a_call(program: Program) -> None:
    call_of(program, aten.relu.default).append(program.input_nodes[0])
    assert "used before" in found(program).what or "come first" in found(program).what


def test_nested_output(program: Program) -> None:
    output = program.graph.output_node()
    output.args = (program.output_nodes[0],)
    assert found(program).what == "the output must be one flat tuple of nodes"


def test_number_of_outputs(program: Program) -> None:
    output = program.graph.output_node()
    output.args = (program.output_nodes * 2,)
    error = found(program)
    assert error.what == "the outputs do not fit their names and structure"
    assert error.got == "2 values, 1 names, 1 in structure"
