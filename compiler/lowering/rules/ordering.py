"""The order of elements along an axis: merged runs, or a short list of the first ones.

Elements are compared as integers that are in the same order, with NaN as the largest, as in
PyTorch. Equal elements stay as they came.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tvm import te, tirx

from ..math.floats import Expr, Lets, bits, dtype_of, is_nan, like
from .axis_reduction import converted
from .gemm import accumulator
from .indices import Index, shape_of, with_axis, without_axis
from .statements import Statements, for_each, load, loop, store

Key = Callable[[Index], Expr]  # position along the axis -> integer to compare


def comparable(x: te.Tensor) -> te.Tensor:
    """The tensor in a dtype whose elements the target compares as they are."""
    dtype = str(x.dtype)
    return converted(x, "uint8" if dtype == "bool" else accumulator(dtype))


def sorted_places(x: te.Tensor, axis: int, descending: bool, count: int | None = None) -> te.Tensor:
    """Where the elements along an axis in order lie, or the first `count` of them, as int32."""
    shape = shape_of(x)
    size = shape[axis]
    count = size if count is None else count
    sorting = Statements()
    source = sorting.input(x)
    places = sorting.output(with_axis(shape, axis, count), "int32")
    key_dtype = "int64" if str(x.dtype) in ("int64", "float64") else "int32"
    method = _FirstOnes if count * count <= 16 * size else _Merge  # expected steps: k^2, n log n
    order = method.of(sorting, key_dtype, size, count)

    def sort_row(row: list[Index]) -> Any:
        def key(place: Index) -> Expr:
            value = _key(load(source, [*row[:axis], place, *row[axis:]]), key_dtype)
            return like(value, -1) - value if descending else value

        k = tirx.Var("k", "int32")
        copy = store(places, order.place(k), [*row[:axis], k, *row[axis:]])
        return tirx.SeqStmt([*order.sort(key), loop(k, 0, count, copy)])

    sorting.add(for_each(without_axis(shape, axis), sort_row))
    return sorting.tensors("places")[0]


@dataclass(frozen=True)
class _Merge:
    """All elements: in each pass, neighboring sorted runs become one of twice the length."""

    keys: Any  # [2, size + 1]: each pass reads one half and writes the other
    places: Any  # as `keys`, int32
    left: Any  # [], the next element of the left run
    right: Any  # []
    own: Any  # [], the one of these that comes first
    size: int

    @classmethod
    def of(cls, sorting: Statements, dtype: str, size: int, count: int) -> "_Merge":
        """The buffers of a sort."""
        shape = (2, size + 1)  # a run that is used up is still read, one behind its end
        keys, places = sorting.output(shape, dtype), sorting.output(shape, "int32")
        left, right, own = (sorting.output((), "int32") for _ in range(3))
        return cls(keys, places, left, right, own, size)

    def sort(self, key: Key) -> list[Any]:
        """Statements that put the elements of one row in order."""
        i, step, run = (tirx.Var(name, "int32") for name in ("i", "step", "run"))
        start = [store(self.keys, key(i), [0, i]), store(self.places, i, [0, i])]
        runs = ((self.size - 1) >> (step + 1)) + 1
        merges = loop(run, 0, runs, self._merge(step, run))
        return [loop(i, 0, self.size, tirx.SeqStmt(start)), loop(step, 0, self._passes, merges)]

    def place(self, k: Index) -> Expr:
        """Where the k-th element of the sorted row was."""
        return load(self.places, [self._passes % 2, k])

    @property
    def _passes(self) -> int:
        return max(self.size - 1, 0).bit_length()

    def _merge(self, step: Index, run: Index) -> Any:
        """Merge two runs of 2**step elements."""
        width, half = tirx.const(1, "int32") << step, step & 1
        begin = run << (step + 1)
        middle, end = (tirx.min(begin + width * n, self.size) for n in (1, 2))
        left, right, own = (load(buffer, []) for buffer in (self.left, self.right, self.own))
        is_before = load(self.keys, [half, left]) <= load(self.keys, [half, right])
        takes_left = tirx.And(left < middle, tirx.Or(right >= end, is_before))
        i = tirx.Var("i", "int32")
        take = [
            store(self.own, right + (left - right) * takes_left.astype("int32"), []),
            store(self.keys, load(self.keys, [half, own]), [1 - half, begin + i]),
            store(self.places, load(self.places, [half, own]), [1 - half, begin + i]),
            store(self.left, left + tirx.EQ(left, own).astype("int32"), []),
            store(self.right, right + tirx.EQ(right, own).astype("int32"), []),
        ]
        return tirx.SeqStmt(
            [
                store(self.left, begin, []),
                store(self.right, middle, []),
                loop(i, 0, end - begin, tirx.SeqStmt(take)),
            ]
        )


@dataclass(frozen=True)
class _FirstOnes:
    """The first few elements: a sorted list, into which each that comes before its last goes."""

    keys: Any  # [count + 1], with one in front that is before all others
    places: Any  # [count + 1], int32
    own: Any  # [], the element to insert
    hole: Any  # [], where in the list
    size: int
    count: int

    @classmethod
    def of(cls, sorting: Statements, dtype: str, size: int, count: int) -> "_FirstOnes":
        """The buffers of a sort."""
        keys, places = (sorting.output((count + 1,), t) for t in (dtype, "int32"))
        own, hole = sorting.output((), dtype), sorting.output((), "int32")
        return cls(keys, places, own, hole, size, count)

    def sort(self, key: Key) -> list[Any]:
        """Statements that put the first elements of one row in order."""
        first, later = (tirx.Var(name, "int32") for name in ("first", "later"))
        rest = later + self.count
        own, last = load(self.own, []), load(self.keys, [self.count])
        insert = tirx.IfThenElse(
            own < last, self._insert(rest, tirx.const(self.count, "int32")), None
        )
        return [
            store(self.keys, tirx.min_value(str(self.keys.dtype)), [0]),
            loop(
                first,
                0,
                self.count,
                tirx.SeqStmt([store(self.own, key(first), []), self._insert(first, first + 1)]),
            ),
            loop(
                later,
                0,
                self.size - self.count,
                tirx.SeqStmt([store(self.own, key(rest), []), insert]),
            ),
        ]

    def place(self, k: Index) -> Expr:
        """Where the k-th element of the sorted row was."""
        return load(self.places, [k + 1])

    def _insert(self, place: Index, end: Index) -> Any:
        """Move those that come after the element one place on, from `end`, and put it there."""
        hole, own = load(self.hole, []), load(self.own, [])
        move = [
            store(self.keys, load(self.keys, [hole - 1]), [hole]),
            store(self.places, load(self.places, [hole - 1]), [hole]),
            store(self.hole, hole - 1, []),
        ]
        return tirx.SeqStmt(
            [
                store(self.hole, end, []),
                tirx.While(load(self.keys, [hole - 1]) > own, tirx.SeqStmt(move)),
                store(self.keys, own, [hole]),
                store(self.places, place, [hole]),
            ]
        )


def _key(value: Expr, dtype: str) -> Expr:
    """An integer of which a larger element has a larger one; NaN has the largest."""
    if "float" not in dtype_of(value):
        return value.astype(dtype)
    bind = Lets()
    value = bind(value.astype(accumulator(dtype_of(value))))
    pattern = bind(bits(value))
    largest = tirx.max_value(dtype)
    sign = pattern >> like(pattern, 63 if dtype == "int64" else 31)  # -1 or 0
    ascending = pattern ^ (sign & largest)  # negative numbers are stored by their size
    number = tirx.Select(tirx.EQ(value, like(value, 0)), like(pattern, 0), ascending)
    return bind.close(tirx.Select(is_nan(value), largest, number))
