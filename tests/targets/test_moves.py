"""Moves against numpy: whole tiles, edges, short axes, elementwise operations on the way."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import tvm
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from tvm import te

import penjing
from penjing.targets.cpu.moves import move_of
from penjing.targets.cpu.stages import stages
from tests.lowering.harness import check
from tests.lowering.samples import FEW, random

aten = torch.ops.aten
SIZES = st.sampled_from([1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 23])
FLOATS = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int8, torch.bool]


@FEW
@given(st.tuples(SIZES, SIZES, SIZES), st.permutations(range(3)), st.sampled_from(FLOATS))
def test_permute(shape: tuple[int, ...], axes: list[int], dtype: torch.dtype) -> None:
    x = (random(*shape) * 50).to(dtype)
    check(aten.permute.default, x, axes)


@FEW
@given(st.sampled_from([1, 2, 3]), SIZES, SIZES, st.sampled_from([2, 3, 4]))
def test_pixel_shuffles(channels: int, height: int, width: int, r: int) -> None:
    check(aten.pixel_shuffle.default, random(1, channels * r * r, height, width), r)
    check(aten.pixel_unshuffle.default, random(2, channels, height * r, width * r), r)


class _Sum(nn.Module):
    def forward(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return (x.transpose(0, 1) + y).relu(), x.transpose(1, 2) * y.transpose(0, 2)


@pytest.mark.qemu
@pytest.mark.parametrize("target", ["host", "arm-a72", "arm-generic"])
@pytest.mark.parametrize("threads", [1, 2])
def test_operations_on_the_way(target: str, threads: int) -> None:
    torch.manual_seed(0)
    inputs = torch.randn(21, 21, 21), torch.randn(21, 21, 21)
    artifact = penjing.compile(_Sum(), inputs, target=target, threads=threads)
    for got, wanted in zip(artifact.run(*inputs), _Sum()(*inputs), strict=True):
        np.testing.assert_array_equal(got, wanted.numpy())


def _moves(shape: tuple[int, ...], value: Callable[..., Any], source: tuple[int, ...]) -> Any:
    x = te.placeholder(source, "float32", name="x")
    func = te.create_prim_func([x, te.compute(shape, lambda *at: value(x, *at), name="y")])
    sch = tvm.s_tir.Schedule(tvm.IRModule({"main": func}))
    (stage,) = stages(sch)
    return move_of(stage, penjing.targets.get("arm-a72"))


def test_neighbors_that_move_together_are_one_axis() -> None:
    move = _moves((2, 14, 14, 32), lambda x, n, h, w, c: x(n, c, h, w), (2, 32, 14, 14))
    assert (move.across.extent, move.along.extent) == (196, 32)
    assert [axis.extent for axis in move.others] == [2]


def test_copies_of_rows_are_no_moves() -> None:
    assert _moves((8, 9, 16), lambda x, i, j, k: x(j, i, k), (9, 8, 16)) is None
    assert _moves((8, 16), lambda x, i, j: x(i, 15 - j), (8, 16)) is None
    guarded = lambda x, i, j: tvm.tirx.if_then_else(i < 3, x(j, i), 0.0)  # noqa: E731
    assert _moves((8, 16), guarded, (16, 8)) is None


def test_a_buffer_inside_a_kernel_of_which_a_part_is_unused() -> None:
    """TVM cuts off that part, so every index has to be one of the buffer's."""
    x, w = random(2, 7, 6), random(2, 3, 1, 1)
    check(aten.conv_transpose2d.input, x, w, None, [1, 1], [1, 1], atol=1e-5)
