import operator
from collections.abc import Callable
from textwrap import dedent

import torch
from torch import Tensor, nn
from torch.fx import Node

from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.program import Program
from penjing.compiler.ir.rewrite import insert_call
from penjing.compiler.pass_manager import optimize
from penjing.passes import FoldConstants
from tests.support import assert_close

aten = torch.ops.aten


class _Biased(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.tensor([[2.0, 1.0], [3.0, 4.0]]))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.bias


def _with_constant(make: Callable[[Node, Node], Node]) -> Program:
    """The program of x + make(bias): calls that a pass left behind (tracing folds its own)."""
    program = trace(_Biased(), torch.ones(2, 2))
    (add,) = program.output_nodes
    x, bias = add.all_input_nodes
    add.args = (x, make(add, bias))
    return program


def _folded(program: Program, max_bytes: int = 1 << 20) -> Program:
    result = optimize(program, [FoldConstants(max_bytes)])
    x = torch.randn(2, 2)
    assert_close(result.run(x), program.run(x), 0)
    return result


def test_what_depends_on_weights_alone_becomes_a_weight() -> None:
    def turned(before: Node, bias: Node) -> Node:
        permuted = insert_call(before, aten.permute.default, bias, [1, 0])
        return insert_call(before, aten.neg.default, permuted)

    folded = _folded(_with_constant(turned))
    assert str(folded) == dedent("""\
        %0 = input x: f32[2,2]
        %1 = aten.add.Tensor(%0, @_constants.0): f32[2,2]
        return %1
        """)
    assert {name: w.tolist() for name, w in folded.weights.items()} == {
        "_constants.0": [[-2, -3], [-1, -4]]
    }
    assert folded.reports[0].rewrites == 1


def test_one_of_several_results_is_folded() -> None:
    def sorted_rows(before: Node, bias: Node) -> Node:
        return insert_call(
            before, operator.getitem, insert_call(before, aten.sort.default, bias), 0
        )

    folded = _folded(_with_constant(sorted_rows))
    assert folded.weights["_constants.0"].tolist() == [[1, 2], [3, 4]]


def test_an_expansion_stays_but_what_it_repeats_is_folded() -> None:
    def repeated(before: Node, bias: Node) -> Node:
        row = insert_call(before, aten.sum.dim_IntList, bias, [0])
        return insert_call(before, aten.expand.default, row, [2, 2])

    folded = _folded(_with_constant(repeated))
    assert "%1 = aten.expand(@_constants.0, [2,2]): f32[2,2]\n" in str(folded)
    assert [skip.reason for skip in folded.reports[0].skips] == ["it only repeats its operand"]


def test_a_large_result_may_replace_a_weight_of_its_size() -> None:
    program = _with_constant(lambda before, bias: insert_call(before, aten.neg.default, bias))
    assert list(_folded(program, max_bytes=8).weights) == ["_constants.0"]


def test_a_large_result_beside_its_weight_stays_computed() -> None:
    def both(before: Node, bias: Node) -> Node:
        negative = insert_call(before, aten.neg.default, bias)
        sum_ = insert_call(before, aten.add.Tensor, before.args[0], bias)
        return insert_call(before, aten.mul.Tensor, sum_, negative)

    folded = _folded(_with_constant(both), max_bytes=8)
    assert folded.reports[0].rewrites == 0
    assert [skip.reason for skip in folded.reports[0].skips] == [
        "its 16 bytes are more than max_bytes and what it replaces"
    ]


def test_random_numbers_stay_random() -> None:
    program = _with_constant(lambda before, bias: insert_call(before, aten.bernoulli.p, bias, 0.5))
    assert optimize(program, [FoldConstants()]).reports[0].rewrites == 0
