"""Flips, rolls, tiles and shuffles."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from penjing.compiler.errors import CompileError

from .harness import Weight, check
from .strategies import axes, few, numbered, tensors

aten = torch.ops.aten


@few
@given(x=tensors(), data=st.data())
def test_flip(x: torch.Tensor, data: st.DataObject) -> None:
    dims = data.draw(st.permutations(range(x.dim())))[: data.draw(st.integers(0, x.dim()))]
    check(aten.flip.default, x, [dim - x.dim() for dim in dims])


@pytest.mark.parametrize("turns", [-1, 0, 1, 2, 3])
def test_rotate(turns: int) -> None:
    check(aten.rot90.default, numbered((2, 3, 9)), turns, [-1, 1])


def test_flip_rows_and_columns() -> None:
    check(aten.fliplr.default, numbered((3, 9)))
    check(aten.flipud.default, numbered((3, 9)))


@few
@given(x=tensors(), data=st.data())
def test_roll(x: torch.Tensor, data: st.DataObject) -> None:
    dims = data.draw(st.lists(axes(x.dim()), max_size=3))
    shifts = [data.draw(st.integers(-15, 15)) for _ in dims or [0]]
    check(aten.roll.default, x, shifts, dims)


@few
@given(x=tensors(0, 3), data=st.data())
def test_repeat(x: torch.Tensor, data: st.DataObject) -> None:
    rank = data.draw(st.integers(max(x.dim(), 1), 4))
    check(aten.repeat.default, x, [data.draw(st.integers(1, 3)) for _ in range(rank)])


def test_tile_with_fewer_axes() -> None:
    check(aten.tile.default, numbered((2, 3, 5)), [2])


@few
@given(x=tensors(1, 3), data=st.data())
def test_repeat_elements(x: torch.Tensor, data: st.DataObject) -> None:
    times = data.draw(st.integers(1, 4))
    check(aten.repeat_interleave.self_int, x, times)
    check(aten.repeat_interleave.self_int, x, times, data.draw(axes(x.dim())))


def test_repeat_each_element_by_a_weight() -> None:
    repeats = Weight(torch.tensor([2, 0, 3]))
    check(aten.repeat_interleave.self_Tensor, numbered((2, 3)), repeats, 1)
    check(aten.repeat_interleave.self_Tensor, numbered((3,)), repeats)
    check(aten.repeat_interleave.self_Tensor, numbered((2, 3)), Weight(torch.tensor([2])), -2)


def test_repeats_known_only_at_run_time_are_refused() -> None:
    with pytest.raises(CompileError, match="no static shape"):
        check(aten.repeat_interleave.self_Tensor, numbered((3,)), torch.tensor([2, 0, 3]))


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_pixel_shuffle(factor: int) -> None:
    r = factor
    check(aten.pixel_shuffle.default, numbered((2, 3 * r * r, 5, 7)), r)
    check(aten.pixel_unshuffle.default, numbered((3, 5 * r, 3 * r), torch.bfloat16), r)


def test_channel_shuffle() -> None:
    check(aten.channel_shuffle.default, numbered((2, 6, 3, 5)), 3)
    check(aten.native_channel_shuffle.default, numbered((2, 6, 3, 5)), 2)
