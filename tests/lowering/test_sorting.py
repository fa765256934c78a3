"""Sorting, largest elements, medians, modes."""

import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given

from .harness import check
from .strategies import few, numbered, shapes

aten = torch.ops.aten
SPECIAL = torch.tensor([1.0, -math.inf, 2.0, math.nan, 3.0, math.inf, -0.5, math.nan, 2.0, 7.0])
DTYPES = (torch.float32, torch.int64, torch.int32, torch.float16, torch.bfloat16, torch.bool)


@given(shapes(1, 3), st.data(), st.sampled_from(DTYPES), st.booleans())
@few
def test_sort(
    shape: tuple[int, ...], data: st.DataObject, dtype: torch.dtype, descending: bool
) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = numbered(shape, dtype)
    check(aten.sort.stable, x, stable=True, dim=axis, descending=descending)


@pytest.mark.parametrize("descending", [False, True])
def test_order_of_equals_and_nan(descending: bool) -> None:
    check(aten.sort.stable, SPECIAL, stable=True, descending=descending)
    check(aten.argsort.stable, numbered((40, 3)) % 5, stable=True, dim=0, descending=descending)


def test_long_rows() -> None:
    x = torch.randn(3, 1000, generator=torch.Generator().manual_seed(0))
    check(aten.sort.default, x)
    check(aten.argsort.default, x, -1, True)
    check(aten.topk.default, x, 17)


def test_topk() -> None:
    x = torch.randperm(105, generator=torch.Generator().manual_seed(1)).reshape(3, 7, 5)
    for k, axis, largest in [(1, 0, True), (4, 1, False), (5, -1, True), (3, -2, True)]:
        check(aten.topk.default, x.float(), k, axis, largest)
    check(aten.topk.default, x, 2)


def test_single_places() -> None:
    x = torch.randperm(105, generator=torch.Generator().manual_seed(2)).reshape(3, 7, 5).float()
    check(aten.kthvalue.default, x, 3, 1)
    check(aten.kthvalue.default, x, 2, -1, True)
    check(aten.median.dim, x, 1)
    check(aten.median.dim, x.long(), 0, True)
    check(aten.median.default, x)
    check(aten.median.default, SPECIAL)


def test_mode() -> None:
    x = torch.tensor([[3, 1, 3, 1, 2], [5, 5, 4, 4, 4], [1, 2, 3, 4, 5]])
    check(aten.mode.default, x)
    check(aten.mode.default, x.float(), 0, True)


def test_scalars() -> None:
    check(aten.sort.default, torch.tensor(3.5))
    check(aten.topk.default, torch.tensor(3.5), 1)
    check(aten.median.dim, torch.tensor(3), 0)
    check(aten.mode.default, torch.tensor(3))
