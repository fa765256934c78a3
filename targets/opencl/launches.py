"""Loops of a kernel -> launches: one for each nest that needs all of what the one before wrote."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import tvm_ffi
from tvm import ir, tirx

from ..cpu.peel import HINT, PEEL_LANES
from ..cpu.stages import collect
from ..cpu.vector_tails import split_vectors

DIMENSIONS = 3
GROUP = "group"  # annotation of parallel loops: how many iterations are in one group
_PARALLEL = tirx.ForKind.PARALLEL


@dataclass(frozen=True)
class Item:
    """One dimension of the work-items of a launch."""

    var: Any
    extent: int


@dataclass(frozen=True)
class Nest:
    """What one launch runs: work-items, and the statement of one of them."""

    items: tuple[Item, ...]  # dimension 0 first
    body: Any
    group: tuple[int, int, int] | None = None  # work-items of each dimension that share memory


def top_level(body: Any) -> list[Any]:
    """The statements of a kernel in order."""
    if isinstance(body, tirx.SeqStmt):
        return [part for statement in body.seq for part in top_level(statement)]
    return [body]


def shared_scratch(body: Any) -> list[Any]:
    """The buffers of a kernel that several of its launches use."""
    groups = _groups(top_level(body))
    used = [_touched(group) for group in groups]
    allocated = [s.buffer for s in top_level(body) if isinstance(s, tirx.AllocBuffer)]
    return [b for b in allocated if sum(_is_in(b, buffers) for buffers in used) > 1]


def nests(body: Any) -> list[Nest]:
    """What the launches of a kernel run; scratch buffers that several use are parameters."""
    allocations = [s for s in top_level(body) if isinstance(s, tirx.AllocBuffer)]
    found = []
    for group in _groups(top_level(body)):
        own = [a for a in allocations if _is_in(a.buffer, _touched(group))]
        found.append(_nest(_sequence(group), own))
    return found


def touched(body: Any) -> list[Any]:
    """All buffers that a statement accesses, each once, in the order of the first access."""
    found: list[Any] = []
    for node in collect(body, ir.TensorLoad) + collect(body, tirx.BufferStore):
        buffer = node.source if isinstance(node, ir.TensorLoad) else node.buffer
        if not _is_in(buffer, found):
            found.append(buffer)
    return found


def _touched(group: Sequence[Any]) -> list[Any]:
    return touched(_sequence(group))


def _is_in(buffer: Any, buffers: Sequence[Any]) -> bool:
    return any(buffer.same_as(other) for other in buffers)


def _groups(statements: Sequence[Any]) -> list[list[Any]]:
    """Statements that one launch runs: a loop over work-items, or what is between two of them."""
    groups: list[list[Any]] = []
    joins = False
    for statement in statements:
        if isinstance(statement, tirx.AllocBuffer) or _is_nothing(statement):
            continue
        if parallel_loop(statement) is not None:
            groups.append([statement])
            joins = False
        elif joins:
            groups[-1].append(statement)
        else:
            groups.append([statement])
            joins = True
    return groups


def _is_nothing(statement: Any) -> bool:
    return isinstance(statement, tirx.Evaluate) and isinstance(statement.value, tirx.IntImm)


def parallel_loop(statement: Any) -> Any:
    """The parallel loop that a statement is, without its hint and nothing beside it."""
    if isinstance(statement, tirx.SeqStmt):
        parts = [part for part in top_level(statement) if not _is_nothing(part)]
        statement = parts[0] if len(parts) == 1 else statement
    if isinstance(statement, tirx.AttrStmt) and statement.attr_key == HINT:
        statement = statement.body
    is_loop = isinstance(statement, tirx.For) and statement.kind == _PARALLEL
    return statement if is_loop else None


def _sequence(statements: Sequence[Any]) -> Any:
    return tirx.SeqStmt(list(statements)) if len(statements) > 1 else statements[0]


def _nest(statement: Any, allocations: Sequence[Any]) -> Nest:
    """Loops taken off a statement, outermost first, as long as they are parallel."""
    loops: list[tuple[Any, int]] = []
    groups: list[int] = []
    hints: list[tuple[Any, int, int]] = []
    known: list[tuple[Any, Any]] = []
    while (loop := parallel_loop(statement)) is not None:
        var, extent = loop.loop_var, int(loop.extent)
        if isinstance(statement, tirx.AttrStmt):
            hints.append((var, extent, int(statement.value)))
        if extent > 1:
            loops.append((var, extent))
            groups.insert(0, int(loop.annotations.get(GROUP, 0)))
        else:
            known.append((var, loop.min))
        assert isinstance(loop.min, tirx.IntImm) and int(loop.min) == 0, loop.min
        statement = loop.body
    for var, extent, kind in hints:
        statement = _whole_or_last(statement, var, extent, kind)
    items, fused = _dimensions(loops)
    body = _substituted(_serial(statement), [*known, *fused])
    return Nest(items, _sequence([*allocations, body]), sizes(groups) if any(groups) else None)


def sizes(numbers: Sequence[int]) -> tuple[int, int, int]:
    """A number for each dimension, 1 where there is none."""
    x, y, z = (max(1, number) for number in (*numbers, 1, 1, 1)[:DIMENSIONS])
    return x, y, z


def _whole_or_last(body: Any, var: Any, extent: int, kind: int) -> Any:
    """The statement once for whole tiles and once for the last one, whose predicate stays."""
    last = tirx.const(extent - 1, "int32")
    rest = _substituted(body, [(var, last)])
    if extent == 1:
        return rest
    parts = split_vectors(rest) if kind == PEEL_LANES else [rest]
    return tirx.IfThenElse(var < last, body, _sequence(parts))


def _dimensions(loops: Sequence[tuple[Any, int]]) -> tuple[tuple[Item, ...], list[Any]]:
    """At most three dimensions for the loops, and values of the variables that share one."""
    inner = loops[max(0, len(loops) - DIMENSIONS + 1) :]
    outer = loops[: len(loops) - len(inner)]
    items = [Item(var, extent) for var, extent in reversed(inner)]
    if len(outer) == 1:
        items.append(Item(*outer[0]))
    fused: list[Any] = []
    if len(outer) > 1:
        extents = [extent for _, extent in outer]
        id_ = tirx.Var("outer", "int32")
        items.append(Item(id_, math.prod(extents)))
        for place, (var, extent) in enumerate(outer):
            within = math.prod(extents[place + 1 :])
            value = tirx.floordiv(id_, within) if within > 1 else id_
            fused.append((var, value if place == 0 else tirx.floormod(value, extent)))
    return tuple(items), fused


def _serial(statement: Any) -> Any:
    """The statement of one work-item, with plain loops."""

    def convert(loop: Any) -> Any:
        if loop.kind != _PARALLEL:
            return loop
        return tirx.For(loop.loop_var, loop.min, loop.extent, tirx.ForKind.SERIAL, loop.body)

    return tvm_ffi.structural_map(statement, (tirx.For, convert))


def _substituted(node: Any, pairs: Sequence[tuple[Any, Any]]) -> Any:
    if not pairs:
        return node

    def value(var: Any) -> Any:
        return next((new for old, new in pairs if var.same_as(old)), var)

    return tvm_ffi.structural_map(node, (ir.Var, value))
