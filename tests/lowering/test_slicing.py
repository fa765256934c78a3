"""Slices, splits, diagonals and windows."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch._ops import OpOverload

from .harness import check
from .strategies import axes, few, numbered, tensors

aten = torch.ops.aten


@few
@given(x=tensors(), data=st.data())
def test_slice(x: torch.Tensor, data: st.DataObject) -> None:
    dim = data.draw(axes(x.dim()))
    size = x.shape[dim]
    start = data.draw(st.none() | st.integers(-size - 2, size - 1))
    first = slice(start, None).indices(size)[0]
    end = data.draw(st.none() | st.integers(first + 1, size + 3) | st.integers(first - size, -1))
    if slice(start, end).indices(size)[1] <= first:
        end = None
    check(aten.slice.Tensor, x, dim, start, end, data.draw(st.integers(1, 4)))


def test_slice_to_the_largest_integer() -> None:
    check(aten.slice.Tensor, numbered((3, 9)), 1, 2, 9223372036854775807)


@few
@given(x=tensors(), data=st.data())
def test_select_and_unbind(x: torch.Tensor, data: st.DataObject) -> None:
    dim = data.draw(axes(x.dim()))
    check(aten.select.int, x, dim, data.draw(st.integers(-x.shape[dim], x.shape[dim] - 1)))
    check(aten.unbind.int, x, dim)


@few
@given(x=tensors(), data=st.data())
def test_narrow(x: torch.Tensor, data: st.DataObject) -> None:
    dim = data.draw(axes(x.dim()))
    start = data.draw(st.integers(-x.shape[dim], x.shape[dim] - 1))
    left = x.shape[dim] - start % x.shape[dim]
    check(aten.narrow.default, x, dim, start, data.draw(st.integers(1, left)))


@few
@given(x=tensors(), data=st.data())
def test_split(x: torch.Tensor, data: st.DataObject) -> None:
    dim = data.draw(axes(x.dim()))
    size = x.shape[dim]
    check(aten.split.Tensor, x, data.draw(st.integers(1, size + 1)), dim)
    first = data.draw(st.integers(1, size))
    sizes = [first, size - first] if size > first else [first]
    check(aten.split_with_sizes.default, x, sizes, dim)


@pytest.mark.parametrize(
    ("op", "sizes"),
    [
        (aten.split.sizes, [1, 5, 3]),
        (aten.unsafe_split.Tensor, 4),
        (aten.unsafe_split_with_sizes.default, [2, 7]),
        (aten.chunk.default, 4),
        (aten.unsafe_chunk.default, 2),
        (aten.tensor_split.sections, 4),
        (aten.tensor_split.indices, [2, 7]),
        (aten.tensor_split.indices, [-4, 8]),
    ],
)
def test_split_family(op: OpOverload, sizes: int | list[int]) -> None:
    check(op, numbered((2, 9, 3)), sizes, -2)


@few
@given(x=tensors(2), data=st.data())
def test_diagonal(x: torch.Tensor, data: st.DataObject) -> None:
    row, column = data.draw(st.permutations(range(x.dim())))[:2]
    offset = data.draw(st.integers(1 - x.shape[row], x.shape[column] - 1))
    check(aten.diagonal.default, x, offset, row, column - x.dim())


@few
@given(x=tensors(), data=st.data())
def test_unfold(x: torch.Tensor, data: st.DataObject) -> None:
    dim = data.draw(axes(x.dim()))
    size = data.draw(st.integers(1, x.shape[dim]))
    check(aten.unfold.default, x, dim, size, data.draw(st.integers(1, 3)))


def test_unfold_of_a_scalar() -> None:
    check(aten.unfold.default, torch.tensor(3.0), 0, 1, 1)
