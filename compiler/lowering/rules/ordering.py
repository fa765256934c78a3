"""The order of elements along an axis, by merging.

In each pass, neighboring sorted runs become one of twice the length: an element's new place is its
place in its own run plus the number of elements of the other run that come before it, found by
halving. That takes n log(n)^2 steps, keeps equal elements as they came, and needs two int32 per
element of one row as workspace. NaN counts as the largest, as in PyTorch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tvm import te, tirx

from ..math.floats import Expr, dtype_of, opaque
from .axis_reduction import converted
from .gemm import accumulator
from .indices import Index, shape_of, without_axis
from .statements import Statements, for_each, load, loop, store

Read = Callable[[Index], Expr]  # position along the axis -> element


def comparable(x: te.Tensor) -> te.Tensor:
    """The tensor in a dtype whose elements the target compares as they are."""
    dtype = str(x.dtype)
    return converted(x, "uint8" if dtype == "bool" else accumulator(dtype))


def sorted_places(x: te.Tensor, axis: int, descending: bool) -> te.Tensor:
    """Where the elements along an axis in order lie: int32, in the shape of x."""
    shape = shape_of(x)
    size = shape[axis]
    sorting = Statements()
    source = sorting.input(comparable(x))
    places = sorting.output(shape, "int32")
    runs, rank = sorting.output((2, size), "int32"), sorting.output((), "int32")
    passes = max(size - 1, 0).bit_length()

    def sort_row(row: list[Index]) -> Any:
        def element(place: Index) -> Expr:
            return load(source, [*row[:axis], place, *row[axis:]])

        j, i, step, k = (tirx.Var(name, "int32") for name in ("j", "i", "step", "k"))
        merge = _Merge(element, runs, rank, size, descending)
        last = load(runs, [passes % 2, k])
        return tirx.SeqStmt(
            [
                loop(j, 0, size, store(runs, j, [0, j])),
                loop(step, 0, passes, loop(i, 0, size, merge.place(step, i))),
                loop(k, 0, size, store(places, last, [*row[:axis], k, *row[axis:]])),
            ]
        )

    sorting.add(for_each(without_axis(shape, axis), sort_row))
    return sorting.tensors("places")[0]


@dataclass(frozen=True)
class _Merge:
    """Merges of the sorted runs in one half of `runs` into the other half."""

    element: Read
    runs: Any  # [2, size]
    rank: Any  # []
    size: int
    descending: bool

    def place(self, step: Index, i: Index) -> Any:
        """Move the element at place i of runs of 2**step into its run of 2**(step + 1)."""
        one = tirx.const(1, "int32")
        width = one << step
        begin = (i >> (step + 1)) << (step + 1)
        middle, end = tirx.min(begin + width, self.size), tirx.min(begin + width * 2, self.size)
        is_left = i < middle
        other = tirx.Select(is_left, middle, begin)
        count = tirx.Select(is_left, end - middle, middle - begin)
        own = load(self.runs, [step & 1, i])
        halving = tirx.Var("halving", "int32")
        further = load(self.rank, []) + (width >> halving)
        opponent = load(self.runs, [step & 1, other + further - 1])
        comes_first = self._comes_first(opponent, own, is_left)
        found = tirx.Select(comes_first, further, load(self.rank, []))
        found = tirx.if_then_else(further <= count, found, load(self.rank, []))
        target = i + load(self.rank, []) + tirx.Select(is_left, 0, begin - middle)
        return tirx.SeqStmt(
            [
                store(self.rank, tirx.const(0, "int32"), []),
                loop(halving, 0, step + 1, store(self.rank, found, [])),
                store(self.runs, own, [(step + 1) & 1, target]),
            ]
        )

    def _comes_first(self, other: Index, own: Index, is_left: Expr) -> Expr:
        """Whether an element of the other run comes before one that lies in the left run or not."""
        x, y = self.element(other), self.element(own)
        not_after = tirx.Select(self._precedes(y, x), tirx.const(False), tirx.const(True))
        return tirx.Select(is_left, self._precedes(x, y), not_after)

    def _precedes(self, x: Expr, y: Expr) -> Expr:
        if self.descending:
            x, y = y, x
        if "float" not in dtype_of(x):
            return x < y
        return tirx.Or(x < y, tirx.And(tirx.NE(y, opaque(y)), tirx.EQ(x, opaque(x))))
