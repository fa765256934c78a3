"""Small C functions that generic code calls: what TIR has as one operation and C has not."""

from .layer import MicroKernel
from .products import MULTIPLY_HIGH

INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")

_CHOICE = """\
static inline {type} {which}_{dtype}({type} a, {type} b)
{{
    return a {sign} b ? a : b;
}}
"""

_FLOOR = {
    "floor_div": "return a / b - (a % b != 0 && (a < 0) != (b < 0));",
    "floor_mod": "return a % b + (a % b != 0 && (a < 0) != (b < 0) ? b : 0);",
}

# One bit after the other, for cores without an instruction; C rounds quotients towards zero.
_QUOTIENT = """\
/* a / b */
static {type} quotient_{dtype}({type} a, {type} b)
{{
    {word} rest = a < 0 ? 0 - ({word})a : ({word})a, divisor = b < 0 ? 0 - ({word})b : ({word})b;
    {word} result = 0;
    for (int bit = {bits} - 1; bit >= 0; bit--)
        if (rest >> bit >= divisor) {{
            rest -= divisor << bit;
            result |= ({word})1 << bit;
        }}
    return ({type})((a < 0) != (b < 0) ? 0 - result : result);
}}
"""

_REMAINDER = """\
/* a % b */
static inline {type} remainder_{dtype}({type} a, {type} b)
{{
    return a - quotient_{dtype}(a, b) * b;
}}
"""

_BITS = """\
static inline {to} {name}({source} value)
{{
    {to} result;
    memcpy(&result, &value, sizeof result);
    return result;
}}
"""

_NARROW = """\
/* (value >> shift) + zero_point, kept in [low, high]. */
static inline int8_t narrow(int32_t value, int shift, int zero_point, int low, int high)
{
    value >>= shift;
    if (value < low - zero_point)
        return (int8_t)low;
    return (int8_t)(value > high - zero_point ? high : value + zero_point);
}
"""

# 24 bits of the root, one after the other, of a mantissa of 48 bits; rounded to nearest.
_SQRT = """\
/* The square root, correctly rounded. */
static inline float sqrt_float32(float x)
{
#if defined(__ARM_FP) && (__ARM_FP & 4)
    __asm("vsqrt.f32 %0, %0" : "+t"(x));
    return x;
#else
    uint32_t bits, root = 0;
    uint64_t rest, bit;
    int exponent = 0;
    if (!(x > 0.0f) || x > 3.40282347e+38f)
        return x < 0.0f ? (x - x) / 0.0f : x;
    if (x < 1.17549435e-38f) {
        x *= 16777216.0f;
        exponent = -24;
    }
    memcpy(&bits, &x, sizeof bits);
    exponent += (int)(bits >> 23) - 127;
    rest = (uint64_t)((bits & 0x7fffffu) | 0x800000u) << (exponent & 1 ? 26 : 25);
    exponent = (exponent - (exponent & 1)) / 2;
    for (bit = UINT64_C(1) << 24; bit != 0; bit >>= 1) {
        uint64_t trial = ((uint64_t)root | bit) * ((uint64_t)root | bit);
        if (trial <= rest)
            root |= (uint32_t)bit;
    }
    root = (root + 1) >> 1;
    bits = ((uint32_t)(exponent + 127) << 23) + (root - 0x800000u);
    memcpy(&x, &bits, sizeof x);
    return x;
#endif
}
"""

_ROUNDING = {
    "floor": "return whole > x ? whole - 1.0f : whole;",
    "ceil": "return whole < x ? whole + 1.0f : whole;",
    "trunc": "return whole;",
    "nearbyint": (
        "float rest = x - whole;\n"
        "    if (rest > 0.5f || (rest == 0.5f && ((int32_t)whole & 1)))\n"
        "        return whole + 1.0f;\n"
        "    if (rest < -0.5f || (rest == -0.5f && ((int32_t)whole & 1)))\n"
        "        return whole - 1.0f;\n"
        "    return whole;"
    ),
}

_ROUND = """\
static inline float {name}_float32(float x)
{{
    float whole;
    if (!(x > -8388608.0f && x < 8388608.0f))
        return x;
    whole = (float)(int32_t)x;
    {body}
}}
"""

_FABS = """\
static inline {type} fabs_{dtype}({type} x)
{{
    return x < 0 ? -x : x;
}}
"""


def _helpers() -> dict[str, tuple[MicroKernel, ...]]:
    texts: dict[str, str] = {"multiply_high": MULTIPLY_HIGH.text, "narrow": _NARROW}
    ctypes = {name: f"{name}_t" for name in ("int32", "uint32", "int64", "uint64")}
    ctypes |= {"float32": "float", "float64": "double"}
    for dtype, ctype in ctypes.items():
        for which, sign in (("min", "<"), ("max", ">")):
            texts[f"{which}_{dtype}"] = _CHOICE.format(
                which=which, type=ctype, dtype=dtype, sign=sign
            )
    for which, body in _FLOOR.items():
        for dtype in ("int32", "int64"):
            name, ctype = f"{which}_{dtype}", f"{dtype}_t"
            texts[name] = (
                f"static inline {ctype} {name}({ctype} a, {ctype} b)\n{{\n    {body}\n}}\n"
            )
    for dtype, bits in (("int32", 32), ("int64", 64)):
        known = {"dtype": dtype, "type": f"{dtype}_t", "word": f"u{dtype}_t", "bits": bits}
        texts[f"quotient_{dtype}"] = _QUOTIENT.format(**known)
        texts[f"remainder_{dtype}"] = _REMAINDER.format(**known)
    for dtype, word in (("float32", "int32_t"), ("float64", "int64_t")):
        for name, to, source in (
            (f"{dtype}_from_bits", ctypes[dtype], word),
            (f"bits_of_{dtype}", word, ctypes[dtype]),
        ):
            texts[name] = _BITS.format(name=name, to=to, source=source)
    for name, body in _ROUNDING.items():
        texts[f"{name}_float32"] = _ROUND.format(name=name, body=body)
    for dtype in ("float32", "float64"):
        texts[f"fabs_{dtype}"] = _FABS.format(type=ctypes[dtype], dtype=dtype)
    texts["sqrt_float32"] = _SQRT
    kernels = {name: MicroKernel(name, text) for name, text in texts.items()}
    found: dict[str, tuple[MicroKernel, ...]] = {
        name: (kernel,) for name, kernel in kernels.items()
    }
    for dtype in ("int32", "int64"):
        found[f"remainder_{dtype}"] = (
            kernels[f"quotient_{dtype}"],
            kernels[f"remainder_{dtype}"],
        )
    return found


# By the name of the function: what NAME_kernels.h must define for it, in this order.
HELPERS = _helpers()
