"""Softmax and the norms."""

import math
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given

from penjing.compiler.errors import CompileError

from .harness import Weight, check
from .samples import random
from .strategies import few, shapes

aten = torch.ops.aten
FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


@given(shapes(1, 4), st.data(), st.sampled_from(FLOATS))
@few
def test_softmax(shape: tuple[int, ...], data: st.DataObject, dtype: torch.dtype) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    check(aten.softmax.int, random(*shape, dtype=dtype), axis)


@pytest.mark.parametrize("columns", [1, 7, 16, 31, 64, 129, 384])
def test_rows_of_many_lengths(columns: int) -> None:
    x = random(5, columns) * 20
    check(aten.softmax.int, x, -1)
    check(aten.log_softmax.int, x, 1)
    check(aten.layer_norm.default, x, [columns], random(columns), random(columns))
    check(aten.rms_norm.default, x, [columns], random(columns))


def test_softmax_of_special_rows() -> None:
    rows = torch.tensor([[1.0, -math.inf, 2.0], [1e30, 1e30, -1e30], [math.nan, 1, 2], [800, 0, 1]])
    check(aten.softmax.int, rows, 1)
    check(aten.softmax.int, rows.T.contiguous(), 0)
    check(aten.log_softmax.int, rows[1:], 1)
    check(aten.softmax.int, torch.full((2, 5), -math.inf), 1)


def test_softmax_dtypes() -> None:
    check(aten.softmax.int, random(3, 9, dtype=torch.float16), 1, torch.float32)
    check(aten._softmax.default, random(3, 9), 0, False)
    check(aten._log_softmax.default, random(3, 9), -1, False)
    check(aten.softmax.int, torch.tensor(3.0), 0)
    check(aten.log_softmax.int, torch.tensor(3.0), 0)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("constant", [False, True])
def test_layer_norm(dtype: torch.dtype, constant: bool) -> None:
    def given_(tensor: torch.Tensor) -> Any:
        return Weight(tensor) if constant else tensor

    x = random(2, 3, 4, 9, dtype=dtype)
    weight, bias = random(4, 9, dtype=dtype), random(4, 9, dtype=dtype) + 1
    check(aten.layer_norm.default, x, [4, 9], given_(weight), given_(bias), 1e-6)


def test_layer_norm_options() -> None:
    x = random(2, 3, 17)
    check(aten.layer_norm.default, x, [17])
    check(aten.layer_norm.default, x, [17], random(17))
    check(aten.layer_norm.default, x, [17], None, random(17))
    check(aten.layer_norm.default, x, [2, 3, 17])
    check(aten.native_layer_norm.default, x, [17], random(17), random(17), 1e-5)
    check(aten.layer_norm.default, x + 1000, [17], rtol=1e-3, atol=1e-3)  # one pass: all lost


@pytest.mark.parametrize("dtype", FLOATS)
def test_rms_norm(dtype: torch.dtype) -> None:
    x = random(3, 5, 17, dtype=dtype)
    check(aten.rms_norm.default, x, [17], random(17, dtype=dtype), 1e-6)
    check(aten.rms_norm.default, x, [5, 17])


@pytest.mark.parametrize("space", [(), (7,), (5, 3), (2, 3, 4)])
def test_channel_norms(space: tuple[int, ...]) -> None:
    x, weight, bias = random(2, 6, *space), random(6), random(6) + 1
    for groups in (1, 3, 6):
        if space or groups < 6:
            check(aten.group_norm.default, x, groups, weight, bias, 1e-5)
    mean, variance = random(6) / 3, random(6).abs() + 0.1
    check(aten.batch_norm.default, x, weight, bias, mean, variance, False, 0.1, 1e-3, True)
    check(aten.batch_norm.default, x, None, None, mean, variance, False, 0.1, 1e-3, True)
    if space:
        options = (None, None, True, 0.1, 1e-5, True)
        check(aten.instance_norm.default, x, weight, bias, *options)


def test_group_norm_without_affine() -> None:
    x = random(2, 6, 5, 3)
    check(aten.group_norm.default, x, 2)
    check(aten.group_norm.default, x.bfloat16(), 2, random(6).bfloat16())
    check(aten.native_group_norm.default, x, random(6), random(6), 2, 6, 15, 3, 1e-5)
    check(
        aten.instance_norm.default,
        x,
        None,
        None,
        random(6),
        random(6).abs(),
        False,
        0.1,
        1e-5,
        True,
    )


def test_batch_norm_overloads() -> None:
    x, mean, variance = random(3, 5, 7), random(5), random(5).abs() + 0.1
    statistics = (Weight(mean), Weight(variance))
    check(aten.batch_norm.default, x, random(5), random(5), *statistics, False, 0.1, 1e-5, True)
    check(aten.batch_norm.default, x, random(5), None, None, None, True, 0.1, 1e-5, True)
    check(aten._native_batch_norm_legit.no_stats, x, random(5), random(5), True, 0.1, 1e-5)
    halves = x.half(), random(5), random(5), mean, variance
    check(aten.batch_norm.default, *halves, False, 0.1, 1e-5, True)


def test_batch_norm_refuses_training() -> None:
    x, statistics = random(3, 5, 7), (random(5), random(5).abs())
    with pytest.raises(CompileError, match="running statistics"):
        check(aten.batch_norm.default, x, None, None, *statistics, True, 0.1, 1e-5, True)
