"""Functions and layers in random chains, with and without residuals: rules must fit each other."""

from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.coupling.functions import BETWEEN, WIDTH
from tests.coupling.harness import TOLERANCE, distance, prune_randomly, run, traced

_FEATURES = [name for name, each in BETWEEN.items() if not each.space and each.width == WIDTH]
_CHANNELS = [name for name, each in BETWEEN.items() if each.space and each.width == WIDTH]


class Chain(nn.Module):
    """Two layers around a list of functions, each with a residual where `residual` says so."""

    def __init__(self, space: bool, functions: Sequence[Any], residual: bool) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, WIDTH, 1) if space else nn.Linear(7, WIDTH)
        self.last = nn.Conv2d(WIDTH, 4, 1) if space else nn.Linear(WIDTH, 4)
        self.functions, self.residual = functions, residual
        self.layers = nn.ModuleList(each for each in functions if isinstance(each, nn.Module))

    def forward(self, x: Tensor) -> Any:
        y = self.first(x)
        for function in self.functions:
            result = function(y)
            y = y + result if self.residual and result.shape == y.shape else result
        return self.last(y)


def chain(seed: int) -> tuple[nn.Module, tuple[Tensor]]:
    """A random model and an input."""
    random = Random(seed)
    torch.manual_seed(seed)
    space = random.random() < 0.4
    functions: list[Any] = []
    for name in random.choices(_CHANNELS if space else _FEATURES, k=random.randint(2, 4)):
        functions.append(BETWEEN[name].function)
        if random.random() < 0.4:
            functions.append(nn.Conv2d(WIDTH, WIDTH, 1) if space else nn.Linear(WIDTH, WIDTH))
    x = torch.randn(2, 3, 12, 12) if space else torch.randn(2, 5, 7)
    return Chain(space, functions, random.random() < 0.5).eval(), (x,)


@pytest.mark.parametrize("seed", range(12))
def test_chain(seed: int) -> None:
    check(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12, 150))
def test_more_chains(seed: int) -> None:
    check(seed)


def check(seed: int) -> None:
    """Prune half of a chain; with that set to 0 it computes the same."""
    program, inputs = traced(*chain(seed))
    pruned = prune_randomly(program, 0.5, seed=seed)
    assert distance(run(pruned.program, inputs), run(pruned.masked, inputs)) <= TOLERANCE
