"""The error function and its complement."""

from math import sqrt

from tvm import tirx

from .exponentials import exp
from .floats import (
    Expr,
    Lets,
    at_least,
    by_squares,
    clamp,
    dtype_of,
    horner,
    is_nan,
    like,
    with_sign,
)

# erf(x) / x as a quotient in x^2, for |x| <= 3.84; erf is 1 - 6e-8 there
_ERF_BOUND = 3.84
_ERF = (
    2.108392687e-6,
    0.0002856011624,
    0.003671563523,
    0.05247225757,
    0.1878451654,
    1.128379152,
)
_ERF_BELOW = (3.872930004e-5, 0.001144891029, 0.01478014092, 0.1131067937, 0.49980633, 1.0)
# erf(x / sqrt(2)) / (2 x) in the same way. At the bound it is more than 1 / 2, by 2e-7.
_NORMAL_BOUND = 5.65
_NORMAL = tuple(c * sqrt(0.5) * 0.5 ** (6 - k) for k, c in enumerate(_ERF))
_NORMAL_BELOW = tuple(c * 0.5 ** (5 - k) for k, c in enumerate(_ERF_BELOW))
# erf(x) / x in x^2, for |x| <= 1
_ERF_SMALL = (
    5.9606760733354789e-11,
    -1.1374949067447647e-9,
    1.4660326646023797e-8,
    -1.6350395854324982e-7,
    1.6461008436566801e-6,
    -1.4925595769145756e-5,
    0.00012055331132807185,
    -0.00085483269814207574,
    0.005223977624828333,
    -0.026866170645077863,
    0.11283791670954884,
    -0.37612638903183748,
    1.1283791670955126,
)
# exp(x^2) erfc(x) (1 + 2 x) in (x - 4) / (x + 4), for 1 <= x <= 27.3; erfc is 0 beyond
_ERFC_BOUND = 27.3
_ERFC = (
    4.3745273326153219e-9,
    -1.1881448158234472e-8,
    -2.3922586206072538e-8,
    1.0831752871357175e-7,
    8.1053409134197305e-8,
    -8.2452802226543211e-7,
    2.8975088681235229e-7,
    5.7093337265176319e-6,
    -1.1220370764805892e-5,
    -2.439905937625932e-5,
    0.00015062122614244681,
    -0.00019925673858046679,
    -0.00075777320835455125,
    0.0050319699858813465,
    -0.016197734066920194,
    0.037167515536658392,
    -0.066330365811599434,
    0.093732834998395049,
    -0.10103906603632629,
    0.068097054254691577,
    0.015379652102620053,
    -0.13962111684056251,
    1.2329951186255525,
)


def erf(x: Expr) -> Expr:
    """2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x; error below 5 ulp."""
    if dtype_of(x) == "float64":
        return _erf_float64(x)
    bind = Lets()
    x = bind(clamp(x, -_ERF_BOUND, _ERF_BOUND))
    z = bind(x * x)
    square = bind(z * z)
    above, below = by_squares(z, square, _ERF), by_squares(z, square, _ERF_BELOW)
    return bind.close(x * above / below)


def normal_distribution(x: Expr) -> Expr:
    """(1 + erf(x / sqrt(2))) / 2; float32 is exactly 0 below -5.65 and off by at most 2e-7."""
    bind = Lets()
    if dtype_of(x) == "float64":
        half = like(x, 0.5)
        return half + half * erf(x * like(x, sqrt(0.5)))
    x = bind(clamp(x, -_NORMAL_BOUND, _NORMAL_BOUND))
    z = bind(x * x)
    square = bind(z * z)
    above, below = by_squares(z, square, _NORMAL), by_squares(z, square, _NORMAL_BELOW)
    return bind.close(at_least(like(x, 0), x * above / below + like(x, 0.5)))


def erfc(x: Expr) -> Expr:
    """1 - erf(x), also accurate where it is small; error below 1 ulp."""
    if dtype_of(x) == "float32":
        return erfc(x.astype("float64")).astype("float32")
    bind = Lets()
    x = bind(x)
    tail = bind(_erfc_tail(tirx.abs(x)))
    small = like(x, 1) - x * horner(x * x, _ERF_SMALL)
    large = tirx.Select(x < like(x, 0), like(x, 2) - tail, tail)
    return bind.close(tirx.Select(tirx.abs(x) < like(x, 1), small, large))


def _erf_float64(x: Expr) -> Expr:
    bind = Lets()
    x = bind(x)
    z = bind(x * x)
    small = x * horner(z, _ERF_SMALL)
    large = with_sign(like(x, 1) - _erfc_tail(tirx.abs(x)), x)
    inside = tirx.Select(tirx.abs(x) < like(x, 1), small, large)
    return bind.close(tirx.Select(is_nan(x), x, inside))


def _erfc_tail(x: Expr) -> Expr:
    """erfc(x) for float64 x >= 1 or NaN."""
    bind = Lets()
    x = bind(x)
    t = bind((x - like(x, 4)) / (x + like(x, 4)))
    value = exp(like(x, 0) - x * x) * horner(t, _ERFC) / (like(x, 1) + like(x, 2) * x)
    return bind.close(tirx.Select(x > like(x, _ERFC_BOUND), like(x, 0), value))
