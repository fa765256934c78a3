from textwrap import dedent

import torch
from torch import Tensor, nn

from penjing.passes import RemoveDuplicates
from tests.support import after, optimized


class _Twice(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.exp(x).sum(1) + torch.exp(x).sum(1)


class _Tables(nn.Module):
    """Equal buffers, equal parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.ones(2))
        self.q = nn.Parameter(torch.ones(2))
        self.register_buffer("s", torch.arange(2.0))
        self.register_buffer("t", torch.arange(2.0))

    def forward(self, x: Tensor) -> Tensor:
        return (x + self.p) * (x + self.q) + x * self.s + x * self.t  # type: ignore[operator]


class _Close(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return x * 1, x * True, x.sum(0), x.sum(0, keepdim=True), x / 0.0, x / -0.0


def test_equal_calls_are_made_once() -> None:
    assert after([RemoveDuplicates()], _Twice(), 2, 3) == dedent("""
        %0 = input x: f32[2,3]
        %1 = aten.exp(%0): f32[2,3]
        %2 = aten.sum.dim_IntList(%1, [1]): f32[2]
        %3 = aten.add.Tensor(%2, %2): f32[2]
        return %3
        """)


def test_equal_buffers_are_one_but_parameters_stay() -> None:
    program = optimized([RemoveDuplicates()], _Tables(), 2)
    assert sorted(program.weights) == ["p", "q", "s"]
    assert program.reports[0].rewrites == 2


def test_different_calls_stay() -> None:
    assert optimized([RemoveDuplicates()], _Close(), 2, 3).reports[0].rewrites == 0
