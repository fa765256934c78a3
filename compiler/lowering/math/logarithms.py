"""Logarithms."""

from math import inf, nan, sqrt

import numpy as np
from tvm import tirx

from .exponentials import LN_2_PARTS
from .floats import Expr, Lets, bits, dtype_of, format_of, from_bits, horner, like, opaque

_LOG2_E = 1.4426950408889634
_LOG10_E = 0.4342944819032518
# log10 2 in two parts, as LN_2_PARTS
_LOG10_2_PARTS = {
    "float32": (0.30102920532226562, 7.903415166765626e-07),
    "float64": (0.30102999566361177, 3.6942390771589308e-13),
}
# (log(1 + s) - log(1 - s) - 2 s) / s^3 in s^2, for the s of numbers in [sqrt(1/2), sqrt(2)]
_LOG = {
    "float32": (0.2358356508, 0.2853723856, 0.4000033621, 0.6666666564),
    "float64": (
        0.14797505160928128,
        0.1531390348475287,
        0.18183569731432408,
        0.22222198476120167,
        0.28571428743261789,
        0.39999999999411093,
        0.66666666666667349,
    ),
}


def log(x: Expr) -> Expr:
    """Natural logarithm: k ln 2 + ln m for x = 2**k m; error below 1.1 ulp."""
    bind = Lets()
    x = bind(x)
    k, mantissa = _split(bind, x)
    high, low = LN_2_PARTS[dtype_of(x)]
    return bind.close(_at_limits(x, k * like(x, low) + mantissa + k * like(x, high)))


def log2(x: Expr) -> Expr:
    """Binary logarithm: k + lb m for x = 2**k m; error below 2 ulp."""
    bind = Lets()
    x = bind(x)
    k, mantissa = _split(bind, x)
    return bind.close(_at_limits(x, mantissa * like(x, _LOG2_E) + k))


def log10(x: Expr) -> Expr:
    """Decimal logarithm: k lg 2 + lg m for x = 2**k m; error below 2 ulp."""
    bind = Lets()
    x = bind(x)
    k, mantissa = _split(bind, x)
    high, low = _LOG10_2_PARTS[dtype_of(x)]
    value = k * like(x, low) + mantissa * like(x, _LOG10_E) + k * like(x, high)
    return bind.close(_at_limits(x, value))


def log1p(x: Expr) -> Expr:
    """log(1 + x), exact for tiny x; error below 1.5 ulp."""
    bind = Lets()
    x = bind(x)
    total = bind(x + like(x, 1))
    lost = x - (opaque(total) - like(x, 1))  # what rounding 1 + x dropped
    k, mantissa = _split(bind, total)
    high, low = LN_2_PARTS[dtype_of(x)]
    value = k * like(x, low) + lost / total + mantissa + k * like(x, high)
    return bind.close(tirx.Select(tirx.EQ(total, like(x, 1)), x, _at_limits(total, value)))


def _split(bind: Lets, x: Expr) -> tuple[Expr, Expr]:
    """The k (as a float) and log(m) of x = 2**k m with sqrt(1/2) <= m < sqrt(2)."""
    layout = format_of(x)
    lift = layout.mantissa_bits + 2  # makes denormals normal
    smallest = 2.0 ** (1 - layout.bias)
    is_tiny = x < like(x, smallest)
    normal = bind(bits(tirx.Select(is_tiny, x * like(x, 2.0**lift), x)))
    root = np.array(sqrt(0.5), dtype_of(x)).view(layout.integer)
    shift = like(normal, layout.mantissa_bits)
    k = bind((normal - like(normal, int(root))) >> shift)
    f = bind(from_bits(normal - (k << shift)) - like(x, 1))
    exponent = bind(
        k.astype("int32").astype(dtype_of(x)) - tirx.Select(is_tiny, like(x, lift), like(x, 0))
    )
    s = bind(f / (f + like(x, 2)))
    z = bind(s * s)
    half_square = bind(like(x, 0.5) * f * f)
    rest = s * (half_square + z * horner(z, _LOG[dtype_of(x)]))
    return exponent, bind(f - (half_square - rest))


def _at_limits(x: Expr, value: Expr) -> Expr:
    """The value for positive numbers, -inf at 0, NaN below, and x for infinity and NaN."""
    at_zero = tirx.Select(tirx.EQ(x, like(x, 0)), like(x, -inf), like(x, nan))
    finite = tirx.Select(x > like(x, 0), value, at_zero)
    return tirx.Select(x < like(x, inf), finite, x)
