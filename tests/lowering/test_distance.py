"""Distances between pairs against torch."""

import pytest
import torch

from .harness import check
from .samples import random

aten = torch.ops.aten


@pytest.mark.parametrize("p", [0.0, 1.0, 2.0, 3.0, float("inf")])
def test_cdist(p: float) -> None:
    check(aten._cdist_forward.default, random(2, 5, 7), random(2, 9, 7), p, None, rtol=1e-4)


def test_batches_broadcast() -> None:
    x, y = random(3, 1, 5, 17), random(2, 9, 17)
    check(aten.cdist.default, x, y, 2.0, None, rtol=1e-4)
