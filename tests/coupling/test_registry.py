"""Rules for operators of one's own."""

import pytest
import torch
from torch.fx import Node

from penjing.compiler.coupling import analyze
from penjing.compiler.coupling.flow import Flow
from penjing.compiler.coupling.labels import Labels
from penjing.compiler.coupling.registry import RULES, couples
from tests.coupling.harness import (
    assert_pruned_like_masked,
    prune_randomly,
    reasons,
    summary,
    traced,
)


@torch.library.custom_op("coupling_test::scaled_relu", mutates_args=())
def scaled_relu(x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """relu(x) * scale; x [N, C], scale [C]."""
    return x.relu() * scale


@scaled_relu.register_fake
def _(x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(x)


TARGET = torch.ops.coupling_test.scaled_relu.default


class Own(torch.nn.Module):
    """An operator of one's own between two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = torch.nn.Linear(4, 6), torch.nn.Linear(6, 2)
        self.scale = torch.nn.Parameter(torch.rand(6) + 0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.last(scaled_relu(self.first(x), self.scale))
        return y


def test_an_operator_without_a_rule_locks_what_it_reads() -> None:
    coupling = analyze(traced(Own(), (torch.randn(3, 4),))[0])
    assert summary(coupling) == []
    assert reasons(coupling)["first"] == f"{TARGET} reads it, for which there is no coupling rule"


def test_a_rule_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def rule(flow: Flow, node: Node, x: Node, scale: Node) -> Labels:
        labels = flow.alone(flow.of(x), 1)
        flow.unite(labels, 1, flow.of(scale), 0)
        flow.use(scale, 0, "scale")
        return labels

    monkeypatch.setitem(RULES, TARGET, rule)
    torch.manual_seed(0)
    program, inputs = traced(Own(), (torch.randn(3, 4),))
    pruned = prune_randomly(program, 0.5)
    assert summary(pruned.coupling) == ["first: 6 features"]
    assert_pruned_like_masked(pruned, inputs)


def test_two_rules_for_one_operator_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"two coupling rules for aten\.linear"):
        couples(torch.ops.aten.linear.default)(lambda *_: None)
