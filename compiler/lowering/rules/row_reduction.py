"""Reductions of the trailing axes: whole vectors first, then the lanes of one vector.

A row is reduced to a few vectors of partial results side by side, and these in halves to one. The
elements left over join where there are as many partial results: 7 of them with 4, 2 and 1. Nothing
is read one by one, and no step needs a bounds check.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tvm import te, tirx

from ..builder import KernelBuilder
from ..math.floats import Lets, dtype_of, is_nan
from .indices import Index, shape_of, unflatten_index

VECTORS = 4  # reduced side by side: an addition takes three or four cycles, and one starts in each


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


def _with_nan(pair: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The larger or smaller of two numbers; NaN where one is NaN."""

    def either(a: Any, b: Any) -> Any:
        if "float" not in dtype_of(b):
            return pair(a, b)
        bind = Lets()
        b = bind(b)
        return bind.close(
            tirx.Select(is_nan(b), b, pair(b, a))
        )  # (b, NaN) gives NaN: b > a ? b : a

    return either


OPERATORS = {
    "sum": _operator(lambda a, b: a + b, lambda dtype: tirx.const(0, dtype)),
    "prod": _operator(lambda a, b: a * b, lambda dtype: tirx.const(1, dtype)),
    "any": _operator(lambda a, b: a | b, lambda dtype: tirx.const(0, dtype)),
    # The maximum or minimum of numbers; what NaN gives depends on its place.
    "max": _operator(lambda a, b: tirx.max(a, b), _least),
    "min": _operator(lambda a, b: tirx.min(a, b), _most),
    # The same, and NaN where there is one.
    "amax": _operator(_with_nan(tirx.max), _least),
    "amin": _operator(_with_nan(tirx.min), _most),
}


def row_reduce(
    x: te.Tensor,
    count: int,
    combine: str,
    kernel: KernelBuilder,
    *,
    tagged: bool = True,
    width: int | None = None,
) -> te.Tensor:
    """The last `count` axes of x reduced to none.

    Args:
        x: [rows..., elements...], with at least one element in a row.
        count: How many axes hold the elements of one row.
        combine: A name in `OPERATORS`.
        kernel: Knows how many lanes a vector has.
        tagged: Whether rows run one after the other with the stage that reads them; else every
            step is a loop nest of its own.
        width: How many partial results there are, a power of two up to the size of a row, where
            the order counts; by default what suits the vectors of the target.
    """
    operator = OPERATORS[combine]
    lead, tail = shape_of(x)[: len(x.shape) - count], shape_of(x)[len(x.shape) - count :]
    size = math.prod(tail)
    width = width or min(kernel.lanes(str(x.dtype)) * VECTORS, 1 << size.bit_length() - 1)
    notes = (row_notes(len(lead)) if tagged else {}) or {"schedule": "stored", "rows": len(lead)}

    def element(row: Sequence[Index], position: Index) -> Any:
        return x(*row, *unflatten_index(position, tail))

    def partial(*at: Index) -> Any:
        *row, lane = at
        if size < 2 * width:
            return element(row, lane)
        k = te.reduce_axis((0, size // width), name="k")
        return operator.reduce(element(row, k * width + lane), axis=k)

    def halved(wider: te.Tensor, first: int, width: int) -> te.Tensor:
        def fold(*at: Index) -> Any:
            *row, lane = at
            value = operator.pair(wider(*row, lane), wider(*row, lane + width))
            return operator.pair(value, element(row, first + lane)) if size & width else value

        return te.compute((*lead, width), fold, name=f"{combine}{width}", attrs=notes)

    total = te.compute((*lead, width), partial, name=f"{combine}{width}", attrs=notes)
    done = size - size % width
    while width > 1:
        width //= 2
        total = halved(total, done, width)
        done += size & width
    return te.compute(lead, lambda *row: total(*row, 0), name=combine, attrs=notes)


def row_notes(rows: int) -> dict[str, Any]:
    """Annotations of a stage whose first `rows` axes are independent rows."""
    return {"schedule": "rows", "rows": rows} if rows else {}
