import operator

import pytest
import torch
from torch import Tensor, nn
from torch.fx import Node

from penjing.compiler.errors import CompileError
from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.program import Program
from penjing.compiler.ir.regions import regions
from penjing.compiler.ir.rewrite import insert_call


class _Diamond(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        a = x.exp()
        b = a.sin()
        c = a.cos()
        return b + c, c


class _Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y, (h, _) = self.lstm(x)
        return y, h


def _traced(model: nn.Module, *shape: int) -> tuple[Program, list[Node]]:
    program = trace(model.eval(), torch.zeros(shape))
    return program, [node for node in program.graph.nodes if node.op == "call_function"]


def _fuse(*nodes: Node, number: int = 0) -> None:
    for node in nodes:
        node.meta["region"] = number


def test_every_call_is_a_region_of_its_own() -> None:
    program, nodes = _traced(_Diamond(), 2)
    assert [region.nodes for region in regions(program)] == [(node,) for node in nodes]


def test_a_region_knows_what_goes_in_and_out() -> None:
    program, (exp, sin, cos, add) = _traced(_Diamond(), 2)
    _fuse(sin, cos, add)
    first, second = regions(program)
    assert (first.nodes, first.inputs, first.outputs) == ((exp,), program.input_nodes, (exp,))
    assert (second.nodes, second.inputs, second.outputs) == ((sin, cos, add), (exp,), (cos, add))
    assert second.result is add
    assert second.anchor is None


def test_weights_are_inputs_and_the_layer_is_the_anchor() -> None:
    program, (linear, relu) = _traced(nn.Sequential(nn.Linear(2, 2), nn.ReLU()), 1, 2)
    _fuse(linear, relu)
    (region,) = regions(program)
    assert region.anchor is linear
    assert region.inputs[0] is program.input_nodes[0]
    assert [node.target for node in region.inputs[1:]] == ["0.weight", "0.bias"]


def test_results_are_taken_where_they_are_computed() -> None:
    program, nodes = _traced(_Recurrent(), 4, 1, 3)
    first = next(r for r in regions(program) if len(r.nodes) > 1)
    assert [node.target for node in first.nodes[1:]] == [operator.getitem, operator.getitem]
    assert first.nodes[0].target is torch.ops.aten.lstm.input
    assert first.outputs == first.nodes[1:]
    assert sum(len(region.nodes) for region in regions(program)) == len(nodes)


def test_regions_follow_what_they_read() -> None:
    program, (exp, sin, cos, add) = _traced(_Diamond(), 2)
    _fuse(exp, cos)
    assert [region.nodes for region in regions(program)] == [(exp, cos), (sin,), (add,)]


def test_a_region_with_a_path_outside_is_refused() -> None:
    program, (exp, _, _, add) = _traced(_Diamond(), 2)
    _fuse(exp, add)
    with pytest.raises(CompileError, match="fused regions need each other's results") as error:
        regions(program)
    assert error.value.got == f"{exp.name}, {add.name}"


def test_two_regions_that_need_each_other_are_refused() -> None:
    class Crossed(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x.exp().sin(), x.cos().tan()

    program, (exp, sin, cos, tan) = _traced(Crossed(), 2)
    _fuse(exp, tan, number=0)
    _fuse(sin, cos, number=1)
    with pytest.raises(CompileError, match="fused regions need each other's results"):
        regions(program)


def test_two_thousand_nodes() -> None:
    program, (exp, _, _, add) = _traced(_Diamond(), 2)
    for _ in range(1996):
        add.args = (insert_call(add, torch.ops.aten.sin.default, add.args[0]), exp)
    assert len(regions(program)) == 2000
