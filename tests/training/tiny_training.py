"""A tiny network, data that it can learn, and how its weights are compared."""

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from penjing.compiler.batches import Batch
from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.program import Program
from penjing.compiler.training import TrainingOptions
from penjing.compiler.training.forward import Run

Data = list[tuple[Tensor, Tensor]]


def tiny_model(norm: bool = False) -> nn.Module:
    torch.manual_seed(0)
    middle = [nn.BatchNorm1d(8)] if norm else []
    return nn.Sequential(nn.Linear(4, 8), *middle, nn.Tanh(), nn.Linear(8, 3)).eval()


def tiny_program(norm: bool = False) -> Program:
    return _traced(norm).copy()


@cache
def _traced(norm: bool) -> Program:
    return trace(tiny_model(norm), (torch.zeros(1, 4),))


def points(count: int = 24, batch: int = 1) -> Data:
    """Points that a plane through the origin and a circle tell apart."""
    x = torch.randn(count, 4, generator=torch.Generator().manual_seed(1))
    y = (x[:, 0] > 0).long() + (x.square().sum(1) > 4).long()
    return list(zip(x.split(batch), y.split(batch), strict=True))


def class_loss(run: Run, batch: Batch) -> Tensor:
    return functional.cross_entropy(run().outputs[0], batch.labels)


def few_epochs(**changes: Any) -> TrainingOptions:
    return TrainingOptions(**{"epochs": 3, "batch_size": 8, "lr": 0.02, **changes})


def weights_of(program: Program) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in program.weights.items()}


def assert_same_weights(left: Program, right: Program) -> None:
    for name, weight in weights_of(left).items():
        assert torch.equal(weight, weights_of(right)[name]), name


def assert_near_weights(left: Program, right: Program, tolerance: float = 1e-5) -> None:
    for name, weight in weights_of(left).items():
        torch.testing.assert_close(weight, weights_of(right)[name], rtol=0, atol=tolerance)
