from collections.abc import Callable
from textwrap import dedent

import pytest
import torch
from torch import Tensor, nn

from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.regions import regions
from penjing.compiler.pass_manager import optimize
from penjing.passes import FuseRegions
from tests.support import body, optimized

Compute = Callable[..., Tensor | tuple[Tensor, ...]]


class _Model(nn.Module):
    """A convolution, a linear layer and a table for `compute(model, *inputs)`."""

    def __init__(self, compute: Compute) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 1)
        self.linear = nn.Linear(4, 4)
        self.table = nn.Embedding(5, 4)
        self.compute = compute

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        return self.compute(self, *inputs)


IMAGE = torch.randn(1, 2, 4, 4)
ROWS = torch.randn(3, 4)


def _fused(compute: Compute, *inputs: Tensor, max_ops: int = 32) -> str:
    return body(optimized([FuseRegions(max_ops)], _Model(compute), *inputs))


def _groups(compute: Compute, *inputs: Tensor, max_ops: int = 32) -> list[list[str]]:
    """The operators of each region, views left out."""
    program = optimized([FuseRegions(max_ops)], _Model(compute), *inputs)
    names = [[str(n.target).split(".")[1] for n in r.nodes] for r in regions(program)]
    return [group for group in names if group != ["reshape"]]


def test_a_layer_takes_the_elementwise_operations_after_it() -> None:
    assert _fused(lambda m, x: (m.conv(x) + x).relu(), IMAGE) == dedent("""\
        %1 = aten.conv2d(%0, @conv.weight, @conv.bias): f32[1,2,4,4] {0}
        %2 = aten.add.Tensor(%1, %0): f32[1,2,4,4] {0}
        %3 = aten.relu(%2): f32[1,2,4,4] {0}
        return %3""")


def test_values_that_meet_again_stay_inside() -> None:
    def swish(m: _Model, x: Tensor) -> Tensor:
        y: Tensor = m.linear(x)
        return y * y.sigmoid()

    assert _groups(swish, ROWS) == [["linear", "sigmoid", "mul"]]


def test_an_epilogue_ends_before_a_value_that_others_read() -> None:
    def branch(m: _Model, x: Tensor) -> tuple[Tensor, Tensor]:
        y = m.linear(x).tanh()
        return y, y.exp()

    assert _groups(branch, ROWS) == [["linear", "tanh"], ["exp"]]


def test_only_one_of_two_layers_takes_their_sum() -> None:
    groups = _groups(lambda m, x: m.linear(x) + m.linear(x + 1), ROWS)
    assert groups == [["add"], ["linear"], ["linear", "add"]]


def test_a_broadcast_is_no_epilogue() -> None:
    assert _groups(lambda m, x: m.linear(x[:1]) + x, ROWS) == [["slice"], ["linear"], ["add"]]


def test_a_view_ends_a_region() -> None:
    assert _groups(lambda m, x: m.linear(x).reshape(2, 6).relu(), ROWS) == [["linear"], ["relu"]]


def test_an_operation_in_front_of_a_layer_is_not_recomputed_in_it() -> None:
    assert _groups(lambda m, x: m.linear(x.exp()), ROWS) == [["exp"], ["linear"]]


def test_a_norm_takes_cheap_operations_before_and_all_after_it() -> None:
    def norm(m: _Model, x: Tensor) -> Tensor:
        return nn.functional.layer_norm(x * 2 + 1, (4,)).exp().tanh()

    assert _groups(norm, ROWS) == [["mul", "add", "layer_norm", "exp", "tanh"]]


def test_a_norm_that_reads_its_rows_twice_leaves_costly_ones_outside() -> None:
    def norm(m: _Model, x: Tensor) -> Tensor:
        return nn.functional.layer_norm(x.exp(), (4,))

    assert _groups(norm, ROWS) == [["exp"], ["layer_norm"]]


def test_a_sum_reads_once_and_takes_costly_ones() -> None:
    assert _groups(lambda m, x: x.exp().sum(0), ROWS) == [["exp", "sum"]]


def test_a_norm_written_out_is_one_region() -> None:
    def rms_norm(m: _Model, x: Tensor) -> Tensor:
        inverse = (x * x).mean(-1, keepdim=True).add(1e-6).rsqrt()
        return torch.mul(torch.mul(x, inverse), m.linear.bias)

    (group,) = _groups(rms_norm, ROWS)
    assert group == ["mul", "mean", "add", "rsqrt", "mul", "mul"]


