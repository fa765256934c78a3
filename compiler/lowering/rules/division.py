"""Quotients and remainders of floats.

float32 is computed in float64, where the remainder is exact for quotients below 2**29; beyond, and
for float64 from 2**53 on, it is some number smaller than the divisor or zero.
"""

from math import inf

from tvm import tirx

from ..math.floats import Expr, Lets, bits, dtype_of, floor, like, trunc


def truncated_remainder(x: Expr, y: Expr) -> Expr:
    """x - trunc(x / y) * y, which has the sign of x."""
    if dtype_of(x) == "float32":
        return truncated_remainder(x.astype("float64"), y.astype("float64")).astype("float32")
    bind = Lets()
    x, y = bind(x), bind(y)
    rest = x - trunc(x / y) * y
    is_small = tirx.And(tirx.abs(x) < like(x, inf), tirx.EQ(tirx.abs(y), like(y, inf)))
    return bind.close(tirx.Select(is_small, x, rest))


def floor_remainder(x: Expr, y: Expr) -> Expr:
    """x - floor(x / y) * y, which has the sign of y."""
    bind = Lets()
    y = bind(y)
    rest = bind(truncated_remainder(x, y))
    return bind.close(tirx.Select(_is_opposite(rest, y), rest + y, rest))


def floor_quotient(x: Expr, y: Expr) -> Expr:
    """floor(x / y), from the remainder: rounding the quotient does not lift it."""
    bind = Lets()
    x, y = bind(x), bind(y)
    rest = bind(truncated_remainder(x, y))
    whole = floor((x - rest) / y + like(x, 0.5))  # the quotient is an integer but for rounding
    below = bind(whole)
    value = tirx.Select(_is_opposite(rest, y), below - like(x, 1), below)
    return bind.close(tirx.Select(tirx.EQ(y, like(y, 0)), x / y, value))


def _is_opposite(rest: Expr, y: Expr) -> Expr:
    """Whether a remainder that is not zero has another sign than the divisor."""
    differs = (bits(rest) ^ bits(y)) < like(bits(rest), 0)
    return tirx.And(tirx.NE(rest, like(rest, 0)), differs)
