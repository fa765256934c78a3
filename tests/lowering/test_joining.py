"""Tensors side by side."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from .harness import check
from .strategies import SIZES, axes, few, numbered, tensors

aten = torch.ops.aten


@few
@given(x=tensors(), data=st.data())
def test_cat(x: torch.Tensor, data: st.DataObject) -> None:
    dim = data.draw(axes(x.dim()))
    sizes = data.draw(st.lists(st.sampled_from(SIZES), min_size=0, max_size=5))
    parts = [x]
    for size in sizes:
        shape = list(x.shape)
        shape[dim] = size
        parts.append(numbered(tuple(shape), x.dtype))
    check(aten.cat.default, parts, dim)


def test_cat_of_many_single_columns() -> None:
    check(aten.cat.default, [numbered((3, 1)) + i for i in range(33)], 1)


def test_cat_promotes() -> None:
    parts = [numbered((2, 3), dtype) for dtype in (torch.int32, torch.float32, torch.bool)]
    check(aten.cat.default, parts, 0)


@few
@given(x=tensors(0), data=st.data())
def test_stack(x: torch.Tensor, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 5))
    dim = data.draw(axes(x.dim() + 1))
    check(aten.stack.default, [x.roll(i) for i in range(count)], dim)


@pytest.mark.parametrize("indexing", ["ij", "xy"])
def test_meshgrid(indexing: str) -> None:
    check(aten.meshgrid.indexing, [numbered((n,)) for n in (3, 1, 5)], indexing=indexing)
    check(aten.meshgrid.default, [torch.tensor(2.0), numbered((9,))])
