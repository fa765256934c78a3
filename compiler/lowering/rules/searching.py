"""Places of values in sorted sequences."""

from collections.abc import Callable
from typing import Any

import torch
from tvm import te, tirx

from ...errors import CompileError
from ...ir.tensor_spec import TensorSpec
from ..registry import lowers
from .indices import Index, clamp_index, shape_of
from .statements import Statements, for_each, load, store

aten = torch.ops.aten


@lowers(aten.searchsorted.Tensor, aten.searchsorted.Scalar)
def searchsorted(
    sequence: te.Tensor,
    value: te.Tensor | float,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: te.Tensor | None = None,
    out: TensorSpec,
) -> te.Tensor:
    """How many elements of a row are below the value, or with right=True not above it.

    `sequence` [.., n] has a row for each row of the values, or is one row for all; `sorter` gives
    the order in which its elements ascend.
    """
    if isinstance(value, te.Tensor) and str(value.dtype) != str(sequence.dtype):
        raise CompileError(
            "a search needs values of the dtype of the sorted sequence",
            got=f"{value.dtype} in {sequence.dtype}",
            fix="cast one of them",
        )
    size = shape_of(sequence)[-1]
    search = Statements()
    row = search.input(sequence)
    order = None if sorter is None else search.input(sorter)
    wanted = search.reader(value, str(sequence.dtype))
    ranks, rank = search.output(out.shape, out.dtype), search.output((), "int32")

    def find(at: list[Index]) -> Any:
        lead = at[:-1] if len(sequence.shape) > 1 else []

        def item(k: Index) -> Any:
            return load(
                row, [*lead, k if order is None else clamp_index(load(order, [*lead, k]), size)]
            )

        halvings = _halve(rank, item, size, wanted(at), right or side == "right")
        return tirx.SeqStmt([*halvings, store(ranks, load(rank, []), at)])

    search.add(for_each(out.shape, find))
    return search.tensors("searchsorted")[0]


@lowers(aten.bucketize.Tensor, aten.bucketize.Scalar)
def bucketize(
    value: te.Tensor | float,
    boundaries: te.Tensor,
    *,
    out_int32: bool = False,
    right: bool = False,
    out: TensorSpec,
) -> te.Tensor:
    """`searchsorted` in one row of boundaries."""
    return searchsorted(boundaries, value, right=right, out=out)


def _halve(
    rank: Any, item: Callable[[Index], Any], size: int, value: Any, right: bool
) -> list[Any]:
    """Statements that set `rank` to the number of elements of a row that come before a value."""
    statements = [store(rank, tirx.const(0, "int32"), [])]
    step = 1 << (size.bit_length() - 1) if size else 0
    while step:
        further = load(rank, []) + step
        element = item(further - 1)
        # "not e >= v", which tvm would turn into e < v, lets NaN come last, as in torch
        stays = element > value if right else element >= value
        found = tirx.Select(stays, load(rank, []), further)
        found = tirx.if_then_else(further <= size, found, load(rank, []))
        statements.append(store(rank, found, []))
        step //= 2
    return statements
