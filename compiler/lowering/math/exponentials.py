"""Exponentials."""

from tvm import tirx

from .floats import (
    Expr,
    Lets,
    at_least,
    bits,
    by_squares,
    clamp,
    dtype_of,
    format_of,
    from_bits,
    horner,
    like,
    power_of_two,
)

LOG2_E = 1.4426950408889634
# ln 2 in two parts; the first ends in zeros, so that its product with an exponent is exact
LN_2_PARTS = {
    "float32": (0.693145751953125, 1.428606765330187e-06),
    "float64": (0.6931471803691238, 1.9082149292705877e-10),
}
# (exp(r) - 1 - r) / r^2 for |r| <= ln(2) / 2
_EXP = {
    "float32": (0.001381446638, 0.008368780031, 0.0416683942, 0.1666652011, 0.4999999341),
    "float64": (
        2.082657011395195e-9,
        2.5112143768595045e-8,
        2.7557582677026868e-7,
        2.7557234560975578e-6,
        2.4801586924757623e-5,
        0.00019841269896678611,
        0.0013888888889117176,
        0.0083333333333169181,
        0.041666666666666089,
        0.16666666666666684,
        0.5,
    ),
}
# 2**r / 0.0013276... for |r| <= 1/2 as (r^2 + a r + b) (r^2 + c r + d) (r + e)
_EXP2_FACTORS = ((4.797399464, 11.66225237), (-0.6816276481, 20.36135822), 3.171963555)
_SHIFT = 1.5 * 2.0**23 + 127  # added to a float32, leaves its integer part in the last bits
# Where exp is 0 or infinite, and where expm1 is -1 or infinite.
_EXP_BOUNDS = {"float32": (-104.0, 89.0), "float64": (-746.0, 710.0)}
_NEGATIVE_BOUNDS = (-88.6, 87.9)  # n of -x = n ln(2) + r is then at most 128, at least -127
_EXPM1_BOUNDS = {"float32": (-18.0, 89.0), "float64": (-38.0, 710.0)}


def exp(x: Expr) -> Expr:
    """e**x = 2**n e**r with |r| <= ln(2) / 2; error below 1.2 ulp, denormal results included."""
    bind = Lets()
    x = bind(clamp(x, *_EXP_BOUNDS[dtype_of(x)]))
    if dtype_of(x) == "float64":
        n, r = _reduce(bind, x)
        half = bind(n >> like(n, 1))  # 2**n itself may be out of range
        scales = power_of_two(half), power_of_two(n - half)
    else:
        shifted, r = _reduce_float32(bind, x, 1)
        half = bind(shifted >> like(shifted, 1))  # of n + 254
        scales = _scale(half), _scale(shifted - half)
    return bind.close(_exp_of_rest(bind, r) * scales[0] * scales[1])


def exp_of_negative(x: Expr) -> Expr:
    """e**-x; a float32 result is 0 where it would be below 1.2e-38, infinite above 2.4e38."""
    if dtype_of(x) == "float64":
        return exp(x * like(x, -1))
    bind = Lets()
    x = bind(clamp(x, *_NEGATIVE_BOUNDS))
    shifted, r = _reduce_float32(bind, x, -1)
    return bind.close(_exp_of_rest(bind, r) * _scale(shifted - like(shifted, 127)))


def exp2(x: Expr) -> Expr:
    """2**x = 2**n e**(ln(2) r) with |r| <= 1/2; error below 1.5 ulp."""
    bind = Lets()
    low, high = _EXP_BOUNDS[dtype_of(x)]
    x = bind(clamp(x, low * LOG2_E, high * LOG2_E))
    n, count = _nearest(bind, x, 1.0)
    r = bind((x - count) * like(x, sum(LN_2_PARTS[dtype_of(x)])))
    value = horner(r, _EXP[dtype_of(x)]) * (r * r) + r + like(x, 1)
    half = bind(n >> like(n, 1))
    return bind.close(value * power_of_two(half) * power_of_two(n - half))


def expm1(x: Expr) -> Expr:
    """e**x - 1 = 2**n (e**r - 1) + (2**n - 1), without cancellation near 0; error below 1.6 ulp."""
    bind = Lets()
    n, r = _reduce(bind, bind(clamp(x, *_EXPM1_BOUNDS[dtype_of(x)])))
    value = horner(r, _EXP[dtype_of(x)]) * (r * r) + r
    scale = bind(power_of_two(n - like(n, 1)))  # half of 2**n, which may be out of range
    return bind.close(like(x, 2) * (scale * value + (scale - like(x, 0.5))))


def _exp_of_rest(bind: Lets, r: Expr) -> Expr:
    """e**r for |r| <= ln(2) / 2."""
    square = bind(r * r)
    return by_squares(r, square, _EXP[dtype_of(r)]) * square + r + like(r, 1)


def _reduce_float32(bind: Lets, x: Expr, sign: int) -> tuple[Expr, Expr]:
    """(n + 254, r) of sign * x = n ln(2) + r, of the former only the last nine bits."""
    shifted = bind(bits(x * like(x, sign * LOG2_E) + like(x, _SHIFT + 127)))
    count = bind(from_bits(shifted) - like(x, _SHIFT + 127))
    high, low = LN_2_PARTS["float32"]
    if sign > 0:
        return shifted, bind(x - count * like(x, high) - count * like(x, low))
    return shifted, bind(like(x, 0) - x - count * like(x, high) - count * like(x, low))


def _scale(exponent: Expr) -> Expr:
    """2**(n - 127) for the n in the last nine bits of an int32, n = 255: infinity."""
    return from_bits(exponent << like(exponent, 23))


def _reduce(bind: Lets, x: Expr) -> tuple[Expr, Expr]:
    """The n and r of x = n ln(2) + r; n is an integer as wide as x."""
    n, count = _nearest(bind, x, LOG2_E)
    high, low = LN_2_PARTS[dtype_of(x)]
    return n, bind(x - count * like(x, high) - count * like(x, low))


def _nearest(bind: Lets, x: Expr, factor: float) -> tuple[Expr, Expr]:
    """The integer nearest to factor * x, as an integer and as a float."""
    layout = format_of(x)
    # Made positive, so that conversion rounds down on every CPU, without a call to floor.
    offset = 2 * layout.bias
    scaled = x * like(x, factor) + like(x, offset + 0.5)
    number = tirx.Max(scaled, like(x, 0))  # 0 for NaN, which has no integer
    biased = bind(number.astype("int32"))
    count = bind(biased.astype(dtype_of(x)) - like(x, offset))
    return bind((biased - like(biased, offset)).astype(layout.integer)), count


def scaled_exp2(x: Expr) -> Expr:
    """753.21... * 2**x for float32 x <= 0, 0 for x < -126.5; error below 4 ulp.

    Where only the ratio of powers counts, as in a softmax. The polynomial is a product of factors
    that need no constant moved before a multiply-add, as Horner's scheme does.
    """
    bind = Lets()
    x = bind(at_least(like(x, -127), x))
    shifted = bind(bits(x + like(x, _SHIFT)))  # its last bits are the exponent of 2**n
    r = bind(x - (from_bits(shifted) - like(x, _SHIFT)))
    square = bind(r * r)
    (a, b), (c, d), e = _EXP2_FACTORS
    first = (square + like(x, b)) + like(x, a) * r
    second = (square + like(x, d)) + like(x, c) * r
    value = first * second * (r + like(x, e))
    return bind.close(value * from_bits(shifted << like(shifted, 23)))
