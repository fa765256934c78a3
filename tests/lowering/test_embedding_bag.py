"""Bags of embeddings."""

import pytest
import torch

from .harness import check
from .strategies import positions

aten = torch.ops.aten


@pytest.mark.parametrize("mode", [0, 1, 2])
@pytest.mark.parametrize("offsets", [[0, 3, 7], [0, 3, 3, 7], [0]])
def test_bags(mode: int, offsets: list[int]) -> None:
    weight = torch.randn(11, 9, generator=torch.Generator().manual_seed(0))
    indices = positions((8,), 0, 11)
    check(aten._embedding_bag.default, weight, indices, torch.tensor(offsets), False, mode)
    check(
        aten._embedding_bag.default,
        weight,
        indices,
        torch.tensor(offsets),
        False,
        mode,
        False,
        None,
        False,
        int(indices[3]),
    )
    check(
        aten._embedding_bag.default,
        weight,
        indices,
        torch.tensor([*offsets, 8]),
        False,
        mode,
        False,
        None,
        True,
    )


def test_weights_of_entries() -> None:
    weight, indices = torch.randn(5, 3), positions((4,), 0, 5)
    check(
        aten._embedding_bag.default,
        weight,
        indices,
        torch.tensor([0, 1]),
        False,
        0,
        False,
        torch.rand(4),
    )
