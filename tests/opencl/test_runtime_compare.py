"""How the run time compares results, and what it fills inputs with."""

import ctypes
from typing import Any

import numpy as np
import pytest

from penjing.compiler.library.c_text import DTYPE_CODES

from .runtime_library import load_runtime

FLOATS = {"float64": "f8", "float32": "f4", "float16": "f2", "bfloat16": "f4"}
INTEGERS = {"int64": "i8", "int32": "i4", "int16": "i2", "int8": "i1", "uint8": "u1", "bool": "?"}


class Difference(ctypes.Structure):
    """struct difference."""

    _fields_ = [
        ("element", ctypes.c_size_t),
        ("expected", ctypes.c_double),
        ("got", ctypes.c_double),
    ]


def as_bytes(dtype: str, values: Any) -> bytes:
    """Values as they lie in a buffer; a bfloat16 is the upper half of a float32."""
    array = np.asarray(values, {**FLOATS, **INTEGERS}[dtype])
    if dtype == "bfloat16":
        return (array.view("u4") >> 16).astype("u2").tobytes()
    return array.tobytes()


def difference(dtype: str, tolerance: float, expected: Any, got: Any) -> Difference | None:
    """The first difference that the run time finds."""
    left, right = as_bytes(dtype, expected), as_bytes(dtype, got)
    found = Difference()
    find = load_runtime().find_difference
    size = ctypes.c_size_t(len(left))
    code = DTYPE_CODES[dtype]
    differs = find(code, ctypes.c_double(tolerance), left, right, size, ctypes.byref(found))
    return found if differs else None


@pytest.mark.parametrize("dtype", FLOATS)
def test_floats_may_differ_by_a_part_of_the_largest(dtype: str) -> None:
    expected = [0.5, -8.0, 0.0, 2.0]
    assert difference(dtype, 0.125, expected, [1.25, -7.5, 0.5, 1.25]) is None
    found = difference(dtype, 0.125, expected, [0.5, -8.0, 1.125, 9.0])
    assert found is not None
    assert (found.element, found.expected, found.got) == (2, 0.0, 1.125)


@pytest.mark.parametrize("dtype", FLOATS)
def test_floats_that_are_no_numbers(dtype: str) -> None:
    nan, inf = float("nan"), float("inf")
    expected = [nan, inf, -inf, 1.0]
    assert difference(dtype, 0.5, expected, [-nan, inf, -inf, 1.25]) is None
    for place, wrong in ((0, 1.0), (0, inf), (1, -inf), (1, nan), (2, 1.0), (3, nan), (3, inf)):
        got = [wrong if i == place else value for i, value in enumerate(expected)]
        found = difference(dtype, 0.5, expected, got)
        assert found is not None
        assert found.element == place


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_are_equal(dtype: str) -> None:
    expected = np.array([1, 0, 1, 1], INTEGERS[dtype])
    if dtype not in ("bool", "uint8"):
        expected[2] = -100
    assert difference(dtype, 0, expected, expected) is None
    got = expected.copy()
    got[3] = 0
    found = difference(dtype, 0, expected, got)
    assert found is not None
    assert (found.element, found.expected, found.got) == (3, 1, 0)
    got = expected.copy()
    got[2] ^= 1
    found = difference(dtype, 0, expected, got)
    assert found is not None
    assert (found.expected, found.got) == (expected[2], got[2])


def test_every_float16_is_read() -> None:
    """Each finite one against itself in the other sign: the difference tells its value."""
    halves = np.arange(1 << 15, dtype="u2").view("f2")
    halves = halves[np.isfinite(halves) & (halves > 0)]
    for value in halves[::37]:
        found = difference("float16", 0, [value], [-value])
        assert found is not None
        assert (found.expected, found.got) == (float(value), -float(value))


@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS])
def test_inputs_of_a_check(dtype: str) -> None:
    """Floats of both signs between 1/8 and 2, words over their range, other integers as indices."""
    count = 1000
    storage = "u2" if dtype == "bfloat16" else {**FLOATS, **INTEGERS}[dtype]
    data = np.zeros(count, storage)
    fill = load_runtime().fill_input
    fill.restype = ctypes.c_void_p
    pointer = ctypes.c_void_p(data.ctypes.data)
    fill(DTYPE_CODES[dtype], pointer, ctypes.c_size_t(data.nbytes))
    if dtype == "bfloat16":
        data = (data.astype("u4") << 16).view("f4")
    if dtype in FLOATS:
        assert (np.abs(data) >= 0.125).all()
        assert (np.abs(data) < 2).all()
        assert 400 < (data < 0).sum() < 600
        assert len(np.unique(data)) > 300
    elif dtype in ("int8", "uint8"):
        assert len(np.unique(data)) > 240
    else:
        assert set(data.tolist()) == {0, 1}
