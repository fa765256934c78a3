"""Functions of one float32 number as chains of single IEEE operations, all of them rounded.

They are written once, for tensors and for expressions in kernels: operators add, subtract,
multiply and divide, and what else they need comes from `Numbers`. Kernels never join a product
and a sum to a fused multiply-add here, so every target gives the bytes of PyTorch. Errors are
those that tests/quantization/test_exact_functions.py finds.
"""

from collections.abc import Sequence
from math import sqrt
from typing import Any, Protocol

Number = Any  # a float32 tensor, or a float32 expression in a kernel

_LOG2_E = 1.4426950408889634
# ln 2 in two parts; the first ends in zeros, so that its product with an exponent is exact
_LN_2_PARTS = (0.693145751953125, 1.428606765330187e-06)
# e**x is 0 below the first, where n of x = n ln(2) + r is -127, infinite where n is 128
_EXP_BOUNDS = (-87.9, 88.6)
# (exp(r) - 1 - r) / r^2 for |r| <= ln(2) / 2
_EXP = (0.001381446638, 0.008368780031, 0.0416683942, 0.1666652011, 0.4999999341)
# (P(a normal variable is below x) - 1 / 2) / x as a quotient in x^2; 1 / (2 x) at the bound
_NORMAL_BOUND = 5.525000095367432
_NORMAL = (
    2.9668909107272157e-08,
    8.155094292305876e-06,
    0.00021303989342413843,
    0.00604144437238574,
    0.04343912750482559,
    0.518625020980835,
)
_NORMAL_BELOW = (
    1.5518213558607385e-06,
    9.335812501376495e-05,
    0.002414094749838114,
    0.0369027741253376,
    0.3255525529384613,
    1.2999999523162842,
)
# tanh(x) / x as a quotient in x^2; tanh is 1 - 3e-8 at the bound
_TANH_BOUND = 9.0
_TANH = (1.331994499e-8, 2.058431816e-5, 0.003494094832, 0.1337977193, 0.9999999789)
_TANH_BELOW = (7.7624371e-7, 0.0003283184698, 0.02587131253, 0.4671308727, 1.0)


class Numbers(Protocol):
    """What can be done with numbers beside arithmetic, all of it exact or correctly rounded."""

    def name(self, x: Number) -> Number:
        """x itself, to be used more than once."""

    def at_least(self, bound: float, x: Number) -> Number:
        """x, or the bound where x is below; NaN stays NaN."""

    def at_most(self, bound: float, x: Number) -> Number:
        """x, or the bound where x is above; NaN stays NaN."""

    def nearest(self, x: Number) -> Number:
        """The nearest integer, halves to even, of |x| < 2^22."""

    def power_of_two(self, n: Number) -> Number:
        """2**n for whole numbers in [-127, 128]: 0 for the first, infinite for the last."""


def exp(x: Number, numbers: Numbers) -> Number:
    """e**x = 2**n e**r; relative error below 2e-7, 0 below 1.2e-38 and infinite above 2.4e38."""
    low, high = _EXP_BOUNDS
    x = numbers.name(numbers.at_most(high, numbers.at_least(low, x)))
    n = numbers.name(numbers.nearest(x * _LOG2_E))
    r = numbers.name(x - n * _LN_2_PARTS[0] - n * _LN_2_PARTS[1])
    square = numbers.name(r * r)
    return (_by_squares(r, square, _EXP) * square + r + 1.0) * numbers.power_of_two(n)


def sigmoid(x: Number, numbers: Numbers) -> Number:
    """1 / (1 + e**-x); relative error below 1.5e-7."""
    return 1.0 / (1.0 + exp(0.0 - x, numbers))


def silu(x: Number, numbers: Numbers) -> Number:
    """x / (1 + e**-x); relative error below 1.5e-7."""
    x = numbers.name(x)
    return x / (1.0 + exp(0.0 - x, numbers))


def gelu(x: Number, numbers: Numbers) -> Number:
    """x P(a normal variable is below x); P is off by at most 2.1e-7, 0 below -5.525."""
    x = numbers.name(x)
    near = numbers.at_most(_NORMAL_BOUND, numbers.at_least(-_NORMAL_BOUND, x))
    above, below, near = _quotient(near, _NORMAL, _NORMAL_BELOW, numbers)
    return x * numbers.at_least(0.0, near * above / below + 0.5)


def gelu_tanh(x: Number, numbers: Numbers) -> Number:
    """x/2 (1 + tanh(y)) = x / (1 + e**-2y) with y = sqrt(2 / pi) (x + 0.044715 x^3)."""
    scale = -2 * sqrt(0.6366197723675814)
    x = numbers.name(x)
    exponent = x * (x * x * (scale * 0.044715) + scale)
    return x / (1.0 + exp(exponent, numbers))


def tanh(x: Number, numbers: Numbers) -> Number:
    """Hyperbolic tangent; relative error below 3.5e-7."""
    near = numbers.at_most(_TANH_BOUND, numbers.at_least(-_TANH_BOUND, x))
    above, below, near = _quotient(near, _TANH, _TANH_BELOW, numbers)
    return near * above / below


def _quotient(
    x: Number, above: Sequence[float], below: Sequence[float], numbers: Numbers
) -> tuple[Number, Number, Number]:
    """Both polynomials in x^2, and x."""
    x = numbers.name(x)
    z = numbers.name(x * x)
    square = numbers.name(z * z)
    return _by_squares(z, square, above), _by_squares(z, square, below), x


def _by_squares(x: Number, square: Number, coefficients: Sequence[float]) -> Number:
    """The polynomial in x as one in x^2 whose coefficients are a x + b."""
    odd = len(coefficients) % 2
    value = coefficients[0] if odd else x * coefficients[0] + coefficients[1]
    rest = coefficients[2 - odd :]
    for high, low in zip(rest[::2], rest[1::2], strict=True):
        value = square * value + (x * high + low)
    return value


FUNCTIONS = {
    "gelu": gelu,
    "gelu_tanh": gelu_tanh,
    "sigmoid": sigmoid,
    "silu": silu,
    "tanh": tanh,
}
