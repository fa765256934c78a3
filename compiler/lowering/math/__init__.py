"""Functions of one number as vectorizable TIR expressions, without libm.

Arguments are float32 or float64 expressions and results have their dtype. Infinities, NaN and
signed zeros give what they give in C. The errors stated are the largest that
tests/lowering/test_math.py found; coefficients are minimax fits (benchmarks/fit_polynomials.py).
The vector unit of 32-bit ARM takes denormal numbers for zero.
"""

from math import inf, nan
from math import sqrt as square_root

from tvm import tirx

from .error_function import erf, erfc, normal_distribution
from .exponentials import exp, exp2, exp_of_negative, expm1
from .floats import Expr, Lets, by_squares, clamp, dtype_of, is_nan, like, with_sign
from .logarithms import log, log1p, log2, log10

__all__ = [
    "acosh",
    "asinh",
    "atanh",
    "cosh",
    "erf",
    "erfc",
    "exp",
    "exp2",
    "expm1",
    "gelu",
    "gelu_tanh",
    "log",
    "log1p",
    "log2",
    "log10",
    "log_add_exp",
    "log_sigmoid",
    "mish",
    "rsqrt",
    "sigmoid",
    "silu",
    "sinh",
    "softplus",
    "sqrt",
    "tanh",
]

# tanh(x) / x as a quotient in x^2, for |x| <= 9; tanh is 1 - 3e-8 there
_TANH_BOUND = 9.0
_TANH = (1.331994499e-8, 2.058431816e-5, 0.003494094832, 0.1337977193, 0.9999999789)
_TANH_BELOW = (7.7624371e-7, 0.0003283184698, 0.02587131253, 0.4671308727, 1.0)


def sqrt(x: Expr) -> Expr:
    """Square root, correctly rounded: one instruction on every target."""
    return tirx.sqrt(x)


def rsqrt(x: Expr) -> Expr:
    """1 / sqrt(x); error below 1.5 ulp."""
    return like(x, 1) / tirx.sqrt(x)


def sigmoid(x: Expr) -> Expr:
    """1 / (1 + exp(-x)); error below 2.5 ulp, 0 where exp(-x) overflows."""
    return like(x, 1) / (like(x, 1) + exp_of_negative(x))


def silu(x: Expr) -> Expr:
    """X * sigmoid(x)."""
    bind = Lets()
    x = bind(x)
    return bind.close(x / (like(x, 1) + exp_of_negative(x)))


def log_sigmoid(x: Expr) -> Expr:
    """log(sigmoid(x)) = min(x, 0) - log1p(exp(-|x|))."""
    bind = Lets()
    x = bind(x)
    smaller = tirx.Select(x > like(x, 0), like(x, 0), x)
    return bind.close(smaller - log1p(exp(_negated(tirx.abs(x)))))


def softplus(x: Expr) -> Expr:
    """log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|))."""
    bind = Lets()
    x = bind(x)
    larger = tirx.Select(x < like(x, 0), like(x, 0), x)
    return bind.close(larger + log1p(exp(_negated(tirx.abs(x)))))


def log_add_exp(x: Expr, y: Expr) -> Expr:
    """log(exp(x) + exp(y)) = max + log1p(exp(min - max))."""
    bind = Lets()
    x, y = bind(x), bind(y)
    larger = bind(tirx.Select(tirx.Or(x > y, is_nan(x)), x, y))
    smaller = tirx.Select(x > y, y, x)
    value = larger + log1p(exp(smaller - larger))
    is_infinite = tirx.EQ(tirx.abs(larger), like(x, inf))  # inf - inf is no number
    return bind.close(tirx.Select(is_infinite, larger, value))


def mish(x: Expr) -> Expr:
    """X * tanh(softplus(x)) = x n / (n + 2) with n = e (e + 2), e = exp(x)."""
    bind = Lets()
    x = bind(x)
    e = bind(exp(tirx.Select(x > like(x, 20), like(x, 20), x)))  # the factor is 1 from 20 on
    n = bind(e * (e + like(x, 2)))
    return bind.close(x * (n / (n + like(x, 2))))


def gelu(x: Expr) -> Expr:
    """X times the normal distribution function, x/2 (1 + erf(x / sqrt(2))).

    The error is below 3e-7 |x|, where the result cancels (x < -2) too; 0 below -5.65.
    """
    bind = Lets()
    x = bind(x)
    return bind.close(x * normal_distribution(x))


