"""Powers of floats and of integers."""

from math import inf, nan

from tvm import tirx

from . import rsqrt, sqrt
from .exponentials import exp
from .floats import Expr, Lets, bits, dtype_of, like, round_even, trunc
from .logarithms import log

_LARGEST_PRODUCT = 64  # integer exponents up to here are products
_EXPONENT_BITS = 8  # of integer exponents that are only known at run time


def power(x: Expr, y: Expr) -> Expr:
    """x**y = exp(y log |x|) in float64, with the limits of C's pow.

    Error below 1 ulp in float32, and 1e-13 relative in float64; there powers of integers are
    integers, which may be meant to become such.
    """
    if dtype_of(x) == "float32":
        return _power(x.astype("float64"), y.astype("float64")).astype("float32")
    bind = Lets()
    x, y = bind(x), bind(y)
    value = bind(_power(x, y))
    are_whole = tirx.And(tirx.EQ(trunc(x), x), tirx.EQ(trunc(y), y))
    is_whole = tirx.And(tirx.And(are_whole, y >= like(y, 0)), tirx.abs(value) < like(x, 2.0**42))
    return bind.close(tirx.Select(is_whole, round_even(value), value))


def _power(x: Expr, y: Expr) -> Expr:
    bind = Lets()
    x, y = bind(x), bind(y)
    size = bind(tirx.abs(x))
    value = bind(exp(y * log(size)))
    half = bind(y * like(y, 0.5))
    is_odd = tirx.NE(trunc(half), half)
    signed = tirx.Select(is_odd, value * like(x, -1), value)
    is_whole = tirx.EQ(trunc(y), y)
    is_finite = tirx.And(size < like(x, inf), size > like(x, 0))
    broken = tirx.Select(is_finite, like(x, nan), value)
    has_sign = bits(x) < tirx.const(0, "int64")  # -0 has one too
    result = tirx.Select(has_sign, tirx.Select(is_whole, signed, broken), value)
    is_one = tirx.Or(tirx.EQ(x, like(x, 1)), tirx.EQ(y, like(y, 0)))
    minus_one = tirx.And(tirx.EQ(x, like(x, -1)), tirx.EQ(tirx.abs(y), like(y, inf)))
    return bind.close(tirx.Select(tirx.Or(is_one, minus_one), like(x, 1), result))


def power_of_constant(base: float, y: Expr) -> Expr:
    """base**y; an exponential where the base is positive."""
    return power(like(y, base), y)


def constant_power(x: Expr, exponent: float) -> Expr:
    """x**exponent of a float: a product, root or quotient where the exponent allows it."""
    if exponent == 0.5:
        return sqrt(x)
    if exponent == -0.5:
        return rsqrt(x)
    if float(exponent).is_integer() and abs(exponent) <= _LARGEST_PRODUCT:
        product = repeated_product(x, abs(int(exponent)))
        return product if exponent >= 0 else like(x, 1) / product
    return power(x, like(x, exponent))


def repeated_product(x: Expr, count: int) -> Expr:
    """X multiplied `count` times, by squaring; integers wrap around."""
    bind = Lets()
    square, result = bind(x), None
    while count:
        if count & 1:
            result = square if result is None else bind(result * square)
        count >>= 1
        if count:
            square = bind(square * square)
    return bind.close(like(x, 1) if result is None else result)


def integer_power(x: Expr, y: Expr) -> Expr:
    """x**y of integers that wrap around, 0 <= y < 256; 1/x rounded to 0 for negative y."""
    bind = Lets()
    square, y = bind(x), bind(y)
    x, result = square, like(x, 1)
    for bit in range(_EXPONENT_BITS):
        is_set = tirx.NE((y >> like(y, bit)) & like(y, 1), like(y, 0))
        result = bind(tirx.Select(is_set, result * square, result))
        square = bind(square * square)
    if dtype_of(x).startswith("uint"):
        return bind.close(result)
    is_unit = tirx.Or(tirx.EQ(x, like(x, 1)), tirx.EQ(x, like(x, -1)))
    inverse = tirx.Select(is_unit, result, like(x, 0))  # the powers of -1 depend on one bit
    return bind.close(tirx.Select(y < like(y, 0), inverse, result))
