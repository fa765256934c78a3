"""A copy of a tensor that is then written at computed places, update by update."""

from collections.abc import Callable
from typing import Any

from tvm import te, tirx

from ...errors import CompileError
from .indices import Index, Shape, shape_of
from .statements import Element, Statements, for_each, load, store

Place = Callable[[list[Index]], list[Index]]  # index of an update -> where it goes
Combine = Callable[[Any, Any], Any]  # element there, update -> element after


class Updates(Statements):
    """Writes to a copy of x, in order."""

    def __init__(self, x: te.Tensor) -> None:
        super().__init__()
        self._dtype = str(x.dtype)
        self._sizes = shape_of(x)
        old = self.input(x)
        self._new = self.output(self._sizes, self._dtype)
        self.fill(self._new, lambda at: load(old, at))

    def write(self, shape: Shape, place: Place, value: Element, combine: Combine) -> None:
        """For each index of a shape: new[place] = combine(new[place], value)."""

        def update(at: list[Index]) -> Any:
            where = place(at)
            return store(
                self._new, combine(load(self._new, where), value(at).astype(self._dtype)), where
            )

        self.add(for_each(shape, update))

    def reduce(
        self, shape: Shape, place: Place, value: Element, reduction: str, include_self: bool
    ) -> None:
        """Reduce all updates that go to one place: sum, prod, mean, amax or amin.

        Without include_self, the elements of x count only where nothing is written.
        """
        if reduction not in _REDUCTIONS:
            raise CompileError(
                f"unknown reduction {reduction!r}", fix=f"use one of {', '.join(_REDUCTIONS)}"
            )
        combine = _REDUCTIONS[reduction]
        if not include_self:
            start = _start(reduction, self._dtype)
            self.write(shape, place, lambda _: start, overwrite)
        self.write(shape, place, value, combine)
        if reduction == "mean":
            self._divide_by_count(shape, place, include_self)

    def tensor(self, name: str) -> te.Tensor:
        """The copy after all updates."""
        return self.tensors(name)[0]

    def _divide_by_count(self, shape: Shape, place: Place, include_self: bool) -> None:
        counts = self.output(self._sizes, "int32")
        self.fill(counts, lambda _: tirx.const(int(include_self), "int32"))
        self.add(for_each(shape, lambda at: store(counts, load(counts, place(at)) + 1, place(at))))

        def mean(at: list[Index]) -> Any:
            count = tirx.max(load(counts, at), 1).astype(self._dtype)
            total = load(self._new, at)
            return tirx.floordiv(total, count) if "int" in self._dtype else total / count

        self.fill(self._new, mean)


def overwrite(_: Any, update: Any) -> Any:
    """The update."""
    return update


def add(old: Any, update: Any) -> Any:
    """The sum; of booleans, whether one of them holds."""
    return tirx.any(old, update) if str(old.ty.dtype) == "bool" else old + update


def multiply(old: Any, update: Any) -> Any:
    """The product; of booleans, whether both hold."""
    return tirx.all(old, update) if str(old.ty.dtype) == "bool" else old * update


def _largest(old: Any, update: Any) -> Any:
    return tirx.Select(old < update, update, old)  # a NaN that is there stays


def _smallest(old: Any, update: Any) -> Any:
    return tirx.Select(update < old, update, old)


def _start(reduction: str, dtype: str) -> Any:
    """What a reduction of nothing gives."""
    if reduction in ("sum", "mean"):
        return tirx.const(0, dtype)
    if reduction == "prod":
        return tirx.const(1, dtype)
    if "float" in dtype:
        return tirx.const(float("-inf" if reduction == "amax" else "inf"), dtype)
    return tirx.min_value(dtype) if reduction == "amax" else tirx.max_value(dtype)


_REDUCTIONS: dict[str, Combine] = {
    "sum": add,
    "prod": multiply,
    "mean": add,
    "amax": _largest,
    "amin": _smallest,
}
