import math
from collections.abc import Callable
from textwrap import dedent

import pytest
import torch
from torch import Tensor, nn

from penjing.passes import Canonicalize, FoldConstants, FuseAttention
from tests.support import body, optimized

Q, K, V = torch.randn(1, 2, 5, 4), torch.randn(1, 2, 3, 4), torch.randn(1, 2, 3, 6)


class _Model(nn.Module):
    """A function of its inputs."""

    def __init__(self, compute: Callable[..., Tensor]) -> None:
        super().__init__()
        self.compute = compute

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.compute(*inputs)


def _fused(compute: Callable[..., Tensor], *inputs: Tensor) -> str:
    passes = [FoldConstants(), Canonicalize(), FuseAttention(), FoldConstants(), Canonicalize()]
    return body(optimized(passes, _Model(compute), *inputs, tolerance=1e-5))


def _count(compute: Callable[..., Tensor], *inputs: Tensor) -> int:
    return _fused(compute, *inputs).count("scaled_dot_product_attention")


def test_the_written_out_form_becomes_one_operator() -> None:
    def compute(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return ((q @ k.transpose(-2, -1)) / math.sqrt(4)).softmax(-1) @ v

    assert _fused(compute, Q, K, V) == dedent("""\
        %3 = aten.scaled_dot_product_attention(%0, %1, %2, scale=0.5): f32[1,2,5,6]
        return %3""")


def test_queries_may_be_scaled_instead() -> None:
    def compute(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return ((q * 0.25) @ k.transpose(-2, -1)).softmax(-1) @ v

    assert "%0, %1, %2, scale=0.25" in _fused(compute, Q, K, V)


def test_queries_and_keys_may_share_the_scale() -> None:
    """As PyTorch exports scaled_dot_product_attention to ONNX."""

    def compute(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return ((q * 0.5) @ (k.transpose(-2, -1) * 0.5)).softmax(-1) @ v

    assert "%0, %1, %2, scale=0.25" in _fused(compute, Q, K, V)


@pytest.mark.parametrize(("filled", "count"), [(0.0, 1), (1.0, 0)])
def test_rows_that_are_masked_whole_may_be_made_zero(filled: float, count: int) -> None:
    mask = torch.zeros(5, 3)
    mask[2] = -math.inf

    def compute(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
        weights = (q @ k.transpose(-2, -1) + mask).softmax(-1)
        return torch.where(weights.isnan(), torch.tensor(filled), weights) @ v

    assert _count(compute, Q, K, V, mask) == count


def test_a_mask_may_be_added() -> None:
    def compute(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
        return (mask + (q @ k.transpose(-2, -1)) * 0.5).softmax(-1) @ v

    assert "(%0, %1, %2, %3, scale=0.5)" in _fused(compute, Q, K, V, torch.randn(5, 3))


@pytest.mark.parametrize("lowest", [-math.inf, -1e9, torch.finfo(torch.float32).min])
@pytest.mark.parametrize("inverted", [False, True])
def test_a_mask_may_be_filled_in(lowest: float, inverted: bool) -> None:
    mask = torch.ones(5, 3).triu(1) > 0

    def compute(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
        scores = q @ k.transpose(-2, -1)
        least = torch.tensor(lowest)
        scores = torch.where(mask, scores, least) if inverted else scores.masked_fill(mask, lowest)
        return scores.softmax(-1) @ v

    assert _count(compute, Q, K, V, ~mask if inverted else mask) == 1


@pytest.mark.parametrize("lowest", [-math.inf, torch.finfo(torch.float32).min])
def test_a_triangle_is_a_causal_mask(lowest: float) -> None:
    mask = torch.ones(5, 3).triu(1) > 0

    def compute(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return (q @ k.transpose(-2, -1)).masked_fill(mask, lowest).softmax(-1) @ v

    assert "(%0, %1, %2, none, 0.0, true, scale=1.0)" in _fused(compute, Q, K, V)


def test_a_number_that_leaves_something_of_a_score_is_no_mask() -> None:
    def compute(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
        return (q @ k.transpose(-2, -1)).masked_fill(mask, -3.0).softmax(-1) @ v

    assert _count(compute, Q, K, V, torch.randn(5, 3) > 0) == 0


def test_scores_that_are_read_again_stay() -> None:
    def compute(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        scores = q @ k.transpose(-2, -1)
        return scores.softmax(-1) @ v + scores.sum()

    assert _count(compute, Q, K, V) == 0


def test_weights_that_are_read_again_stay() -> None:
    def compute(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        weights = (q @ k.transpose(-2, -1)).softmax(-1)
        return weights @ v + weights.sum()

    assert _count(compute, Q, K, V) == 0


def test_a_softmax_over_the_queries_is_something_else() -> None:
    def compute(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return (q @ k.transpose(-2, -1)).softmax(-2) @ v

    assert _count(compute, Q, K, V) == 0


def test_batches_that_broadcast_stay() -> None:
    def compute(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return (q @ k.transpose(-2, -1)).softmax(-1) @ v

    assert _count(compute, Q, K[:, :1], V) == 0
    assert _count(compute, Q[0, 0], K[0, 0], V[0, 0]) == 0
