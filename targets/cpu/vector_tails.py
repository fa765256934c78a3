"""Partial vectors -> whole ones of fewer lanes: 13 of 16 elements are 8, 4 and 1.

TVM would compute a vector of which a condition cuts off some lanes element by element.
"""

import functools
from typing import Any

import tvm_ffi
from tvm import ir, sym, tirx

from .stages import collect, uses


def shorten_vectors(func: Any) -> Any:
    """Split every vectorized loop of which a constant number of iterations runs.

    Needs peeled loops: elsewhere the number depends on the loop over the vectors.
    """
    body = tvm_ffi.structural_map(func.body, (tirx.For, _shorten))
    return tirx.PrimFunc(list(func.params), body, func.ret_type, func.attrs)


def split_vectors(statement: Any) -> list[Any]:
    """A statement whose vectors are all cut off at the same lane, once for every piece of them.

    Each piece then has all registers for itself. What lanes do must be independent.
    """
    loops = [f for f in collect(statement, tirx.For) if f.kind == tirx.ForKind.VECTORIZED]
    counts = {_count(loop) for loop in loops}
    count = counts.pop() if len(counts) == 1 else None
    if count is None:
        return [statement]

    def copy(first: int, lanes: int) -> Any:
        def piece(loop: Any) -> Any:
            if loop.kind != tirx.ForKind.VECTORIZED:
                return loop
            return _vector(loop, _guarded(loop), first, lanes)

        return tvm_ffi.structural_map(statement, (tirx.For, piece))

    return [copy(first, lanes) for first, lanes in _powers(count)]


def _shorten(loop: Any) -> Any:
    """The loop in pieces; one over several vectors is unrolled if that makes numbers constant."""
    if loop.kind == tirx.ForKind.VECTORIZED:
        return _pieces(loop)
    if loop.kind != tirx.ForKind.UNROLLED or not _cuts_vectors(loop):
        return loop
    copies = [_at(loop.body, loop.loop_var, value) for value in range(int(loop.extent))]
    return _sequence([tvm_ffi.structural_map(copy, (tirx.For, _shorten)) for copy in copies])


def _cuts_vectors(loop: Any) -> bool:
    """Whether some vector is cut off at a lane that the loop's variable alone decides about."""
    if collect(loop.body, tirx.AllocBuffer):
        return False  # a copy would declare it again
    inner = [f for f in collect(loop.body, tirx.For) if f.kind == tirx.ForKind.VECTORIZED]
    return any(
        uses(limit, loop.loop_var) and isinstance(_at(limit, loop.loop_var, 0), tirx.IntImm)
        for vector in inner
        for limit in _limits(vector)[0]
    )


def _pieces(loop: Any) -> Any:
    count = _count(loop)
    if count is None:
        return loop
    body = _guarded(loop)
    pieces = [_vector(loop, body, first, lanes) for first, lanes in _powers(count)]
    return _sequence(pieces) if pieces else tirx.Evaluate(0)


def _count(loop: Any) -> int | None:
    """How many iterations run, if a condition says so and the number is constant."""
    limits, _ = _limits(loop)
    if not limits or not all(isinstance(limit, tirx.IntImm) for limit in limits):
        return None
    return max(0, min(int(loop.extent), *(int(limit) for limit in limits)))


def _guarded(loop: Any) -> Any:
    """The body of the loop without the conditions on its variable."""
    _, conditions = _limits(loop)
    body = loop.body.then_case
    if not conditions:
        return body
    return tirx.IfThenElse(functools.reduce(tirx.And, conditions), body, None)


def _powers(count: int) -> list[tuple[int, int]]:
    """Powers of two that add up to `count`, the largest first: (sum of those before, power)."""
    pieces, first = [], 0
    while first < count:
        lanes = 1 << (count - first).bit_length() - 1
        pieces.append((first, lanes))
        first += lanes
    return pieces


def _vector(loop: Any, body: Any, first: int, lanes: int) -> Any:
    if lanes == 1:
        return _at(body, loop.loop_var, first)
    lane = tirx.Var(str(loop.loop_var.name), str(loop.loop_var.ty.dtype))
    moved = _at(body, loop.loop_var, lane + first if first else lane)
    return tirx.For(lane, loop.min, tirx.const(lanes, lane.ty.dtype), loop.kind, moved)


def _limits(loop: Any) -> tuple[list[Any], list[Any]]:
    """How many iterations each condition on the lane lets run, and the other conditions."""
    guard = loop.body
    if not isinstance(guard, tirx.IfThenElse) or guard.else_case is not None:
        return [], []
    limits, rest = [], []
    for condition in _conjuncts(guard.condition):
        if not uses(condition, loop.loop_var):
            rest.append(condition)
        elif isinstance(condition, tirx.LT) and (limit := _limit(condition, loop)) is not None:
            limits.append(limit)
        else:
            return [], []
    return limits, rest


def _limit(condition: Any, loop: Any) -> Any:
    """The n of a condition that is `lane < n`."""
    analyzer, lane = sym.Analyzer(), loop.loop_var
    left = analyzer.simplify(condition.a - lane)
    if uses(left, lane) or uses(condition.b, lane):
        return None
    return analyzer.simplify(condition.b - left)


def _conjuncts(condition: Any) -> list[Any]:
    if isinstance(condition, tirx.And):
        return [*_conjuncts(condition.a), *_conjuncts(condition.b)]
    return [condition]


def _at(node: Any, variable: Any, value: Any) -> Any:
    """The node with a value for a variable; expressions are simplified."""
    if isinstance(value, int):
        value = tirx.const(value, variable.ty.dtype)
    changed = tvm_ffi.structural_map(
        node, (ir.Var, lambda var: value if var.same_as(variable) else var)
    )
    return sym.Analyzer().simplify(changed) if isinstance(changed, ir.Expr) else changed


def _sequence(statements: list[Any]) -> Any:
    return tirx.SeqStmt(statements) if len(statements) > 1 else statements[0]
