"""Triangles, written slices and diagonals."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from .harness import check
from .strategies import axes, few, numbered, tensors

aten = torch.ops.aten


@few
@given(x=tensors(2), diagonal=st.integers(-9, 9))
def test_triangles(x: torch.Tensor, diagonal: int) -> None:
    check(aten.tril.default, x, diagonal)
    check(aten.triu.default, x, diagonal)


@few
@given(x=tensors(), source=tensors(1, 1))
def test_copy_into(x: torch.Tensor, source: torch.Tensor) -> None:
    check(aten.copy.default, x, source[:1])
    check(aten.copy.default, x, x.flip(-1))


@few
@given(x=tensors(), data=st.data())
def test_slice_scatter(x: torch.Tensor, data: st.DataObject) -> None:
    dim = data.draw(axes(x.dim()))
    start = data.draw(st.integers(-x.shape[dim], x.shape[dim] - 1))
    step = data.draw(st.integers(1, 3))
    source = torch.zeros_like(aten.slice.Tensor(x, dim, start, None, step))
    check(aten.slice_scatter.default, x, source, dim, start, None, step)


def test_slice_scatter_of_nothing() -> None:
    x = numbered((2, 9))
    check(aten.slice_scatter.default, x, x, -1)


@few
@given(x=tensors(), data=st.data())
def test_select_scatter(x: torch.Tensor, data: st.DataObject) -> None:
    dim = data.draw(axes(x.dim()))
    place = data.draw(st.integers(-x.shape[dim], x.shape[dim] - 1))
    check(aten.select_scatter.default, x, torch.zeros_like(x.select(dim, 0)), dim, place)


@few
@given(x=tensors(2), data=st.data())
def test_diagonals(x: torch.Tensor, data: st.DataObject) -> None:
    row, column = data.draw(st.permutations(range(x.dim())))[:2]
    offset = data.draw(st.integers(1 - x.shape[row], x.shape[column] - 1))
    source = torch.ones_like(x.diagonal(offset, row, column))
    check(aten.diagonal_scatter.default, x, source, offset, row, column)
    check(aten.diag_embed.default, source, offset, row - x.dim(), column)