def gelu_tanh(x: Expr) -> Expr:
    """x/2 (1 + tanh(y)) = x sigmoid(2 y) with y = sqrt(2 / pi) (x + 0.044715 x^3)."""
    bind = Lets()
    x = bind(x)
    scale = 2 * square_root(0.6366197723675814)
    exponent = x * (like(x, scale * 0.044715) * (x * x) + like(x, scale))
    return bind.close(x / (like(x, 1) + exp_of_negative(exponent)))


def tanh(x: Expr) -> Expr:
    """Hyperbolic tangent; error below 5 ulp."""
    bind = Lets()
    x = bind(x)
    if dtype_of(x) == "float64":
        shrunk = bind(expm1(tirx.abs(x) * like(x, -2)))
        return bind.close(with_sign(_negated(shrunk) / (shrunk + like(x, 2)), x))
    x = bind(clamp(x, -_TANH_BOUND, _TANH_BOUND))
    z = bind(x * x)
    square = bind(z * z)
    above, below = by_squares(z, square, _TANH), by_squares(z, square, _TANH_BELOW)
    return bind.close(x * above / below)


def sinh(x: Expr) -> Expr:
    """(exp(x) - exp(-x)) / 2; error below 1 ulp."""
    if dtype_of(x) == "float32":
        return sinh(x.astype("float64")).astype("float32")
    bind = Lets()
    x = bind(x)
    size = bind(tirx.abs(x))
    grown = bind(expm1(tirx.Select(size > like(x, 20), like(x, 20), size)))
    small = like(x, 0.5) * (grown + grown / (grown + like(x, 1)))
    return bind.close(with_sign(tirx.Select(size > like(x, 20), _half_exp(size), small), x))


def cosh(x: Expr) -> Expr:
    """(exp(x) + exp(-x)) / 2; error below 1 ulp."""
    if dtype_of(x) == "float32":
        return cosh(x.astype("float64")).astype("float32")
    bind = Lets()
    x = bind(x)
    size = bind(tirx.abs(x))
    grown = bind(exp(size))
    small = like(x, 0.5) * (grown + like(x, 1) / grown)
    return bind.close(tirx.Select(size > like(x, 20), _half_exp(size), small))


def asinh(x: Expr) -> Expr:
    """sign(x) log(|x| + sqrt(x^2 + 1)); error below 1 ulp."""
    if dtype_of(x) == "float32":
        return asinh(x.astype("float64")).astype("float32")
    bind = Lets()
    x = bind(x)
    size = bind(tirx.abs(x))
    square = bind(size * size)
    small = log1p(size + square / (like(x, 1) + tirx.sqrt(square + like(x, 1))))
    large = log(size) + like(x, 0.6931471805599453)
    return bind.close(with_sign(tirx.Select(size > like(x, 1e9), large, small), x))


def acosh(x: Expr) -> Expr:
    """log(x + sqrt(x^2 - 1)), NaN below 1; error below 1 ulp."""
    if dtype_of(x) == "float32":
        return acosh(x.astype("float64")).astype("float32")
    bind = Lets()
    x = bind(x)
    above = bind(x - like(x, 1))
    small = log1p(above + tirx.sqrt(above * (x + like(x, 1))))
    large = log(x) + like(x, 0.6931471805599453)
    value = tirx.Select(x > like(x, 1e9), large, small)
    return bind.close(tirx.Select(x < like(x, 1), like(x, nan), value))


def atanh(x: Expr) -> Expr:
    """log((1 + x) / (1 - x)) / 2, NaN outside of [-1, 1]; error below 1 ulp."""
    if dtype_of(x) == "float32":
        return atanh(x.astype("float64")).astype("float32")
    bind = Lets()
    x = bind(x)
    size = bind(tirx.abs(x))
    value = like(x, 0.5) * log1p(like(x, 2) * size / (like(x, 1) - size))
    return bind.close(with_sign(value, x))


def _negated(x: Expr) -> Expr:
    return x * like(x, -1)


def _half_exp(x: Expr) -> Expr:
    """exp(x) / 2, also where exp(x) overflows."""
    bind = Lets()
    root = bind(exp(x * like(x, 0.5)))
    return bind.close(like(x, 0.5) * root * root)
