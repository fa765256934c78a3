"""Reads at places known only at run time."""

import pytest
import torch
import tvm
from hypothesis import given
from hypothesis import strategies as st

from penjing.compiler.errors import CompileError

from .harness import build, check
from .strategies import SIZES, axes, few, numbered, positions, shapes, tensors

aten = torch.ops.aten

integers = st.sampled_from([torch.int64, torch.int32])


@few
@given(shape=shapes(0, 3), width=st.sampled_from(SIZES), dtype=integers)
def test_embedding(shape: tuple[int, ...], width: int, dtype: torch.dtype) -> None:
    weight = numbered((11, width))
    check(aten.embedding.default, weight, positions(shape, 0, 11).to(dtype), 3)


@few
@given(x=tensors(), data=st.data())
def test_gather(x: torch.Tensor, data: st.DataObject) -> None:
    dim = data.draw(axes(x.dim()))
    shape = [data.draw(st.integers(1, size)) for size in x.shape]
    shape[dim] = data.draw(st.sampled_from(SIZES))
    index = positions(tuple(shape), 0, x.shape[dim])
    check(aten.gather.default, x, dim, index)


@few
@given(x=tensors(), data=st.data())
def test_index_select(x: torch.Tensor, data: st.DataObject) -> None:
    dim = data.draw(axes(x.dim()))
    index = positions((data.draw(st.sampled_from(SIZES)),), 0, x.shape[dim])
    check(aten.index_select.default, x, dim, index.to(data.draw(integers)))


@few
@given(x=tensors(), shape=shapes(0, 2))
def test_take(x: torch.Tensor, shape: tuple[int, ...]) -> None:
    check(aten.take.default, x, positions(shape, -x.numel(), x.numel()))


def test_take_along_dim() -> None:
    x = numbered((3, 1, 7))
    check(aten.take_along_dim.default, x, positions((1, 5, 2), 0, 7), -1)
    check(aten.take_along_dim.default, x, positions((4,), 0, 21))


def test_scalars() -> None:
    scalar, zero = torch.tensor(2.5), torch.tensor(0)
    check(aten.gather.default, scalar, 0, zero)
    check(aten.gather.default, scalar, -1, torch.zeros(3, dtype=torch.int64))
    check(aten.gather.default, numbered((5,)), 0, torch.tensor(3))
    check(aten.index_select.default, scalar, 0, torch.tensor([0]))
    check(aten.index_select.default, numbered((2, 3)), 1, torch.tensor(2))


@few
@given(x=tensors(), data=st.data())
def test_index(x: torch.Tensor, data: st.DataObject) -> None:
    broadcast = data.draw(shapes(0, 2))
    indices: list[torch.Tensor | None] = []
    for axis, size in enumerate(x.shape):
        if data.draw(st.booleans()):
            kept = data.draw(st.integers(0, len(broadcast)))
            shape = [data.draw(st.sampled_from([1, n])) for n in broadcast[kept:]]
            indices.append(positions(tuple(shape), -size, size, seed=axis))
        else:
            indices.append(None)
    if all(index is None for index in indices):
        indices[0] = positions(broadcast, 0, x.shape[0])
    check(aten.index.Tensor, x, indices)
    check(aten._unsafe_index.Tensor, x, indices)


def test_index_with_fewer_entries_than_axes() -> None:
    index = torch.tensor([[2, -1], [0, 1]], dtype=torch.int32)
    check(aten.index.Tensor, numbered((2, 3, 5)), [None, index])


def test_masks_are_refused() -> None:
    with pytest.raises(CompileError, match="a mask picks as many elements as the data says"):
        check(aten.index.Tensor, numbered((2, 3)), [torch.tensor([True, False])])


def test_indices_out_of_range_stay_inside() -> None:
    weight = numbered((5, 3))
    function, inputs, _ = build(aten.embedding.default, weight, torch.tensor([0, 4, 2]))
    inputs[1].copy_(torch.tensor([-1, 5, 2]))  # torch refuses these
    result = torch.empty(3, 3)
    buffers = (tvm.runtime.from_dlpack(tensor) for tensor in (*inputs, result))
    tvm.compile(function, target="llvm")["main"](*buffers)
    assert torch.equal(result, weight[[0, 4, 2]])


def test_one_hot() -> None:
    check(aten.one_hot.default, positions((3, 5), 0, 9), 9)
    with pytest.raises(CompileError, match="number of classes"):
        check(aten.one_hot.default, positions((3,), 0, 9))
