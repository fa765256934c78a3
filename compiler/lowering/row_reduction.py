"""Reductions of the trailing axes: whole vectors first, then the lanes of one vector.

A row of n elements is reduced to `lanes` partial results side by side, those pairwise to one, and
the n % lanes elements that fill no vector are added last. No step needs a bounds check.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tvm import te, tirx

from .builder import KernelBuilder
from .floats import dtype_of, is_nan
from .indices import Index, shape_of, unflatten_index


@dataclass(frozen=True)
class Operator:
    """How elements are combined: over a reduction axis, two of them, and what none of them give."""

    reduce: Callable[..., Any]
    pair: Callable[[Any, Any], Any]
    identity: Callable[[str], Any]  # dtype -> expression


def _operator(pair: Callable[[Any, Any], Any], identity: Callable[[str], Any]) -> Operator:
    return Operator(te.comm_reducer(pair, identity), pair, identity)


def _least(dtype: str) -> Any:
    return tirx.const(-math.inf, dtype) if "float" in dtype else tirx.min_value(dtype)


def _most(dtype: str) -> Any:
    return tirx.const(math.inf, dtype) if "float" in dtype else tirx.max_value(dtype)


def _larger(a: Any, b: Any) -> Any:
    return tirx.Select(tirx.Or(a > b, _is_nan(a)), a, b)


def _smaller(a: Any, b: Any) -> Any:
    return tirx.Select(tirx.Or(a < b, _is_nan(a)), a, b)


def _is_nan(x: Any) -> Any:
    return is_nan(x) if "float" in dtype_of(x) else tirx.const(False)


OPERATORS = {
    "sum": _operator(lambda a, b: a + b, lambda dtype: tirx.const(0, dtype)),
    "prod": _operator(lambda a, b: a * b, lambda dtype: tirx.const(1, dtype)),
    # The maximum or minimum of numbers; what NaN gives depends on its place.
    "max": _operator(lambda a, b: tirx.max(a, b), _least),
    "min": _operator(lambda a, b: tirx.min(a, b), _most),
    # The same, and NaN where there is one.
    "amax": _operator(_larger, _least),
    "amin": _operator(_smaller, _most),
}


def row_reduce(
    x: te.Tensor, count: int, combine: str, kernel: KernelBuilder, *, tagged: bool = True
) -> te.Tensor:
    """The last `count` axes of x reduced to none.

    Args:
        x: [rows..., elements...].
        count: How many axes hold the elements of one row.
        combine: A name in `OPERATORS`.
        kernel: Knows how many lanes a vector has.
        tagged: Whether rows run one after the other with the stage that reads them; else every
            step is a loop nest of its own.
    """
    operator = OPERATORS[combine]
    reduce, pair = operator.reduce, operator.pair
    lead, tail = shape_of(x)[: len(x.shape) - count], shape_of(x)[len(x.shape) - count :]
    size, lanes = math.prod(tail), kernel.lanes(str(x.dtype))
    notes = row_notes(len(lead)) if tagged else {}

    def element(row: Sequence[Index], position: Index) -> Any:
        return x(*row, *unflatten_index(position, tail))

    def reduced(first: int, length: int, name: str) -> te.Tensor:
        k = te.reduce_axis((0, length), name="k")
        return te.compute(
            lead, lambda *row: reduce(element(row, first + k), axis=k), name=name, attrs=notes
        )

    whole = size - size % lanes
    if whole < 2 * lanes:
        return reduced(0, size, combine)
    k = te.reduce_axis((0, whole // lanes), name="k")
    vector = te.compute(
        (*lead, lanes),
        lambda *at: reduce(element(at[:-1], k * lanes + at[-1]), axis=k),
        name=f"{combine}_vector",
        attrs=notes,
    )
    total = _halve(vector, pair, f"{combine}_half", notes)
    if whole == size:
        return te.compute(lead, lambda *row: total(*row, 0), name=combine, attrs=notes)
    rest = reduced(whole, size - whole, f"{combine}_rest")
    return te.compute(
        lead, lambda *row: pair(total(*row, 0), rest(*row)), name=combine, attrs=notes
    )


def row_notes(rows: int) -> dict[str, Any]:
    """Annotations of a stage whose first `rows` axes are independent rows."""
    return {"schedule": "rows", "rows": rows} if rows else {}


def _halve(
    vector: te.Tensor, pair: Callable[[Any, Any], Any], name: str, notes: dict[str, Any]
) -> te.Tensor:
    """The lanes of each vector reduced to one, a power of two of them."""
    *lead, lanes = shape_of(vector)
    while lanes > 1:
        lanes //= 2
        vector = _fold(vector, lanes, lead, pair, name, notes)
    return vector


def _fold(
    vector: te.Tensor,
    lanes: int,
    lead: Sequence[int],
    pair: Callable[[Any, Any], Any],
    name: str,
    notes: dict[str, Any],
) -> te.Tensor:
    def element(*at: Index) -> Any:
        *row, lane = at
        return pair(vector(*row, lane), vector(*row, lane + lanes))

    return te.compute((*lead, lanes), element, name=f"{name}{lanes}", attrs=notes)
