"""Weights that two kernels read in different ways are stored once."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import penjing

TOKENS, WIDTH = 501, 32


class TiedModel(nn.Module):
    """A language model without the middle: the embedding is also the last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(TOKENS, WIDTH)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return functional.linear(self.tokens(ids), self.tokens.weight)


@pytest.mark.parametrize("count", [1, 9])
def test_a_tied_embedding_is_stored_once(count: int) -> None:
    model, ids = TiedModel().eval(), torch.randint(TOKENS, (1, count))
    artifact = penjing.compile(model, (ids,), target="host")
    assert artifact.report.weights_bytes < 1.4 * 4 * TOKENS * WIDTH
    want = model(ids).detach().numpy()
    np.testing.assert_allclose(artifact.run(ids)[0], want, rtol=1e-5, atol=1e-5)


class TwoTables(nn.Module):
    """Two embeddings of the same size, of which one is also a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Embedding(TOKENS, WIDTH), nn.Embedding(TOKENS, WIDTH)

    def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = torch.tanh(self.first(ids))
        return functional.linear(hidden, self.first.weight), self.second(ids)


def test_only_the_tied_table_is_in_panels() -> None:
    model, ids = TwoTables().eval(), torch.randint(TOKENS, (1, 3))
    artifact = penjing.compile(model, (ids,), target="host")
    for got, want in zip(artifact.run(ids), model(ids), strict=True):
        np.testing.assert_allclose(got, want.detach().numpy(), rtol=1e-5, atol=1e-5)
