"""Tensors of numbers known at compile time."""

from typing import Any

import pytest
import torch
from torch._ops import OpOverload

from .harness import check
from .strategies import DTYPES, numbered

aten = torch.ops.aten


@pytest.mark.parametrize("dtype", DTYPES)
def test_filled(dtype: torch.dtype) -> None:
    like = numbered((3, 9), dtype)
    check(aten.full.default, [2, 9], 2, dtype=dtype)
    check(aten.full.default, [], 1, dtype=dtype)
    check(aten.full_like.default, like, 1.5)
    check(aten.new_full.default, like, [5], True)
    check(aten.zeros.default, [1, 7], dtype=dtype)
    check(aten.zeros_like.default, like)
    check(aten.new_zeros.default, like, [2, 2])
    check(aten.ones.default, [3], dtype=dtype)
    check(aten.ones_like.default, like, dtype=torch.float32)
    check(aten.new_ones.default, like, [2, 2])
    check(aten.scalar_tensor.default, 3, dtype=dtype)
    check(aten.eye.default, 5, dtype=dtype)
    check(aten.eye.m, 3, 9, dtype=dtype)


@pytest.mark.parametrize(
    ("op", "args"),
    [
        (aten.empty.memory_format, ([3, 5],)),
        (aten.empty_like.default, (numbered((3, 5)),)),
        (aten.empty_permuted.default, ([3, 5], [1, 0])),
        (aten.empty_strided.default, ([3, 5], [5, 1])),
        (aten.new_empty.default, (numbered((2,)), [3, 5])),
        (aten.new_empty_strided.default, (numbered((2,)), [3, 5], [5, 1])),
    ],
)
def test_uninitialized_memory_is_zero(op: OpOverload, args: tuple[Any, ...]) -> None:
    check(op, *args, reference=lambda *_: torch.zeros(3, 5))


def test_infinity() -> None:
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        check(aten.full.default, [3], float("-inf"), dtype=dtype)
        check(aten.full.default, [3], torch.finfo(dtype).min, dtype=dtype)


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.int64, torch.int32, torch.float16, torch.bfloat16]
)
def test_ranges(dtype: torch.dtype) -> None:
    check(aten.arange.default, 9, dtype=dtype, rtol=0, atol=0)
    check(aten.arange.start, -3, 4, dtype=dtype, rtol=0, atol=0)
    check(aten.arange.start_step, 9, -8, -2, dtype=dtype, rtol=0, atol=0)
    check(aten.linspace.default, -3, 5, 11, dtype=dtype, rtol=0, atol=0)


def test_float_steps() -> None:
    check(aten.arange.start_step, 0.1, 1.3, 0.07, rtol=0, atol=0)
    check(aten.logspace.default, 0, 2, 5, rtol=0, atol=0)


def test_triangle_indices() -> None:
    check(aten.tril_indices.default, 3, 5, 1)
    check(aten.triu_indices.default, 4, 3, -1, dtype=torch.int32)
