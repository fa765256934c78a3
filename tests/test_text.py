"""Programs as text."""

from textwrap import dedent

import torch
from torch import nn

from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.text import node_text, op_name
from tests.functions import text_of, traced

aten = torch.ops.aten


def test_convolution_and_relu() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
    program = trace(model, torch.ones(1, 1, 9, 9))
    assert "\n" + str(program) == dedent("""
        %0 = input input: f32[1,1,9,9]
        %1 = aten.conv2d(%0, @0.weight, @0.bias): f32[1,2,7,7]
        %2 = aten.relu(%1): f32[1,2,7,7]
        return %2
        """)


def test_regions_show_at_the_end_of_the_line() -> None:
    program = traced(lambda x: x.exp() + 1, torch.ones(2))
    for node in program.graph.find_nodes(op="call_function", target=aten.exp.default):
        node.meta["region"] = 7
    assert str(program).splitlines()[1] == "%1 = aten.exp(%0): f32[2] {7}"


def test_several_results_and_their_items() -> None:
    assert text_of(lambda x: x.topk(1), torch.ones(2, 3)) == dedent("""
        %0 = input args_0: f32[2,3]
        %1 = aten.topk(%0, 1, 1): (f32[2,1], i64[2,1])
        %2 = %1[0]: f32[2,1]
        %3 = %1[1]: i64[2,1]
        return %2, %3
        """)


def test_arguments_of_every_kind() -> None:
    def mixed(x: torch.Tensor) -> torch.Tensor:
        y = nn.functional.gelu(x.to(torch.int32).sum(0, keepdim=True) / 3, approximate="tanh")
        return y.clamp(max=float("inf"))

    assert text_of(mixed, torch.ones(2)) == dedent("""
        %0 = input args_0: f32[2]
        %1 = aten._to_copy(%0, dtype=i32): i32[2]
        %2 = aten.sum.dim_IntList(%1, [0], true): i64[1]
        %3 = aten.div.Tensor(%2, 3): f32[1]
        %4 = aten.gelu(%3, approximate='tanh'): f32[1]
        %5 = aten.clamp(%4, none, inf): f32[1]
        return %5
        """)


def test_one_node_for_messages() -> None:
    (node,) = traced(lambda x: x + 1, torch.ones(2)).output_nodes
    assert node_text(node) == "add_tensor = aten.add.Tensor(%args_0, 1): f32[2]"


def test_operator_names() -> None:
    assert op_name(aten.add.Tensor) == "aten.add.Tensor"
    assert op_name(aten.relu.default) == "aten.relu"
    assert op_name(len) == "len"
