"""Places in sorted sequences."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from penjing.compiler.errors import CompileError

from .harness import check
from .strategies import SIZES, few, positions, shapes

aten = torch.ops.aten

dtypes = st.sampled_from([torch.float32, torch.int64, torch.int32, torch.float16])


@few
@given(
    shape=shapes(0, 3), size=st.integers(1, 40), dtype=dtypes, right=st.booleans(), data=st.data()
)
def test_bucketize(
    shape: tuple[int, ...], size: int, dtype: torch.dtype, right: bool, data: st.DataObject
) -> None:
    boundaries = positions((size,), -20, 20).sort().values.to(dtype)
    values = positions(shape, -25, 25, seed=1).to(dtype)
    narrow = data.draw(st.booleans())
    check(aten.bucketize.Tensor, values, boundaries, out_int32=narrow, right=right)


@few
@given(shape=shapes(1, 3), size=st.sampled_from(SIZES), right=st.booleans())
def test_searchsorted_in_rows(shape: tuple[int, ...], size: int, right: bool) -> None:
    rows = positions((*shape[:-1], size), -9, 9).float()
    values = positions(shape, -10, 10, seed=1).float()
    check(aten.searchsorted.Tensor, rows.sort().values, values, right=right)
    side = "right" if right else "left"
    sorter = rows.sort().indices
    check(aten.searchsorted.Tensor, rows, values, side=side, sorter=sorter)


def test_numbers() -> None:
    boundaries = torch.tensor([1.0, 2.0, 2.0, 5.0])
    check(aten.bucketize.Scalar, 2.0, boundaries)
    check(aten.searchsorted.Scalar, boundaries, 2.0, right=True)


def test_nan_comes_last() -> None:
    check(aten.bucketize.Tensor, torch.tensor([float("nan"), 1.0]), torch.tensor([0.0, 2.0]))


def test_other_dtypes_are_refused() -> None:
    with pytest.raises(CompileError, match="dtype of the sorted sequence"):
        check(
            aten.bucketize.Tensor,
            torch.tensor([1]),
            torch.tensor([0.0, 2.0]),
            reference=lambda *_: torch.tensor([1]),
        )
