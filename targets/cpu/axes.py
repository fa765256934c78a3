"""The axes that a stage walks memory by: digits of its own axes, merged where they are one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import tvm_ffi
from tvm import ir, sym, tirx

from .flatten import position
from .stages import Stage, collect

_DIVISIONS = (tirx.FloorDiv, tirx.FloorMod)


@dataclass(frozen=True)
class Axis:
    """Neighboring axes of a stage that all accesses walk as one."""

    variables: tuple[Any, ...]
    extents: tuple[int, ...]
    steps: tuple[int, ...]  # elements to the next one: where the stage stores, then of each load
    exact: bool = False  # whether the values of all variables must exist

    @property
    def extent(self) -> int:
        """Places on the axis."""
        return math.prod(self.extents)

    def bind(self, place: Any) -> list[tuple[Any, Any]]:
        """Values of the variables for a place on the axis.

        All accesses walk the axis evenly, so the last variable may simply go on beyond its end:
        the position in memory is the same, and no division has to be simplified away. But TVM
        cuts off what it sees unused of buffers inside of the kernel: there, every index is exact.
        """
        if not self.exact:
            *others, last = self.variables
            return [*((variable, tirx.const(0, "int32")) for variable in others), (last, place)]
        pairs = []
        for number, variable in enumerate(self.variables):
            inner = math.prod(self.extents[number + 1 :])
            value = tirx.floordiv(place, inner) if inner > 1 else place
            pairs.append((variable, value if number == 0 else value % self.extents[number]))
        return pairs


def digits(stage: Stage) -> tuple[list[Any], list[int], Any]:
    """The axes of a stage that have several places, their sizes, and its statement by them.

    An axis that loads divide by a number is split there.
    """
    analyzer, known = sym.Analyzer(), []
    variables: list[Any] = []
    extents: list[int] = []
    for axis, extent in zip(stage.axes, stage.extents, strict=True):
        if extent == 1:
            known.append((axis, tirx.const(0, "int32")))
            continue
        divisors = [d for d in _divisors(stage, axis) if extent % d == 0]
        parts = [b // a for a, b in pairwise([*divisors, extent])][::-1]
        names = [f"{axis.name}_{number}" for number in range(len(parts))]
        own = [tirx.Var(name, "int32") for name in names] if len(parts) > 1 else [axis]
        if len(parts) > 1:
            known.append((axis, _joined(own, parts)))
        for variable, size in zip(own, parts, strict=True):
            analyzer.bind(variable, ir.Range(0, size))
        variables, extents = [*variables, *own], [*extents, *parts]
    if not known:
        return variables, extents, stage.store

    def load(node: Any) -> Any:
        indices = [analyzer.simplify(substituted(index, known)) for index in node.indices]
        return tirx.BufferLoad(node.source, indices)

    value = tvm_ffi.structural_map(stage.store.value, (ir.TensorLoad, load))
    indices = [substituted(index, known) for index in stage.store.indices]
    store = tirx.BufferStore(stage.store.buffer, substituted(value, known), indices)
    return variables, extents, store


def _divisors(stage: Stage, axis: Any) -> list[int]:
    """The numbers by which loads divide an axis, if each divides the next."""
    found = {1}
    for node in (n for kind in _DIVISIONS for n in collect(stage.store.value, kind)):
        inner = node.a if isinstance(node.a, tirx.FloorDiv) else None
        numbers = [node.b] if inner is None else [node.b, inner.b]
        is_constant = all(isinstance(number, tirx.IntImm) for number in numbers)
        if is_constant and (node.a if inner is None else inner.a).same_as(axis):
            found.add(math.prod(map(int, numbers)))
    chain = sorted(found)
    return chain if all(b % a == 0 for a, b in pairwise(chain)) else [1]


def _joined(digits: Sequence[Any], sizes: Sequence[int]) -> Any:
    value = digits[0]
    for digit, size in zip(digits[1:], sizes[1:], strict=True):
        value = value * size + digit
    return value


def merged_axes(
    stage: Stage, variables: Sequence[Any], extents: Sequence[int], accesses: Sequence[Any]
) -> list[Axis] | None:
    """The axes, merged where all accesses allow it; None if some are not affine."""
    analyzer = sym.Analyzer()
    places, exact = [], False
    for access in accesses:
        buffer = access.buffer if isinstance(access, tirx.BufferStore) else access.source
        exact |= not any(buffer.same_as(parameter) for parameter in stage.parameters)
        places.append(position(buffer, access.indices, stage.strides(buffer)))
    found: list[Axis] = []
    for variable, extent in zip(variables, extents, strict=True):
        steps = [step for place in places if (step := _step(place, variable, analyzer)) is not None]
        if len(steps) < len(places):
            return None
        axis = Axis((variable,), (extent,), tuple(steps), exact)
        last = found[-1] if found else None
        if last and all(s == extent * t for s, t in zip(last.steps, axis.steps, strict=True)):
            joined = (*last.variables, variable), (*last.extents, extent)
            found[-1] = Axis(*joined, axis.steps, exact)
        else:
            found.append(axis)
    return found


def _step(place: Any, variable: Any, analyzer: Any) -> int | None:
    """How far a step along an axis goes, if that is the same everywhere."""
    there = substituted(place, [(variable, variable + 1)])
    difference = analyzer.simplify(there - place)
    return int(difference) if isinstance(difference, tirx.IntImm) else None


def substituted(node: Any, pairs: Sequence[tuple[Any, Any]]) -> Any:
    """The node with other values for variables."""

    def value(var: Any) -> Any:
        return next((new for old, new in pairs if var.same_as(old)), var)

    return tvm_ffi.structural_map(node, (ir.Var, value))
