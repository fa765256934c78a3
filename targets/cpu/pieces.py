"""Stages that copy from different places, or fill in a number: a loop nest for each piece.

Concatenation, padding and rolling choose what to read by comparing an axis with a number. Cut at
those numbers, the result falls into boxes in which every condition is known, and each is a plain
copy.
"""

import itertools
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tvm_ffi
from tvm import ir, s_tir, sym, tirx

from ..target import Target
from .axes import digits, merged_axes, substituted
from .moves import move_of, nest, put
from .stages import Stage, collect, uses
from .threads import is_worth_threads

_MOST = 64  # boxes of one stage
_TRIED = 512  # places of an axis at which a condition that is no line is looked at
_SHORT = 4  # elements of a row that are no vector
_UNROLL = 4  # vectors per iteration
_COMPARISONS: Mapping[type, Callable[[int, int], bool]] = {
    tirx.LT: operator.lt,
    tirx.LE: operator.le,
    tirx.GT: operator.gt,
    tirx.GE: operator.ge,
}
_SERIAL = tirx.ForKind.SERIAL
_GUARD = ir.Op.get("prim.if_then_else")


def boxes_of(stage: Stage) -> list[Stage] | None:
    """The boxes of a stage that only moves elements under conditions; None for any other."""
    if stage.kind != "injective" or not stage.axes:
        return None
    conditions = [c for kind in _COMPARISONS for c in collect(stage.store.value, kind)]
    cuts: list[set[int]] = [set() for _ in stage.axes]
    for condition in conditions:
        found = _cuts(stage, condition)
        if found is None:
            return None
        cuts[found[0]] |= found[1]
    if not conditions or math.prod(1 + len(cut) for cut in cuts) > _MOST:
        return None
    edges = [[0, *sorted(cut), size] for cut, size in zip(cuts, stage.extents, strict=True)]
    if sum(b - a for a, b in itertools.pairwise(edges[-1]) if b - a >= _SHORT) * 2 < edges[-1][-1]:
        return None
    boxes = []
    for ranges in itertools.product(*map(itertools.pairwise, edges)):
        value = _decided(stage, [first for first, _ in ranges])
        if value is None:
            return None
        boxes.append(_box(stage, ranges, value))
    return boxes


def schedule(
    sch: Any, stage: Stage, boxes: Sequence[Stage], target: Target, parallel: bool
) -> None:
    """Put a loop nest for each box in the place of the stage's loops."""
    nests = []
    for box in boxes:
        shared = parallel and is_worth_threads(box, target)
        move = move_of(box, target)
        nests.append(nest(move, target, shared) if move else _copy(box, target, shared))
    put(sch, stage, tirx.SeqStmt(nests) if len(nests) > 1 else nests[0])


