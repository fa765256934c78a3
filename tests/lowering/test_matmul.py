"""Products of vectors, matrices and batches against torch."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from .harness import check
from .samples import FEW, SIZES, random, weight

aten = torch.ops.aten
BATCHES = st.sampled_from(
    [((), (3,)), ((3,), ()), ((2, 3), (2, 3)), ((1, 3), (2, 1)), ((2, 1, 3), (3,)), ((4,), (1,))]
)


@FEW
@given(BATCHES, SIZES, SIZES, SIZES, st.booleans())
def test_batches_broadcast(
    batches: tuple[tuple[int, ...], tuple[int, ...]], m: int, k: int, n: int, constant: bool
) -> None:
    x, y = random(*batches[0], m, k), random(*batches[1], k, n)
    check(aten.matmul.default, x, weight(y, constant), atol=1e-5)


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize(
    ("left", "right"),
    [((7,), (7,)), ((7,), (7, 9)), ((5, 7), (7,)), ((2, 5, 7), (7,)), ((7,), (2, 3, 7, 9))],
)
def test_vectors(left: tuple[int, ...], right: tuple[int, ...], constant: bool) -> None:
    check(aten.matmul.default, random(*left), weight(random(*right), constant), atol=1e-5)


def test_operators_of_fixed_rank() -> None:
    check(aten.mm.default, random(5, 7), random(7, 3), atol=1e-5)
    check(aten.bmm.default, random(2, 5, 7), random(2, 7, 3), atol=1e-5)
    check(aten.mv.default, random(5, 7), random(7), atol=1e-5)
    check(aten.dot.default, random(7), random(7), atol=1e-5)
    check(aten.vdot.default, random(7), random(7), atol=1e-5)
    check(aten.outer.default, random(3), random(5))
    check(aten.ger.default, random(3), random(5))


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64, torch.uint8, torch.int8])
def test_integers_wrap_as_in_torch(dtype: torch.dtype) -> None:
    x, y = random(5, 17, dtype=torch.int64).to(dtype), random(17, 9, dtype=torch.int64).to(dtype)
    check(aten.mm.default, x, weight(y, True))


@FEW
@given(SIZES, SIZES)
def test_bilinear(first: int, second: int) -> None:
    w, b = random(4, first, second), random(4)
    check(aten.bilinear.default, random(2, 3, first), random(2, 3, second), w, b, atol=1e-4)


def test_trilinear() -> None:
    args = random(6, 7), random(4, 7, 5), random(6, 5)
    check(aten._trilinear.default, *args, [1, 3], [0], [1, 2], [2, 3], atol=1e-4)
