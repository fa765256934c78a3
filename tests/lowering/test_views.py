"""Views: the same elements under another shape or order of axes."""

from itertools import pairwise
from math import prod
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch._ops import OpOverload

from .harness import check
from .strategies import DTYPES, axes, few, numbered, shapes, tensors

aten = torch.ops.aten


@st.composite
def _reshapes(draw: st.DrawFn) -> tuple[torch.Tensor, list[int]]:
    """A tensor and a shape with as many elements, the factors dealt out anew."""
    factors = draw(st.lists(st.sampled_from([1, 2, 3, 5]), min_size=1, max_size=5))
    both = []
    for _ in range(2):
        cuts = sorted(draw(st.lists(st.integers(0, len(factors)), max_size=4)))
        edges = [0, *cuts, len(factors)]
        both.append([prod(factors[i:j]) for i, j in pairwise(edges)])
        factors = draw(st.permutations(factors))
    return numbered(tuple(both[0]), draw(st.sampled_from(DTYPES))), both[1]


@few
@given(case=_reshapes())
def test_reshape(case: tuple[torch.Tensor, list[int]]) -> None:
    x, shape = case
    for op in (aten.view.default, aten.reshape.default, aten._unsafe_view.default):
        check(op, x, shape)


@pytest.mark.parametrize(
    ("op", "shape", "arguments"),
    [
        (aten.view.default, (4, 6), [-1]),
        (aten.view.default, (1,), []),
        (aten.view.default, (), [1, 1]),
        (aten.view.default, (2, 3, 8, 4), [2, 3, 2, 4, 4]),
        (aten.squeeze.default, (1, 3, 1, 5), None),
        (aten.squeeze.default, (1, 1), None),
        (aten.squeeze.dim, (1, 3, 1), -1),
        (aten.squeeze.dim, (1, 3, 1), 1),
        (aten.squeeze.dims, (1, 3, 1), [0, -1]),
        (aten.unsqueeze.default, (3, 5), -1),
        (aten.unsqueeze.default, (), 0),
        (aten.unflatten.int, (2, 12), (-1, [3, -1])),
        (aten.flatten.using_ints, (2, 3, 5, 7), (1, -2)),
        (aten.flatten.using_ints, (), None),
        (aten.ravel.default, (3, 5), None),
        (aten.atleast_1d.default, (), None),
        (aten.alias.default, (3, 9), None),
        (aten.detach.default, (3, 9), None),
        (aten.lift_fresh_copy.default, (3, 9), None),
    ],
)
def test_reshape_family(op: OpOverload, shape: tuple[int, ...], arguments: Any) -> None:
    rest = arguments if isinstance(arguments, tuple) else () if arguments is None else (arguments,)
    check(op, numbered(shape), *rest)


def test_shape_of_another_tensor() -> None:
    check(aten.view_as.default, numbered((2, 9)), numbered((3, 6)))
    check(aten.reshape_as.default, numbered((2, 9)), numbered((18,)))
    check(aten.expand_as.default, numbered((9,)), numbered((3, 9)))


@few
@given(x=tensors(0), data=st.data())
def test_permute(x: torch.Tensor, data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(x.dim())))
    negative = data.draw(st.booleans())
    check(aten.permute.default, x, [axis - x.dim() if negative else axis for axis in order])


@few
@given(x=tensors(0), data=st.data())
def test_transpose(x: torch.Tensor, data: st.DataObject) -> None:
    first, second = data.draw(axes(x.dim())), data.draw(axes(x.dim()))
    for op in (aten.transpose.int, aten.swapaxes.default, aten.swapdims.default):
        check(op, x, first, second)


@pytest.mark.parametrize("op", [aten.t.default, aten.mT.default, aten.mH.default])
def test_matrix_transpose(op: OpOverload) -> None:
    check(op, numbered((3, 9)))


def test_transposes_of_other_ranks() -> None:
    check(aten.t.default, numbered((5,)))
    check(aten.adjoint.default, numbered((2, 3, 9)))
    check(aten.numpy_T.default, numbered((3, 9)))
    check(aten.matrix_H.default, numbered((3, 9)))


@few
@given(x=tensors(), data=st.data())
def test_movedim(x: torch.Tensor, data: st.DataObject) -> None:
    source, destination = data.draw(axes(x.dim())), data.draw(axes(x.dim()))
    check(aten.movedim.int, x, source, destination)
    check(aten.moveaxis.int, x, source, destination)


def test_movedim_of_several_axes() -> None:
    x = numbered((2, 3, 5, 7))
    check(aten.movedim.intlist, x, [0, -1], [-2, 0])
    check(aten.moveaxis.intlist, x, [3, 1], [1, 0])


@few
@given(shape=shapes(1, 4), data=st.data())
def test_expand(shape: tuple[int, ...], data: st.DataObject) -> None:
    kept = data.draw(st.integers(0, len(shape)))
    source = [data.draw(st.sampled_from([1, size])) for size in shape[len(shape) - kept :]]
    x = numbered(tuple(source), data.draw(st.sampled_from(DTYPES)))
    check(aten.expand.default, x, list(shape))
    check(aten.broadcast_to.default, x, list(shape))
