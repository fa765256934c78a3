"""Rows of every length: whole vectors, halves of vectors, single elements."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tvm import te

from penjing.compiler.ir.tensor_spec import TensorSpec
from penjing.compiler.lowering.builder import KernelBuilder
from penjing.compiler.lowering.rules.row_reduction import row_reduce

from .harness import TARGET, execute
from .strategies import few, numbered

WANTED: dict[str, Any] = {
    "sum": torch.sum,
    "prod": torch.prod,
    "max": torch.amax,
    "min": torch.amin,
    "amax": torch.amax,
    "amin": torch.amin,
}


def reduce_rows(x: torch.Tensor, combine: str) -> torch.Tensor:
    """The compiled `row_reduce` over the last axis."""
    holder = te.placeholder(tuple(x.shape), TensorSpec.of(x).dtype, name="x")
    rows = row_reduce(holder, 1, combine, KernelBuilder(TARGET, {}))
    function = te.create_prim_func([holder, rows])
    spec = TensorSpec(tuple(x.shape[:-1]), TensorSpec.of(x).dtype)
    return execute(function, [x], [spec])[0]


@few
@given(
    combine=st.sampled_from(sorted(WANTED)),
    length=st.integers(1, 300),
    rows=st.sampled_from([(), (1,), (3,), (2, 5)]),
)
def test_rows_of_any_length(combine: str, length: int, rows: tuple[int, ...]) -> None:
    x = numbered((*rows, length), torch.int64)
    assert torch.equal(reduce_rows(x, combine), WANTED[combine](x, dim=-1))


@pytest.mark.parametrize("place", [0, 40, 63, 64, 66])
def test_extrema_keep_nan(place: int) -> None:
    x = numbered((2, 67))
    x[1, place] = torch.nan
    for combine in ("amax", "amin"):
        torch.testing.assert_close(
            reduce_rows(x, combine), WANTED[combine](x, dim=-1), equal_nan=True
        )