def _cuts(stage: Stage, condition: Any) -> tuple[int, set[int]] | None:
    """Which axis a condition compares, and where on it the answer changes."""
    used = [k for k, axis in enumerate(stage.axes) if uses(condition, axis)]
    if len(used) != 1 or collect(condition, ir.TensorLoad):
        return None
    axis, size = stage.axes[used[0]], stage.extents[used[0]]
    step = _number(_difference(substituted(condition, [(axis, axis + 1)])) - _difference(condition))
    if step:  # a line: it is enough to look around its zero
        first = _value(_difference(condition), [(axis, 0)])
        near = range(max(1, -(first or 0) // step - 1), min(size, -(first or 0) // step + 3))
    elif size <= _TRIED:
        near = range(1, size)
    else:
        return None
    answers = {
        place: _holds(condition, [(axis, place)]) for place in {*near, *(x - 1 for x in near)}
    }
    if None in answers.values():
        return None
    return used[0], {place for place in near if answers[place] != answers[place - 1]}


def _difference(condition: Any) -> Any:
    return condition.a - condition.b


def _holds(condition: Any, known: Sequence[tuple[Any, int]]) -> bool | None:
    """Whether a condition holds where axes have these values; None if that does not decide it."""
    if isinstance(condition, tirx.And):
        both = _holds(condition.a, known), _holds(condition.b, known)
        return None if None in both else all(both)
    if type(condition) not in _COMPARISONS:
        return None
    left, right = _value(condition.a, known), _value(condition.b, known)
    return None if left is None or right is None else _COMPARISONS[type(condition)](left, right)


def _value(expression: Any, known: Sequence[tuple[Any, int]]) -> int | None:
    """The value of an expression where axes have these values, if it is a number."""
    return _number(substituted(expression, [(a, tirx.const(v, a.ty.dtype)) for a, v in known]))


def _number(expression: Any) -> int | None:
    simple = sym.Analyzer().simplify(expression)
    return int(simple) if isinstance(simple, tirx.IntImm) else None


def _decided(stage: Stage, corner: Sequence[int]) -> Any:
    """What a box stores, conditions decided by its first element; None if it is no copy."""
    known = list(zip(stage.axes, corner, strict=True))

    def choose(node: Any) -> Any:
        if isinstance(node, ir.Call) and node.op.same_as(_GUARD):
            condition, yes, no = node.args
        elif isinstance(node, tirx.Select):
            condition, yes, no = node.condition, node.true_value, node.false_value
        else:
            return node
        answer = _holds(condition, known)
        return node if answer is None else choose(yes if answer else no)

    value = choose(stage.store.value)
    if isinstance(value, ir.TensorLoad):
        indices = [tvm_ffi.structural_map(i, (tirx.Select, choose)) for i in value.indices]
        value = tirx.BufferLoad(value.source, indices)
    copies = isinstance(value, (ir.TensorLoad, tirx.IntImm, tirx.FloatImm))
    return value if copies and not collect(value, tirx.Select) else None


def _box(stage: Stage, ranges: Sequence[tuple[int, int]], value: Any) -> Stage:
    """The part of a stage inside of some ranges, as a stage."""
    axes = [tirx.Var(axis.name, axis.ty.dtype) for axis in stage.axes]
    pairs = [
        (old, new + first) for old, new, (first, _) in zip(stage.axes, axes, ranges, strict=True)
    ]
    indices = [substituted(index, pairs) for index in stage.store.indices]
    store = tirx.BufferStore(stage.store.buffer, substituted(value, pairs), indices)
    iter_vars = [
        tirx.IterVar(ir.Range(0, end - first), axis, 0)
        for axis, (first, end) in zip(axes, ranges, strict=True)
    ]
    node = s_tir.SBlock(iter_vars, [], [], stage.name, store)
    return Stage(stage.block, node, "injective", "", 0, stage.strided, stage.parameters)


def _copy(box: Stage, target: Target, parallel: bool) -> Any:
    """Loops over the axes that all accesses walk as one; vectors along the innermost."""
    variables, extents, store = digits(box)
    axes = merged_axes(box, variables, extents, [store, *collect(store.value, ir.TensorLoad)])
    if not axes:
        return _loops(variables, extents, store, parallel)
    places = [tirx.Var(f"i{number}", "int32") for number in range(len(axes))]
    *outer, last = axes

    def element(place: Any) -> Any:
        pairs = [p for axis, at in zip(outer, places, strict=False) for p in axis.bind(at)]
        pairs += last.bind(place)
        indices = [substituted(index, pairs) for index in store.indices]
        return tirx.BufferStore(store.buffer, substituted(store.value, pairs), indices)

    bits = tvm_ffi.dtype(str(store.buffer.ty.dtype)).bits
    if last.steps[0] == 1 and all(step in (0, 1) for step in last.steps):
        body = _row(last.extent, target.lanes(bits), element, parallel and not outer)
    else:
        body = tirx.For(places[-1], 0, last.extent, _SERIAL, element(places[-1]))
    return _loops(places[:-1], [axis.extent for axis in outer], body, parallel)


def _row(extent: int, lanes: int, element: Callable[[Any], Any], parallel: bool) -> Any:
    """The elements of a row, some vectors per iteration; the rest in shorter vectors."""

    def vector(first: Any, width: int) -> Any:
        lane = tirx.Var("lane", "int32")
        return tirx.For(lane, 0, width, tirx.ForKind.VECTORIZED, element(first + lane))

    block = lanes * _UNROLL
    i, parts = tirx.Var("i", "int32"), []
    if extent >= block:
        vectors = [vector(i * block + k * lanes, lanes) for k in range(_UNROLL)]
        kind = tirx.ForKind.PARALLEL if parallel else _SERIAL
        parts.append(tirx.For(i, 0, extent // block, kind, tirx.SeqStmt(vectors)))
    first = extent // block * block
    while first < extent:
        width = min(lanes, 1 << (extent - first).bit_length() - 1)
        parts.append(vector(first, width))
        first += width
    return tirx.SeqStmt(parts) if len(parts) > 1 else parts[0]


def _loops(variables: Sequence[Any], extents: Sequence[int], body: Any, parallel: bool) -> Any:
    pairs = list(zip(variables, extents, strict=True))
    for number, (variable, extent) in reversed(list(enumerate(pairs))):
        kind = tirx.ForKind.PARALLEL if parallel and number == 0 else _SERIAL
        body = tirx.For(variable, 0, extent, kind, body)
    return body
