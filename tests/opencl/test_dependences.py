"""Which loops over statements have iterations that may run at once."""

from collections.abc import Callable
from typing import Any

import pytest
from tvm import tirx

from penjing.targets.opencl.dependences import is_independent

A = tirx.decl_buffer((64,), "float32", "a")
B = tirx.decl_buffer((64,), "float32", "b")
GRID = tirx.decl_buffer((8, 8), "float32", "grid")
PLACES = tirx.decl_buffer((64,), "int32", "places")
SCRATCH = tirx.decl_buffer((1,), "float32", "scratch")
X, Y = tirx.Var("i", "int32"), tirx.Var("j", "int32")


def _loop(var: Any, count: Any, *body: Any) -> Any:
    statement = tirx.SeqStmt(list(body)) if len(body) > 1 else body[0]
    return tirx.For(var, 0, count, tirx.ForKind.SERIAL, statement)


def _store(buffer: Any, value: Any, *index: Any) -> Any:
    return tirx.BufferStore(buffer, value, list(index))


def _load(buffer: Any, *index: Any) -> Any:
    return tirx.BufferLoad(buffer, list(index))


ONE = tirx.const(1.0, "float32")

CASES: dict[str, tuple[Callable[[], Any], bool]] = {
    "each its own": (lambda: _loop(X, 64, _store(B, _load(A, X), X)), True),
    "in place": (lambda: _loop(X, 64, _store(A, _load(A, X) + 1, X)), True),
    "the one before": (lambda: _loop(X, 63, _store(A, _load(A, X), X + 1)), False),
    "reads of all": (lambda: _loop(X, 64, _store(B, _load(A, 63 - X), X)), True),
    "rows": (lambda: _loop(X, 8, _loop(Y, 8, _store(GRID, ONE, X, Y))), True),
    "triangles": (lambda: _loop(X, 8, _loop(Y, X, _store(GRID, ONE, X, Y))), False),
    "rows that overlap": (lambda: _loop(X, 8, _loop(Y, 8, _store(A, ONE, X * 7 + Y))), False),
    "pairs": (lambda: _loop(X, 32, _store(A, ONE, X * 2), _store(A, ONE, X * 2 + 1)), True),
    "a sum": (lambda: _loop(X, 64, _store(B, _load(B, 0) + _load(A, X), 0)), False),
    "places from memory": (lambda: _loop(X, 64, _store(B, ONE, _load(PLACES, X))), False),
    "scratch of its own": (
        lambda: _loop(
            X,
            64,
            tirx.AllocBuffer(SCRATCH),
            _store(SCRATCH, _load(A, X), 0),
            _store(B, _load(SCRATCH, 0), X),
        ),
        True,
    ),
    "scratch of all": (
        lambda: _loop(X, 64, _store(SCRATCH, _load(A, X), 0), _store(B, _load(SCRATCH, 0), X)),
        False,
    ),
    "backwards": (lambda: _loop(X, 64, _store(B, ONE, 63 - X)), True),
}


@pytest.mark.parametrize("name", CASES)
def test_independent_iterations(name: str) -> None:
    make, expected = CASES[name]
    assert is_independent(make()) is expected
