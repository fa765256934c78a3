import pytest
import torch
from torch.nn import functional

from penjing.compiler.errors import CompileError
from penjing.passes.distillation.losses import (
    attention_divergence,
    cross_entropy,
    directions,
    distance,
    divergence,
    similarities,
    squared_error,
)


def test_similarities_are_cosines() -> None:
    anchors = directions(torch.tensor([[3.0, 4.0], [0.0, -2.0]]))
    found = similarities(torch.tensor([[[5.0], [0.0]]]), anchors)
    torch.testing.assert_close(found, torch.tensor([[0.6, 0.0]]))


def test_the_losses_are_those_of_their_papers() -> None:
    ours, theirs = torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(0))
    expected = 9 * functional.kl_div(
        (ours / 3).log_softmax(1), (theirs / 3).softmax(1), reduction="batchmean"
    )
    torch.testing.assert_close(divergence(ours, theirs, 3.0), expected)
    size = theirs.square().mean()
    assert squared_error(theirs, theirs, size) == 0
    torch.testing.assert_close(squared_error(0 * theirs, theirs, size), torch.tensor(1.0))
    torch.testing.assert_close(distance(-2 * theirs, theirs), torch.tensor(2.0))
    logits, labels = torch.randn(2, 5, 3, 3), torch.randint(0, 5, (2, 3, 3))
    torch.testing.assert_close(
        cross_entropy([logits], labels), functional.cross_entropy(logits, labels)
    )


def test_maps_with_pruned_heads_are_compared_by_their_mean() -> None:
    theirs = torch.rand(2, 4, 3, 3).softmax(-1)
    assert attention_divergence(theirs.mean(1, keepdim=True), theirs).abs() < 1e-6
    assert attention_divergence(theirs.flip(3), theirs) > 1e-3


def test_cross_entropy_needs_classes() -> None:
    with pytest.raises(CompileError, match="a class for every row of logits"):
        cross_entropy([torch.zeros(2, 5)], torch.zeros(2, 5))
