"""Writes to places known only at run time."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from penjing.compiler.errors import CompileError

from .harness import check
from .strategies import DTYPES, SIZES, axes, few, numbered, positions, shapes, tensors

aten = torch.ops.aten


@st.composite
def _scatters(draw: st.DrawFn) -> tuple[torch.Tensor, int, torch.Tensor, torch.Tensor]:
    """x, dim, index and a source that is at least as large as the index."""
    x = draw(tensors(1, 3))
    dim = draw(axes(x.dim()))
    shape = [draw(st.integers(1, size)) for size in x.shape]
    shape[dim] = draw(st.sampled_from(SIZES))
    larger = tuple(size + draw(st.integers(0, 1)) for size in shape)
    return x, dim, positions(tuple(shape), 0, x.shape[dim]), numbered(larger, x.dtype)


@few
@given(case=_scatters())
def test_scatter_add(case: tuple[torch.Tensor, int, torch.Tensor, torch.Tensor]) -> None:
    check(aten.scatter_add.default, *case)


@few
@given(case=_scatters(), value=st.integers(0, 3))
def test_scatter(case: tuple[torch.Tensor, int, torch.Tensor, torch.Tensor], value: int) -> None:
    x, dim, index, source = case
    check(aten.scatter.value, x, dim, index, value)
    # torch leaves the winner of two writes to one place open: write distinct places
    size = min(x.shape[dim], source.shape[dim])
    order = torch.randperm(size, generator=torch.Generator().manual_seed(0))
    shape = [min(a, b) for a, b in zip(x.shape, source.shape, strict=True)]
    view = [1] * x.dim()
    view[dim] = size
    check(aten.scatter.src, x, dim, order.view(view).expand(shape), source)


@few
@given(
    case=_scatters(),
    reduce=st.sampled_from(["sum", "prod", "mean", "amax", "amin"]),
    include_self=st.booleans(),
)
def test_scatter_reduce(
    case: tuple[torch.Tensor, int, torch.Tensor, torch.Tensor], reduce: str, include_self: bool
) -> None:
    x, dim, index, source = case
    if x.dtype is torch.bool:
        x, source = x.int(), source.int()
    if reduce == "prod":
        x, source = x.clamp(-2, 2), source.clamp(-2, 2)
    check(aten.scatter_reduce.two, x, dim, index, source, reduce, include_self=include_self)


@pytest.mark.parametrize("reduce", ["add", "multiply"])
def test_scatter_combine(reduce: str) -> None:
    x, index = numbered((3, 5)), torch.tensor([[0, 4, 4, 0]])
    check(aten.scatter.reduce, x, 1, index, numbered((3, 4)), reduce=reduce)
    check(aten.scatter.value_reduce, x, 1, index, 1.5, reduce=reduce)


@few
@given(x=tensors(1, 3), data=st.data())
def test_index_updates(x: torch.Tensor, data: st.DataObject) -> None:
    dim = data.draw(axes(x.dim()))
    shape = list(x.shape)
    shape[dim] = data.draw(st.sampled_from(SIZES))
    index = positions((shape[dim],), 0, x.shape[dim])
    source = numbered(tuple(shape), x.dtype)
    check(aten.index_add.default, x, dim, index, source)
    check(aten.index_fill.int_Scalar, x, dim, index - x.shape[dim], 1)
    order = torch.randperm(x.shape[dim], generator=torch.Generator().manual_seed(0))
    check(aten.index_copy.default, x, dim, order, x.flip(dim))


def test_index_add_scales() -> None:
    index = torch.tensor([2, 0, 2])
    check(aten.index_add.default, numbered((2, 3)), 1, index, numbered((2, 3)), alpha=0.5)


def test_index_fill_with_a_tensor() -> None:
    check(aten.index_fill.int_Tensor, numbered((2, 9)), 1, torch.tensor([2, -1]), torch.tensor(7.0))


@pytest.mark.parametrize("reduce", ["prod", "mean", "amax", "amin"])
@pytest.mark.parametrize("include_self", [True, False])
def test_index_reduce(reduce: str, include_self: bool) -> None:
    x, source = numbered((3, 5)) / 16, numbered((3, 4)) / 32
    index = torch.tensor([4, 0, 4, 2])
    check(aten.index_reduce.default, x, 1, index, source, reduce, include_self=include_self)


@few
@given(x=tensors(1, 4), accumulate=st.booleans(), data=st.data())
def test_index_put(x: torch.Tensor, accumulate: bool, data: st.DataObject) -> None:
    count = data.draw(st.sampled_from(SIZES))
    chosen = data.draw(st.lists(st.integers(0, x.dim() - 1), min_size=1, unique=True))
    first = min(chosen)
    indices: list[torch.Tensor | None] = [None] * (max(chosen) + 1)
    for axis in chosen:
        size = x.shape[axis]
        indices[axis] = positions((count,), -size, size, seed=axis)
    if not accumulate:  # one update for each place, or torch's order would show
        for axis in chosen:
            count = min(count, x.shape[axis])
        indices[first] = torch.arange(count)
        indices = [i if i is None else i[:count] for i in indices]
    shape = aten.index.Tensor(x, indices).shape
    kept = data.draw(st.integers(0, len(shape)))
    values = numbered(tuple(data.draw(st.sampled_from([1, n])) for n in shape[kept:]), x.dtype)
    check(aten.index_put.default, x, indices, values, accumulate)


@few
@given(shape=shapes(1, 3), dtype=st.sampled_from(DTYPES), data=st.data())
def test_index_put_with_a_mask(
    shape: tuple[int, ...], dtype: torch.dtype, data: st.DataObject
) -> None:
    x = numbered(shape, dtype)
    rank = data.draw(st.integers(1, len(shape)))
    mask = numbered(shape[:rank], torch.bool)
    check(aten.index_put.default, x, [mask], torch.tensor(1).to(dtype))
    check(aten.index_put.default, x, [mask], torch.ones(shape[rank:], dtype=dtype))


def test_index_put_with_a_mask_behind_other_axes() -> None:
    mask = torch.tensor([True, False, True])
    check(aten.index_put.default, numbered((2, 3, 5)), [None, mask], torch.tensor([2.0]), True)


def test_a_mask_with_as_many_values_as_it_picks_is_refused() -> None:
    mask = torch.tensor([True, False, True])
    with pytest.raises(CompileError, match="fit any number of picked elements"):
        check(aten.index_put.default, numbered((3,)), [mask], torch.tensor([1.0, 2.0]))


@few
@given(x=tensors(1, 3))
def test_masked_scatter(x: torch.Tensor) -> None:
    mask = numbered(tuple(x.shape), torch.bool)
    check(aten.masked_scatter.default, x, mask, numbered((2, x.numel()), x.dtype))


def test_masked_scatter_broadcasts() -> None:
    mask = torch.tensor([[True], [False], [True]])
    check(aten.masked_scatter.default, numbered((3, 5)), mask, numbered((10,)) + 0.5)


def test_put() -> None:
    x, index = numbered((3, 5)), torch.tensor([[2, -1], [7, 2]])
    check(aten.put.default, x, index[:, 1:], numbered((2, 1)))
    check(aten.put.default, x, index, numbered((2, 2)), True)


def test_scalars() -> None:
    scalar, zero = torch.tensor(2.5), torch.tensor(0)
    check(aten.scatter_add.default, scalar, 0, zero, scalar)
    check(aten.index_add.default, scalar, 0, zero, scalar)
    check(aten.index_fill.int_Scalar, scalar, 0, zero, 3)
    check(aten.scatter_add.default, numbered((5,)), 0, torch.tensor(3), scalar)
