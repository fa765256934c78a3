"""Tools for writing floating-point functions as TIR expressions.

An expression is a tree to TVM: a subexpression that is used twice is also computed and compiled
twice, and chains of functions grow exponentially. `Lets` names it instead.

TVM simplifies floats as if they were real numbers: `(x + c) - c` becomes x, `x == x` true. Where
rounding or NaN matters, `opaque` hides the value; it costs nothing in machine code.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tvm import ir, tirx

Expr = Any  # a TIR expression


@dataclass(frozen=True)
class FloatFormat:
    """The layout of an IEEE 754 binary format, and the integer type of its width."""

    integer: str
    mantissa_bits: int
    bias: int


_FORMATS = {
    "float32": FloatFormat("int32", 23, 127),
    "float64": FloatFormat("int64", 52, 1023),
}


class Lets:
    """Names subexpressions, each used from its variable, and closes the expression over them."""

    def __init__(self) -> None:
        self._bound: list[tuple[Expr, Expr]] = []

    def __call__(self, value: Expr) -> Expr:
        """A variable that stands for the value; variables and constants are their own names."""
        if isinstance(value, ir.Var | tirx.IntImm | tirx.FloatImm):
            return value
        variable = tirx.Var("t", dtype_of(value))
        self._bound.append((variable, value))
        return variable

    def close(self, result: Expr) -> Expr:
        """The result with everything it may refer to."""
        for variable, value in reversed(self._bound):
            result = tirx.Let(variable, value, result)
        return result


def dtype_of(x: Expr) -> str:
    """The dtype of an expression by its name."""
    return str(x.ty.dtype)


def format_of(x: Expr) -> FloatFormat:
    """The format of a float32 or float64 expression."""
    return _FORMATS[dtype_of(x)]


def like(x: Expr, value: float) -> Expr:
    """A constant of the dtype of x."""
    return tirx.const(value, dtype_of(x))


def bits(x: Expr) -> Expr:
    """The representation of a float as a signed integer of its width."""
    return tirx.reinterpret(format_of(x).integer, x)


def from_bits(integer: Expr) -> Expr:
    """The float of a representation; inverse of `bits`."""
    return tirx.reinterpret("float32" if dtype_of(integer) == "int32" else "float64", integer)


def opaque(x: Expr) -> Expr:
    """X itself, as a value that TVM knows nothing about."""
    return from_bits(bits(x))


def rounded(x: Expr) -> Expr:
    """x as a float of its own: no multiply-add takes it in before it is rounded."""
    return tirx.call_llvm_pure_intrin(dtype_of(x), "llvm.arithmetic.fence", x)


def is_nan(x: Expr) -> Expr:
    """Whether x is no number; `x` should be a variable, it is used twice."""
    return tirx.NE(x, opaque(x))


def at_least(bound: Expr, x: Expr) -> Expr:
    """x, or the bound where x is below; NaN stays NaN.

    TVM's max(a, b) is `a > b ? a : b`, and its simplifier keeps the order of floats.
    """
    return tirx.Max(bound, x)


def at_most(bound: Expr, x: Expr) -> Expr:
    """x, or the bound where x is above; NaN stays NaN."""
    return tirx.Min(bound, x)


def clamp(x: Expr, low: float, high: float) -> Expr:
    """x moved into [low, high]; NaN stays NaN."""
    return at_most(like(x, high), at_least(like(x, low), x))


def horner(x: Expr, coefficients: Sequence[float]) -> Expr:
    """The polynomial in x whose coefficients start with the highest power."""
    value = like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        value = value * x + like(x, coefficient)
    return value


def by_squares(x: Expr, square: Expr, coefficients: Sequence[float]) -> Expr:
    """The polynomial in x as one in x^2 whose coefficients are a + b x.

    Half as long a chain as `horner`, and fewer instructions where a multiply-add overwrites what
    it adds to: only every other constant is moved to another register before.
    """
    *first, last = coefficients[: 2 - len(coefficients) % 2]
    value = like(x, last) if not first else like(x, first[0]) * x + like(x, last)
    rest = coefficients[2 - len(coefficients) % 2 :]
    for odd, even in zip(rest[::2], rest[1::2], strict=True):
        value = value * square + (like(x, odd) * x + like(x, even))
    return value


def power_of_two(exponent: Expr) -> Expr:
    """2**n for an int32 (as float32) or int64 (as float64) n in the range of normal numbers."""
    layout = _FORMATS["float32" if dtype_of(exponent) == "int32" else "float64"]
    return from_bits(
        (exponent + like(exponent, layout.bias)) << like(exponent, layout.mantissa_bits)
    )


def with_sign(magnitude: Expr, x: Expr) -> Expr:
    """A number that is not negative, with the sign of x, also that of -0."""
    sign_bit = like(bits(x), -(2 ** (31 if format_of(x).integer == "int32" else 63)))
    return from_bits(bits(magnitude) | (bits(x) & sign_bit))


def round_even(x: Expr) -> Expr:
    """The nearest integer, halfway cases to even, keeping the sign of zero."""
    bind = Lets()
    x = bind(x)
    limit = like(x, 2.0 ** format_of(x).mantissa_bits)  # numbers from here on are integers
    magnitude = bind(tirx.abs(x))
    rounded = opaque(magnitude + limit) - limit
    return bind.close(tirx.Select(magnitude < limit, with_sign(rounded, x), x))


def floor(x: Expr) -> Expr:
    """The largest integer that is not above x."""
    bind = Lets()
    x = bind(x)
    nearest = bind(round_even(x))
    return bind.close(tirx.Select(nearest > x, nearest - like(x, 1), nearest))


def ceil(x: Expr) -> Expr:
    """The smallest integer that is not below x."""
    bind = Lets()
    x = bind(x)
    nearest = bind(round_even(x))
    return bind.close(tirx.Select(nearest < x, nearest + like(x, 1), nearest))


def trunc(x: Expr) -> Expr:
    """X without its fraction."""
    bind = Lets()
    x = bind(x)
    return bind.close(with_sign(floor(tirx.abs(x)), x))
