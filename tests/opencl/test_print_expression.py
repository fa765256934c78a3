"""Every operation of TIR that rules use, as scalars and as vectors, on a device."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tvm import ir, tirx

from penjing.targets.opencl.preamble import HELPERS
from penjing.targets.opencl.types import CannotPrint
from tests.opencl.kernels import at, buffer, in_order, printed, ramp, run, to

ITEM = tirx.Var("i", "int32")
Formula = Callable[..., Any]
Row = tuple[Formula, Formula]  # in TIR, in numpy

_COMPARED: dict[str, Row] = {
    "less": (lambda a, b: a < b, np.less),
    "at most": (lambda a, b: a <= b, np.less_equal),
    "equal": (lambda a, b: tirx.EQ(a, b), np.equal),
    "other": (lambda a, b: tirx.NE(a, b), np.not_equal),
    "both": (lambda a, b: tirx.And(a < b, tirx.Not(tirx.EQ(a, b))), np.less),
    "either": (lambda a, b: tirx.Or(a < b, tirx.EQ(a, b)), np.less_equal),
}
_NUMBERS: dict[str, Row] = {
    "sum": (lambda a, b: a + b, np.add),
    "difference": (lambda a, b: a - (b - a), lambda a, b: a - (b - a)),
    "product": (lambda a, b: a * (a + b), lambda a, b: a * (a + b)),
    "smaller": (lambda a, b: tirx.Min(a, b), np.minimum),
    "larger": (lambda a, b: tirx.Max(a, b), np.maximum),
    "chosen": (lambda a, b: tirx.Select(a < b, b - a, b), lambda a, b: np.where(a < b, b - a, b)),
}
_FLOATS: dict[str, Row] = {
    **_NUMBERS,
    "quotient": (lambda a, b: a / b, np.divide),
    "root": (lambda a, b: tirx.sqrt(a * a), lambda a, b: np.sqrt(a * a)),
    "size": (lambda a, b: tirx.abs(a), lambda a, b: np.abs(a)),
}
_INTEGERS: dict[str, Row] = {
    **_NUMBERS,
    "floor": (lambda a, b: tirx.floordiv(a, b), np.floor_divide),
    "rest": (lambda a, b: tirx.floormod(a, b), np.mod),
    "bits": (lambda a, b: (a & b) ^ (a | b), lambda a, b: (a & b) ^ (a | b)),
    "complement": (lambda a, b: ~a, lambda a, b: ~a),
}


def _like(a: Any, value: int) -> Any:
    element, _, lanes = str(a.ty.dtype).partition("x")
    number = tirx.const(value, element)
    return tirx.Broadcast(number, int(lanes)) if lanes else number


_SHIFTS: dict[str, Row] = {
    "left": (lambda a, b: a << _like(a, 3), lambda a, b: a << 3),
    "right": (lambda a, b: a >> _like(a, 2), lambda a, b: a >> 2),
    "of one": (
        lambda a, b: _like(a, 5) << (a & _like(a, 3)),
        lambda a, b: b.dtype.type(5) << (a & 3),
    ),
}


def _cases(dtype: str) -> dict[str, Row]:
    if "float" in dtype:
        return _FLOATS
    return {**_INTEGERS, **_SHIFTS}


@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "int16", "int32", "uint32", "int64"])
def test_operations_compute_what_numpy_does(dtype: str, lanes: int) -> None:
    cases = _cases(dtype)
    size = 64
    a, b = _inputs(dtype, size)
    x, y = buffer("x", size, dtype), buffer("y", size, dtype)
    place = ramp(ITEM * lanes, lanes) if lanes > 1 else ITEM
    results = [buffer(f"result{i}", size, dtype) for i in range(len(cases))]
    flags = [buffer(f"flag{i}", size, "bool") for i in range(len(_COMPARED))]
    left, right = at(x, place), at(y, place)
    stores = [
        *(to(r, place, f(left, right)) for r, (f, _) in zip(results, cases.values(), strict=True)),
        *(
            to(r, place, f(left, right))
            for r, (f, _) in zip(flags, _COMPARED.values(), strict=True)
        ),
    ]
    ids = [(ITEM, 0, size // lanes)]
    found = run(in_order(*stores), [x, y], [*results, *flags], ids, a, b)
    wanted = {**cases, **_COMPARED}
    for (name, (_, formula)), result in zip(wanted.items(), found, strict=True):
        with np.errstate(all="ignore"):
            expected = formula(a, b)
        assert expected.dtype == result.dtype, name
        np.testing.assert_array_equal(result, expected, err_msg=f"{name} of {dtype}")


def _inputs(dtype: str, size: int) -> tuple[Any, Any]:
    random = np.random.default_rng(3)
    if "float" in dtype:
        a = random.standard_normal(size).astype(dtype)
        b = random.standard_normal(size).astype(dtype)
    else:
        limits = np.iinfo(dtype)
        a = random.integers(limits.min, limits.max, size, dtype, endpoint=True)
        b = random.integers(limits.min, limits.max, size, dtype, endpoint=True)
        b[b == 0] = 3
        b[(b == -1)] = 5  # the least number has no opposite
    b[::7] = a[::7]
    b[b == 0] = 1
    return a, b


@pytest.mark.parametrize("lanes", [1, 8])
def test_conversions(lanes: int) -> None:
    size = 32
    kinds = ["float32", "int8", "uint8", "int16", "int32", "uint32", "int64", "bool"]
    source = np.random.default_rng(4).uniform(0, 120, size).astype("float32")
    x = buffer("x", size)
    place = ramp(ITEM * lanes, lanes) if lanes > 1 else ITEM
    results = {(a, b): buffer(f"from_{a}_to_{b}", size, b) for a in kinds for b in kinds}

    def typed(name: str) -> str:
        return f"{name}x{lanes}" if lanes > 1 else name

    stores = [
        to(result, place, tirx.Cast(typed(b), tirx.Cast(typed(a), at(x, place))))
        for (a, b), result in results.items()
    ]
    found = run(in_order(*stores), [x], list(results.values()), [(ITEM, 0, size // lanes)], source)
    for (a, b), result in zip(results, found, strict=True):
        np.testing.assert_array_equal(result, source.astype(a).astype(b), err_msg=f"{a} to {b}")


def test_masks_of_all_widths_choose() -> None:
    x, y = buffer("x", 8, "int8"), buffer("y", 8, "int64")
    flags, z = buffer("flags", 8, "bool"), buffer("z", 8)
    place = ramp(0, 8)
    both = tirx.And(at(x, place) < _like(at(x, place), 0), at(flags, place))
    either = tirx.Or(both, at(y, place) < _like(at(y, place), 0))
    chosen = tirx.Select(either, tirx.Cast("float32x8", at(x, place)), tirx.Cast("float32x8", both))
    values = np.arange(-4, 4, dtype="int8")
    wide = np.array([1, -1] * 4, "int64")
    truths = np.array([1, 1, 0, 0] * 2, "bool")
    (result,) = run(to(z, place, chosen), [x, y, flags], [z], [], values, wide, truths)
    expected_both = (values < 0) & truths
    expected = np.where(expected_both | (wide < 0), values, expected_both).astype("float32")
    np.testing.assert_array_equal(result, expected)


def test_extremes_keep_a_nan_of_the_second_operand_only() -> None:
    x, y = buffer("x", 4), buffer("y", 16)
    number, zero = at(x, ramp(0, 4)), tirx.Broadcast(tirx.const(0, "float32"), 4)
    body = in_order(
        to(y, ramp(0, 4), tirx.Max(zero, number)),
        to(y, ramp(4, 4), tirx.Max(number, zero)),
        to(y, 8, tirx.Min(tirx.const(0, "float32"), at(x, 0))),
        to(y, 9, tirx.Min(at(x, 0), tirx.const(0, "float32"))),
    )
    (result,) = run(body, [x], [y], [], np.array([np.nan, -1, 1, np.inf], "float32"))
    np.testing.assert_array_equal(result[:4], [np.nan, 0, 1, np.inf])
    np.testing.assert_array_equal(result[4:8], [0, 0, 1, np.inf])
    np.testing.assert_array_equal(result[8:10], [np.nan, 0])


def test_numbers_that_are_no_decimals() -> None:
    y, wide = buffer("y", 5), buffer("wide", 2, "int64")
    values = [float("inf"), float("-inf"), float("nan"), 1e-45, -0.0]
    stores = [to(y, i, tirx.const(value, "float32")) for i, value in enumerate(values)]
    least = [to(wide, 0, tirx.min_value("int64")), to(wide, 1, tirx.const(2**40, "int64"))]
    found = run(in_order(*stores, *least), [], [y, wide], [])
    expected = np.array(values, "float32")
    np.testing.assert_array_equal(found[0], expected)
    np.testing.assert_array_equal(np.signbit(found[0][:2]), [False, True])
    assert np.signbit(found[0][4])
    np.testing.assert_array_equal(found[1], [-(2**63), 2**40])


def test_vectors_that_opencl_has_not_are_several() -> None:
    x, y = buffer("x", 26), buffer("y", 26)
    place = ramp(ITEM * 13, 13)
    body = to(y, place, at(x, place) * tirx.Broadcast(at(x, 0), 13))
    text = printed(body, [x], [y], [(ITEM, 0, 2)]).text
    assert [f"vstore{lanes}(" in text for lanes in (8, 4)] == [True, True]
    values = np.arange(1, 27, dtype="float32")
    (result,) = run(body, [x], [y], [(ITEM, 0, 2)], values)
    np.testing.assert_array_equal(result, values)


def test_gathers_and_scatters() -> None:
    x, y = buffer("x", 16), buffer("y", 16)
    body = in_order(
        to(y, ramp(0, 4), at(x, ramp(ITEM, 4, 3))),
        to(y, ramp(4, 4, 2), at(x, ramp(3, 4, -1))),
    )
    values = np.arange(16, dtype="float32")
    (result,) = run(body, [x], [y], [(ITEM, 0, 1)], values)
    np.testing.assert_array_equal(result[:4], [0, 3, 6, 9])
    np.testing.assert_array_equal(result[4:12:2], [3, 2, 1, 0])


def test_bits_are_kept() -> None:
    x, y = buffer("x", 4), buffer("y", 4, "int32")
    body = to(y, ramp(0, 4), tirx.reinterpret("int32x4", at(x, ramp(0, 4))))
    values = np.array([1.5, -0.0, np.nan, 1e30], "float32")
    (result,) = run(body, [x], [y], [], values)
    np.testing.assert_array_equal(result, values.view("int32"))


def test_what_is_rounded_is_no_part_of_a_multiply_add() -> None:
    x, y = buffer("x", 3), buffer("y", 1)
    product = tirx.call_llvm_pure_intrin("float32", "llvm.arithmetic.fence", at(x, 0) * at(x, 1))
    body = to(y, 0, product + at(x, 2))
    assert "#pragma OPENCL FP_CONTRACT OFF" in printed(body, [x], [y]).text
    values = np.array([1 + 2**-12, 1 + 2**-12, -1 - 2**-11], "float32")
    (result,) = run(body, [x], [y], [], values)
    assert result[0] == 0  # one rounding of the whole would give 2**-24


def test_refuses_unknown_functions() -> None:
    y = buffer("y", 1)
    call = ir.Call(
        ir.Op.get("tirx.tanh"), [tirx.const(1, "float32")], ret_ty=ir.PrimType("float32")
    )
    with pytest.raises(CannotPrint, match="tanh"):
        printed(to(y, 0, call), [], [y])


@pytest.mark.parametrize("units", [0, 2, -3])
def test_quotients_and_roots_round_to_nearest(units: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the device is off by some units in the last place."""
    for name, result in (("divide_float", "a / b"), ("root_float", "sqrt(x)")):
        exact = f"first = {result};"
        assert exact in HELPERS[name]
        moved = f"first = as_float(as_int({result}) + {units});"
        monkeypatch.setitem(HELPERS, name, HELPERS[name].replace(exact, moved))
    random = np.random.default_rng(7)
    size = 4096
    a = (random.standard_normal(size) * 10.0 ** random.integers(-9, 9, size)).astype("float32")
    b = random.uniform(1, 2, size).astype("float32") * np.where(a > 0.1, -1, 1).astype("float32")
    x, y = buffer("x", size), buffer("y", size)
    quotient, root = buffer("quotient", size), buffer("root", size)
    place = ramp(ITEM * 4, 4)
    body = in_order(
        to(quotient, place, at(x, place) / at(y, place)),
        to(root, place, tirx.sqrt(tirx.abs(at(x, place)))),
    )
    ids = [(ITEM, 0, size // 4)]
    found = run(body, [x, y], [quotient, root], ids, a, b, exact=True)
    np.testing.assert_array_equal(found[0], a / b)
    np.testing.assert_array_equal(found[1], np.sqrt(np.abs(a)))
