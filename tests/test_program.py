"""Programs as objects: weights, copies, running, tidying."""

import copy

import pytest
import torch
from torch import nn

from penjing.compiler.errors import CompileError
from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.inference import set_value
from penjing.compiler.ir.program import Origin, Program, node_spec, node_specs, origin_of
from penjing.compiler.ir.verify import verify
from tests.support import assert_close

aten = torch.ops.aten
X = torch.tensor([[1.0, -2.0, 3.0]])


@pytest.fixture
def program() -> Program:
    torch.manual_seed(0)
    return trace(nn.Sequential(nn.Linear(3, 2), nn.ReLU()), X)


def test_specs(program: Program) -> None:
    assert [str(spec) for spec in program.inputs + program.outputs] == ["f32[1,3]", "f32[1,2]"]
    (relu,) = program.output_nodes
    assert node_spec(relu) == node_specs(relu) == program.outputs[0]


def test_origins_name_module_and_line(program: Program) -> None:
    linear = next(node for node in program.graph.nodes if node.target is aten.linear.default)
    assert (origin_of(linear).module_path, origin_of(linear).module_type) == ("0", "Linear")
    assert str(Origin("a.b", "Conv2d", "net.py:3")) == "a.b (Conv2d), net.py:3"
    assert str(Origin()) == "model (module)"


class _Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(3, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.inner(x)
        z: torch.Tensor = self.inner(y) + 1
        return z


def test_origins_of_the_models_own_code_and_of_second_calls() -> None:
    nodes = [node for node in trace(_Shared(), X).graph.nodes if node.op == "call_function"]
    assert [origin_of(node).module_path for node in nodes] == ["inner.0", "inner.0", ""]
    assert [origin_of(node).module_type for node in nodes] == ["Linear", "Linear", "_Shared"]
    assert all(origin_of(node).source.startswith("test_program.py:") for node in nodes)


def test_copy_shares_nothing(program: Program) -> None:
    other = copy.deepcopy(program)
    before = program.run(X)
    with torch.no_grad():
        other.weights["0.weight"].fill_(0)
    (relu,) = other.output_nodes
    relu.target = aten.neg.default
    assert_close(program.run(X), before, 0)
    assert_close(other.run(X), -other.weights["0.bias"].detach()[None], 0)
    assert not {id(node) for node in program.graph.nodes} & {id(node) for node in other.graph.nodes}


def test_copy_of_an_edited_node_keeps_its_own_metadata(program: Program) -> None:
    (relu,) = program.output_nodes
    relu.meta["region"] = 3
    other = program.copy()
    other.output_nodes[0].meta["region"] = 4
    assert relu.meta["region"] == 3


def test_run_follows_the_graph_as_it_is(program: Program) -> None:
    (relu,) = program.output_nodes
    relu.target = aten.neg.default
    linear = relu.args[0]
    assert isinstance(linear, torch.fx.Node)
    program.graph.output_node().args = ((linear,),)
    assert_close(program.run(X), nn.functional.linear(X, *program.weights.values()).detach(), 0)
    assert program.tidy() == 1
    verify(program)


def test_added_weights_get_free_names(program: Program) -> None:
    names = [program.add_weight(torch.ones(2), name).target for name in ("", "", "0.bias", "new.w")]
    assert names == ["_constants.0", "_constants.1", "0.bias_0", "new.w"]
    assert program.tidy() == 4
    assert set(program.weights) == {"0.weight", "0.bias"}


def test_replaced_weight(program: Program) -> None:
    (bias,) = program.graph.find_nodes(op="get_attr", target="0.bias")
    program.replace_weight(bias, torch.tensor([5.0, 5.0]))
    assert program.run(X).min() > 0 or program.weight(bias)[0] == 5
    assert not isinstance(program.weight(bias), nn.Parameter)
    verify(program)


def test_inserted_call(program: Program) -> None:
    (relu,) = program.output_nodes
    with program.graph.inserting_after(relu):
        node = program.graph.call_function(aten.add.Tensor, (relu, 1.0))
    set_value(node)
    program.graph.output_node().args = ((node,),)
    program.tidy()
    verify(program)
    assert_close(program.run(X), program.module(X)[0].detach(), 0)


def test_run_without_gradients_and_run_flat_with(program: Program) -> None:
    assert not program.run(X).requires_grad
    assert program.run_flat(X)[0].requires_grad


@pytest.mark.parametrize("wrong", [X.double(), X[0], X.repeat(2, 1)])
def test_inputs_of_another_spec(program: Program, wrong: torch.Tensor) -> None:
    with pytest.raises(CompileError, match=r"input input must be f32\[1,3\]"):
        program.run(wrong)
