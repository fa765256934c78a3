"""Attention against torch: masks of every kind, grouped queries, batches that broadcast."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from penjing.compiler.errors import CompileError

from .harness import build, check
from .samples import FEW, SIZES, random

attention = torch.ops.aten.scaled_dot_product_attention.default
MASKS = st.sampled_from(["none", "causal", "bool", "float", "bool row", "float per head"])


def masked(kind: str, batch: tuple[int, ...], rows: int, columns: int) -> dict[str, Any]:
    """Keyword arguments for a kind of mask."""
    if kind == "causal":
        return {"is_causal": True}
    if kind == "float":
        return {"attn_mask": random(rows, columns)}
    if kind == "float per head":
        return {"attn_mask": random(*batch, rows, columns)}
    if kind.startswith("bool"):
        shape = (1, columns) if kind == "bool row" else (rows, columns)
        return {"attn_mask": random(*shape) > 0}
    return {}


@FEW
@given(
    batch=st.sampled_from([(), (3,), (2, 3), (1, 2)]),
    rows=SIZES,
    columns=SIZES,
    sizes=st.sampled_from([(4, 4), (8, 5), (17, 32)]),
    kind=MASKS,
    scale=st.sampled_from([None, 0.3]),
)
def test_attention(
    batch: tuple[int, ...],
    rows: int,
    columns: int,
    sizes: tuple[int, int],
    kind: str,
    scale: float | None,
) -> None:
    depth, width = sizes
    q, k = random(*batch, rows, depth), random(*batch, columns, depth)
    v = random(*batch, columns, width)
    check(attention, q, k, v, scale=scale, atol=1e-5, **masked(kind, batch, rows, columns))


def test_rows_that_keep_nothing() -> None:
    q = random(1, 2, 5, 8)
    keep = torch.arange(5)[:, None] != torch.tensor([1, 3]).unsqueeze(-1).amax(0)
    mask = torch.where(keep, 0.0, -torch.inf).expand(5, 5).contiguous()
    check(attention, q, q, q, mask, atol=1e-5)
    check(attention, q, q, q, mask == 0, atol=1e-5)
    lowest = torch.finfo(torch.float32).min  # what models use: such a row is a plain mean
    check(attention, q, q, q, mask.clamp_min(lowest), atol=1e-5)


@pytest.mark.parametrize("heads", [1, 2, 6])
def test_grouped_queries(heads: int) -> None:
    q, k, v = random(2, 6, 5, 8), random(2, heads, 9, 8), random(2, heads, 9, 7)
    check(attention, q, k, v, enable_gqa=True, atol=1e-5)


def test_batches_broadcast() -> None:
    check(attention, random(2, 3, 5, 8), random(1, 3, 9, 8), random(2, 1, 9, 8), atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_other_floats(dtype: torch.dtype) -> None:
    q, k = random(2, 5, 8, dtype=dtype), random(2, 9, 8, dtype=dtype)
    check(attention, q, k, k, random(5, 9, dtype=dtype), atol=8 * torch.finfo(dtype).eps)


@pytest.mark.parametrize("rows", [1, 2, 24])
@pytest.mark.parametrize("width", [32, 65])
def test_one_query_or_many(rows: int, width: int) -> None:
    q, k, v = random(2, rows, 40), random(2, 37, 40), random(2, 37, width)
    check(attention, q, k, v, atol=1e-5)
    check(attention, q, k, v, random(2, 1, 37) > 0, atol=1e-5)
    check(attention, q, k, v, random(2, rows, 37), atol=1e-5)
    check(attention, q, k, v, is_causal=True, atol=1e-5)


def test_double_precision() -> None:
    q, k = random(3, 17, 8, dtype=torch.float64), random(3, 9, 8, dtype=torch.float64)
    check(attention, q, k, k)
    check(attention, q[:, :1].contiguous(), k, k)


def test_scores_far_apart() -> None:
    q = random(1, 20, 8) * 1e4
    check(attention, q, q, random(1, 20, 8), atol=1e-5)


def test_dropout_is_refused() -> None:
    q = random(1, 2, 4)
    with pytest.raises(CompileError, match="dropout"):
        build(attention, q, q, q, None, 0.5)
