"""Concatenation, padding and rolling as plain copies of boxes."""

from typing import Any

import pytest
import torch
import tvm
from hypothesis import given
from hypothesis import strategies as st
from tvm import te, tirx

from penjing.targets.cpu.pieces import boxes_of
from penjing.targets.cpu.stages import stages
from tests.lowering.harness import check
from tests.lowering.samples import FEW, random

aten = torch.ops.aten
SIZES = st.sampled_from([1, 2, 5, 8, 13, 40])


@FEW
@given(st.lists(SIZES, min_size=2, max_size=5), st.sampled_from([0, 1, 2]), SIZES, SIZES)
def test_concatenation(parts: list[int], axis: int, height: int, width: int) -> None:
    shapes = [[3, height, width] for _ in parts]
    for shape, part in zip(shapes, parts, strict=True):
        shape[axis] = part
    check(aten.cat.default, [random(*shape) for shape in shapes], axis)


@FEW
@given(st.tuples(*[st.sampled_from([-1, 0, 1, 3])] * 4), SIZES, st.sampled_from([0.0, -1.5]))
def test_padding(pad: tuple[int, ...], width: int, value: float) -> None:
    check(aten.constant_pad_nd.default, random(2, 5, width + 2), list(pad), value)


@FEW
@given(st.tuples(*[st.sampled_from([0, 1, 3])] * 4), SIZES)
def test_reflection(pad: tuple[int, ...], width: int) -> None:
    check(aten.reflection_pad2d.default, random(2, 5, width + 3), list(pad))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int8, torch.bool])
def test_other_types(dtype: torch.dtype) -> None:
    x, y = (random(3, 37) > 0).to(dtype), (random(3, 21) > 0).to(dtype)
    check(aten.cat.default, [x, y], 1)
    check(aten.roll.default, x, [1, 5], [0, 1])


def _boxes(shape: tuple[int, ...], value: Any) -> list[list[int]] | None:
    x = te.placeholder((64,) * len(shape), "float32", name="x")
    func = te.create_prim_func([x, te.compute(shape, lambda *at: value(x, *at), name="y")])
    sch = tvm.s_tir.Schedule(tvm.IRModule({"main": func}))
    (stage,) = stages(sch)
    boxes = boxes_of(stage)
    return None if boxes is None else [box.extents for box in boxes]


def _padded(x: Any, i: Any, j: Any) -> Any:
    inside = tirx.all(i >= 1, i < 9, j >= 2)
    return tirx.if_then_else(inside, x(i - 1, j - 2), tirx.const(0.0, "float32"))


def test_cuts_where_conditions_change() -> None:
    assert _boxes((10, 32), _padded) == [[1, 2], [1, 30], [8, 2], [8, 30], [1, 2], [1, 30]]
    rolled = _boxes((32,), lambda x, i: x(tirx.Select(3 - i > 0, i + 29, i - 3)))
    assert rolled == [[3], [29]]


def test_refuses_what_is_no_copy() -> None:
    zero = tirx.const(0.0, "float32")
    assert _boxes((8, 8), lambda x, i, j: x(i, j)) is None, "nothing to cut"
    assert _boxes((8, 8), lambda x, i, j: tirx.if_then_else(i < j, x(i, j), zero)) is None
    assert _boxes((8, 8), lambda x, i, j: tirx.if_then_else(i < 2, x(i, j), zero) + 1) is None
    alternating = _boxes((8, 2), lambda x, i, j: tirx.if_then_else(j < 1, x(i, i), x(i, 3)))
    assert alternating is None, "rows would be single elements"
