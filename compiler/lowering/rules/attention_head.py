"""One head of attention, as the kernels of it see its operands."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tvm import tirx

from ..math import exp2
from ..math.exponentials import LOG2_E, scaled_exp2
from .indices import Index

Read = Callable[[Index, Index], Any]  # (row, column) -> element


@dataclass(frozen=True, kw_only=True)
class Head:
    """One head of attention: its operands, in the dtype of the computation."""

    rows: int
    keys: int
    depth: int
    width: int
    dtype: str
    query: Read  # (l, e), times the scale
    key: Read  # (s, e)
    value: Read  # (s, f)
    start: Callable[[Index], Any]  # s -> what a score starts with, the same in every row
    masked: Callable[[Any, Index, Index], Any] | None  # (score, l, s) -> score
    is_causal: bool
    in_powers_of_two: bool  # whether scores are logarithms to base 2
    write: Callable[[Index, Index, Any], Any]  # (l, f, value) -> statement


def power(head: Head, exponent: Any) -> Any:
    """A multiple of e, or of 2 where scores count in those, to the power of an exponent <= 0."""
    if not head.in_powers_of_two:
        exponent = exponent * tirx.const(LOG2_E, head.dtype)
    return scaled_exp2(exponent) if head.dtype == "float32" else exp2(exponent)


def share(total: Any) -> Any:
    """What each power counts: 1 / sum, or 0 where no key was kept (else the sum is >= 1)."""
    dtype = total.ty.dtype
    none, one = tirx.const(0, dtype), tirx.const(1, dtype)
    return tirx.Select(total < tirx.const(0.5, dtype), none, one / total)
