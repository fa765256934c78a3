"""Paddings of every mode, also negative."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from penjing.compiler.errors import CompileError
from penjing.compiler.ir.tensor_spec import TensorSpec
from penjing.compiler.lowering.rules.padding import pad_by_mode

from .harness import check
from .strategies import few, numbered, tensors

aten = torch.ops.aten


def _pads(data: st.DataObject, sizes: list[int], limit: int) -> list[int]:
    """Pairs from the last axis on that keep at least one element, at most `limit` per side."""
    pads = []
    for size in reversed(sizes):
        before = data.draw(st.integers(1 - size, min(limit, size - 1)))
        after = data.draw(st.integers(1 - size - min(before, 0), min(limit, size - 1)))
        pads += [before, after]
    return pads


@few
@given(x=tensors(), data=st.data())
def test_constant_pad(x: torch.Tensor, data: st.DataObject) -> None:
    axes = data.draw(st.integers(1, x.dim()))
    pad = [p + data.draw(st.integers(0, 3)) for p in _pads(data, list(x.shape[-axes:]), 3)]
    check(aten.constant_pad_nd.default, x, pad, data.draw(st.sampled_from([0, 1, 2])))


def test_pad_with_infinity() -> None:
    check(aten.constant_pad_nd.default, numbered((2, 7)), [1, 2], float("-inf"))


@few
@given(size=st.sampled_from([(1, 9), (2, 5, 7), (1, 2, 4, 3)]), data=st.data())
def test_reflect_and_replicate(size: tuple[int, ...], data: st.DataObject) -> None:
    x = numbered((2, *size), data.draw(st.sampled_from([torch.float32, torch.bfloat16])))
    pad = _pads(data, list(size[1:]), 4)
    rank = len(size) - 1
    check(getattr(aten, f"reflection_pad{rank}d").default, x, pad)
    check(getattr(aten, f"replication_pad{rank}d").default, x, [p + 2 for p in pad])


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
def test_pad_by_mode(mode: str) -> None:
    check(aten.pad.default, numbered((1, 2, 5, 7)), [3, 1, 2, 4], mode)


def test_pad_with_value() -> None:
    check(aten.pad.default, numbered((2, 5)), [1, -1, 0, 2], "constant", 2.5)


def test_circular() -> None:
    check(aten._pad_circular.default, numbered((1, 2, 5, 7)), [7, 0, -1, 4])


def test_unknown_mode_is_refused() -> None:
    x = torch.empty(2, 3)
    with pytest.raises(CompileError, match="unknown padding mode 'mirror'"):
        pad_by_mode(x, [1, 1], "mirror", out=TensorSpec((2, 5), "float32"))