def test_columns_are_not_broadcast_back() -> None:
    groups = _groups(lambda m, x: x - x.mean(0, keepdim=True), ROWS)
    assert groups == [["mean"], ["sub"]]


def test_a_tree_of_elementwise_operations_is_one_region() -> None:
    assert _groups(lambda m, x, y: (x.exp() + y.sin()) * (x - y), ROWS, ROWS + 1) == [
        ["exp", "sin", "add", "sub", "mul"]
    ]


def test_a_tree_starts_with_moves_and_gathers_and_ends_with_a_move() -> None:
    def mix(m: _Model, x: Tensor, index: Tensor) -> Tensor:
        return torch.add(m.table(index), x[:, ::2].t()).t()

    x = torch.randn(4, 6)
    assert _groups(mix, x, torch.tensor([1, 2, 3])) == [
        ["embedding", "slice", "permute", "add", "permute"]
    ]


def test_nothing_costly_is_broadcast() -> None:
    groups = _groups(lambda m, x: x * (x[0] * 2 + 1).exp(), ROWS)
    assert groups == [["select", "mul", "add", "exp"], ["mul"]]


def test_cheap_operations_are_broadcast() -> None:
    groups = _groups(lambda m, x: x * (x[0] * 2 + 1), ROWS)
    assert groups == [["select", "mul", "add", "mul"]]


def test_a_value_that_others_read_is_not_computed_twice() -> None:
    def shared(m: _Model, x: Tensor) -> tuple[Tensor, Tensor]:
        y = x.exp() + 1
        return y.sin(), y.cos()

    assert _groups(shared, ROWS) == [["exp", "add"], ["sin"], ["cos"]]


def test_regions_have_a_limit() -> None:
    def chain(m: _Model, x: Tensor) -> Tensor:
        return torch.tanh(m.linear(x).exp().sin().cos())

    assert _groups(chain, ROWS, max_ops=3) == [["linear", "exp", "sin"], ["cos", "tanh"]]


def test_several_results_stay_with_their_operator() -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gru = nn.GRU(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.gru(x)[0]
            return y.relu() * 2

    program = optimized([FuseRegions()], Recurrent(), torch.randn(3, 1, 4))
    assert [len(region.nodes) for region in regions(program)][-2:] == [2, 2]


def test_fusing_twice_changes_nothing() -> None:
    program = trace(_Model(lambda m, x: m.linear(x).relu()).eval(), ROWS)
    first, second = optimize(program, [FuseRegions(), FuseRegions()]).reports
    assert (first.rewrites, second.rewrites) == (1, 0)


def test_fusing_again_replaces_the_old_regions() -> None:
    program = trace(_Model(lambda m, x: m.linear(x).exp().sin()).eval(), ROWS)
    again = optimize(program, [FuseRegions(), FuseRegions(max_ops=2), FuseRegions(max_ops=1)])
    assert [report.rewrites for report in again.reports] == [1, 1, 1]
    assert "{" not in body(again)


@pytest.mark.parametrize("size", [1, 2])
def test_numbers_follow_the_order_of_the_results(size: int) -> None:
    text = _fused(lambda m, x: m.linear(m.linear(x).relu()).tanh(), torch.randn(size, 4))
    assert [line[-3:] for line in text.splitlines()] == ["{0}", "{0}", "{1}", "{1}", " %4"]


def _heads(x: Tensor) -> Tensor:
    return x.reshape(1, 3, 2, 2).permute(0, 2, 1, 3)


def _attended(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.nn.functional.scaled_dot_product_attention(q, k, v)


def test_attention_reads_and_writes_its_heads_in_place() -> None:
    rows = torch.randn(1, 3, 4)

    def compute(_: nn.Module, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return _attended(_heads(q), _heads(k), _heads(v)).permute(0, 2, 1, 3).reshape(1, 3, 4)

    assert len(_groups(compute, rows, rows, rows)) == 1


def test_heads_that_something_else_reads_are_stored() -> None:
    rows = torch.randn(1, 3, 4)

    def compute(_: nn.Module, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        heads = _heads(k)
        return _attended(_heads(q), heads, heads), heads

    assert ["permute"] in _groups(compute, rows, rows)


def test_keys_whose_rows_are_columns_in_memory_are_moved_before() -> None:
    keys = torch.randn(1, 2, 2, 3)

    def compute(_: nn.Module, q: Tensor, k: Tensor) -> Tensor:
        moved = k.transpose(2, 3)
        return _attended(_heads(q), moved, moved)

    assert ["permute"] in _groups(compute, torch.randn(1, 3, 4), keys)
