"""Trigonometric functions and their inverses."""

from math import nan, pi

from tvm import tirx

from .floats import (
    Expr,
    Lets,
    bits,
    dtype_of,
    from_bits,
    horner,
    is_nan,
    like,
    round_even,
    with_sign,
)

# pi / 2 in parts of 33 bits each, so that products with counts below 2**20 are exact
_HALF_PI_PARTS = (1.5707963267341256, 6.0771005063039e-11, 2.0222662487959506e-21)
_LARGEST = 2.0**30  # numbers from here on are too far apart for an angle
# (sin(r) / r - 1) / r^2 and (cos(r) - 1 + r^2 / 2) / r^4 in r^2, for |r| <= pi / 4
_SIN = {
    "float32": (-0.0001951697825, 0.008332175852, -0.1666665491),
    "float64": (
        1.5896666772797667e-10,
        -2.5050755966730985e-8,
        2.7557313678706817e-6,
        -0.00019841269829771314,
        0.0083333333333223702,
        -0.16666666666666632,
    ),
}
_COS = {
    "float32": (2.443809089e-5, -0.001388736448, 0.04166664681),
    "float64": (
        -1.1359559477653261e-11,
        2.0875721626716325e-9,
        -2.7557314340683767e-7,
        2.480158728944358e-5,
        -0.0013888888888874065,
        0.041666666666666599,
    ),
}
# (atan(x) / x - 1) / x^2 in x^2, for |x| <= tan(pi / 8)
_ATAN_BOUND = 0.41421356237309503
_ATAN = (
    -0.017907334132413882,
    0.038064944390763654,
    -0.050393303382233017,
    0.058478972639883804,
    -0.066631054350532241,
    0.076920603596700656,
    -0.09090897766940544,
    0.11111110783808826,
    -0.14285714280203888,
    0.19999999999953661,
    -0.33333333333333198,
)


def sin(x: Expr) -> Expr:
    """Sine; error below 1.5 ulp of the larger of the result and 1e-7, NaN from |x| = 2**30 on."""
    return _sin_of_quadrant(x, 0)


def cos(x: Expr) -> Expr:
    """Cosine; error as of `sin`."""
    return _sin_of_quadrant(x, 1)


def tan(x: Expr) -> Expr:
    """sin(x) / cos(x)."""
    bind = Lets()
    x = bind(x)
    return bind.close(sin(x) / cos(x))


def atan(x: Expr) -> Expr:
    """Inverse of the tangent, in [-pi/2, pi/2]; error below 1 ulp."""
    return atan2(x, like(x, 1))


def asin(x: Expr) -> Expr:
    """Inverse of the sine, NaN outside of [-1, 1]; error below 1 ulp."""
    if dtype_of(x) == "float32":
        return asin(x.astype("float64")).astype("float32")
    bind = Lets()
    x = bind(x)
    return bind.close(atan2(x, tirx.sqrt((like(x, 1) - x) * (like(x, 1) + x))))


def acos(x: Expr) -> Expr:
    """Inverse of the cosine, NaN outside of [-1, 1]; error below 1 ulp."""
    if dtype_of(x) == "float32":
        return acos(x.astype("float64")).astype("float32")
    bind = Lets()
    x = bind(x)
    return bind.close(atan2(tirx.sqrt((like(x, 1) - x) * (like(x, 1) + x)), x))


def atan2(y: Expr, x: Expr) -> Expr:
    """The angle of the point (x, y), in [-pi, pi]; error below 1 ulp."""
    if dtype_of(x) == "float32":
        return atan2(y.astype("float64"), x.astype("float64")).astype("float32")
    bind = Lets()
    x, y = bind(x), bind(y)
    width, height = bind(tirx.abs(x)), bind(tirx.abs(y))
    is_steep = height > width
    ratio = tirx.Select(is_steep, width, height) / tirx.Select(is_steep, height, width)
    ratio = tirx.Select(tirx.EQ(width, height), like(x, 1), ratio)  # of infinities too
    slope = bind(tirx.Select(tirx.EQ(height, like(x, 0)), like(x, 0), ratio))
    flat = bind(_atan_to_one(slope))
    steep = bind(tirx.Select(is_steep, like(x, pi / 2) - flat, flat))
    is_left = bits(x) < tirx.const(0, "int64")
    angle = with_sign(tirx.Select(is_left, like(x, pi) - steep, steep), y)
    return bind.close(tirx.Select(tirx.Or(is_nan(x), is_nan(y)), like(x, nan), angle))


def _atan_to_one(t: Expr) -> Expr:
    """atan(t) for 0 <= t <= 1."""
    bind = Lets()
    t = bind(t)
    is_large = t > like(t, _ATAN_BOUND)
    u = bind(tirx.Select(is_large, (t - like(t, 1)) / (t + like(t, 1)), t))
    z = bind(u * u)
    value = u + u * z * horner(z, _ATAN)
    return bind.close(value + tirx.Select(is_large, like(t, pi / 4), like(t, 0)))


def _sin_of_quadrant(x: Expr, quadrant: int) -> Expr:
    """sin(x + quadrant * pi / 2), the angle reduced in float64."""
    bind = Lets()
    dtype = dtype_of(x)
    wide = bind(x.astype("float64"))
    is_angle = tirx.abs(wide) < like(wide, _LARGEST)
    angle = bind(tirx.Select(is_angle, wide, like(wide, 0)))
    count = bind(round_even(angle * like(angle, 2 / pi)))
    reduced = angle
    for part in _HALF_PI_PARTS:
        reduced = reduced - count * like(angle, part)
    r = bind(reduced.astype(dtype))
    z = bind(r * r)
    sine = r + r * z * horner(z, _SIN[dtype])
    cosine = z * z * horner(z, _COS[dtype]) + (like(r, 1) - like(r, 0.5) * z)
    turns = bind(count.astype("int32") + tirx.const(quadrant, "int32"))
    is_even = tirx.EQ(turns & tirx.const(1, "int32"), tirx.const(0, "int32"))
    value = bind(bits(tirx.Select(is_even, sine, cosine)))
    shift = 30 if dtype == "float32" else 62
    flip = (turns & tirx.const(2, "int32")).astype(dtype_of(value)) << like(value, shift)
    return bind.close(tirx.Select(is_angle, from_bits(value ^ flip), like(r, nan)))
