"""Functions of words of small integers in OpenCL C, which rules know by ../cpu/integer_ops.py."""

from .types import LANES, with_lanes

# One instruction where the device has it; the products of bytes are the same everywhere. Compilers
# that name an extension which the device has not can be told so: -DPENJING_PORTABLE.
_DOT = """\
#if defined(PENJING_PORTABLE)
#elif defined(__opencl_c_integer_dot_product_input_4x8bit_packed)
#define dot_bytes_int(a, b) dot_4x8packed_ss_int(as_uint(a), as_uint(b))
#define dot_unsigned_int(a, b) dot_4x8packed_su_int(as_uint(a), as_uint(b))
#elif defined(cl_arm_integer_dot_product_int8)
#pragma OPENCL EXTENSION cl_arm_integer_dot_product_int8 : enable
#define dot_bytes_int(a, b) arm_dot(as_char4(a), as_char4(b))
#endif
#ifndef dot_bytes_int
static inline int dot_bytes_int(int a, int b)
{
    const int4 products = convert_int4(as_char4(a)) * convert_int4(as_char4(b));
    return products.s0 + products.s1 + products.s2 + products.s3;
}
#endif
#ifndef dot_unsigned_int
static inline int dot_unsigned_int(int a, int b)
{
    const int4 products = convert_int4(as_char4(a)) * convert_int4(as_uchar4(b));
    return products.s0 + products.s1 + products.s2 + products.s3;
}
#endif
"""

# a: two int8 in the low bytes, b: two int16.
_PAIRS = """\
static inline {int} dot_pairs_{int}({int} a, {int} b)
{{
    return ((a << 24) >> 24) * ((b << 16) >> 16) + ((a << 16) >> 24) * (b >> 16);
}}
"""

_HALVES = """\
static inline {int} dot_halves_{int}({int} a, {int} b)
{{
    return ((a << 16) >> 16) * ((b << 16) >> 16) + (a >> 16) * (b >> 16);
}}
"""

# Two words of four weights in one: the low bits of its bytes, the high ones.
_GROUPS = """\
static inline {int} add_groups_{int}({int} start, {int} packed, {int} first, {int} second)
{{
    return start + dot_bytes_{int}(packed & 0x0f0f0f0f, first) +
           dot_bytes_{int}((packed >> 4) & 0x0f0f0f0f, second);
}}
"""

# Weights hold two elements of each of four columns, then the other two.
_IN_PAIRS = """\
static inline int4 dot_in_pairs_int4(int4 a, int4 b)
{
    return dot_bytes_int4(as_int4(as_short8(a).s04152637), b);
}
"""

_WIDER = """\
static inline {int} dot_in_pairs_{int}({int} a, {int} b)
{{
    return ({int})(dot_in_pairs_{half}(a.lo, b.lo), dot_in_pairs_{half}(a.hi, b.hi));
}}
"""

# Inputs are a vector of four: the first two elements of a word twice, twice, then the others.
_GROUPS_IN_PAIRS = """\
static inline int4 add_groups_in_pairs_int4(int4 start, int4 packed, int4 first, int4 second)
{
    const int low = (first.s0 & 0xffff) | (first.s2 & 0xffff0000);
    const int high = (second.s0 & 0xffff) | (second.s2 & 0xffff0000);
    return start + dot_in_pairs_int4(packed & 0x0f0f0f0f, (int4)(low)) +
           dot_in_pairs_int4((packed >> 4) & 0x0f0f0f0f, (int4)(high));
}
"""

# (a * b + 2^30) >> 31 of the product in 64 bits: the sum carries into the high half.
_HIGH = """\
static inline {int} multiply_high_{int}({int} a, {int} b)
{{
    const {uint} low = as_{uint}(a) * as_{uint}(b);
    const {uint} sum = low + 0x40000000u;
    const {uint} high = as_{uint}(mul_hi(a, b)) + {carry};
    return as_{int}((high << 1) | (sum >> 31));
}}
"""

_NARROW = """\
static inline {char} narrow_{int}({int} value, int shift, int zero_point, int low, int high)
{{
    const {int} least = low - zero_point, most = high - zero_point;
    return convert_{char}(clamp(value >> shift, least, most) + zero_point);
}}
"""

# The upper half of the product counts halves of steps, rounded down.
_REQUANTIZE = """\
static inline {char} requantize_{int}({int} value, {int} quadruple, int zero_point, int low,
                                      int high)
{{
    const {int} rounded = (mul_hi(value, quadruple) + 1) >> 1;
    const {int} least = low - zero_point, most = high - zero_point;
    return convert_{char}(clamp(rounded, least, most) + zero_point);
}}
"""

_WEIGH = """\
static inline {char} weigh_{int}({int} x, {int} y, int a, int b, int offset, int shift, int low,
                                 int high)
{{
    return convert_{char}(clamp((a * x + b * y + offset) >> shift, ({int})(low), ({int})(high)));
}}
"""

_WORD = {
    4: """\
static inline {int} word4_{int}({int} a, {int} b, {int} c, {int} d)
{{
    return (a & 255) | ((b & 255) << 8) | ((c & 255) << 16) | (d << 24);
}}
""",
    2: """\
static inline {int} word2_{int}({int} a, {int} b)
{{
    return (a & 65535) | (b << 16);
}}
""",
}


def word_functions() -> dict[str, str]:
    """The functions, callees first."""
    texts = {"dot_bytes_int": _DOT, "dot_unsigned_int": ""}  # one text for both
    patterns = {"dot_pairs": _PAIRS, "dot_halves": _HALVES, "multiply_high": _HIGH}
    patterns |= {"narrow": _NARROW, "requantize": _REQUANTIZE, "weigh": _WEIGH}
    patterns |= {f"word{count}": text for count, text in _WORD.items()}
    for lanes in LANES:
        names = {kind: with_lanes(kind, lanes) for kind in ("int", "uint", "char")}
        names["carry"] = "(sum < low)" if lanes == 1 else f"as_{names['uint']}((sum < low) & 1)"
        texts |= {f"{name}_{names['int']}": p.format(**names) for name, p in patterns.items()}
        for name in ("dot_bytes", "dot_unsigned"):
            if lanes > 1:
                texts[f"{name}_{names['int']}"] = _by_lane(name, lanes)
    for lanes in LANES:
        name = with_lanes("int", lanes)
        texts[f"add_groups_{name}"] = _GROUPS.format(int=name)
    texts["dot_in_pairs_int4"] = _IN_PAIRS
    for lanes in (8, 16):
        wide, half = with_lanes("int", lanes), with_lanes("int", lanes // 2)
        texts[f"dot_in_pairs_{wide}"] = _WIDER.format(int=wide, half=half)
    texts["add_groups_in_pairs_int4"] = _GROUPS_IN_PAIRS
    return texts


def _by_lane(name: str, lanes: int) -> str:
    """A function of words as one of vectors of words."""
    ctype = with_lanes("int", lanes)
    calls = ", ".join(f"{name}_int(a.s{lane:x}, b.s{lane:x})" for lane in range(lanes))
    return (
        f"static inline {ctype} {name}_{ctype}({ctype} a, {ctype} b)\n"
        f"{{\n    return ({ctype})({calls});\n}}\n"
    )


def word_calls() -> dict[str, tuple[str, ...]]:
    """The functions that they call."""
    calls: dict[str, tuple[str, ...]] = {}
    for lanes in LANES:
        name = with_lanes("int", lanes)
        calls[f"add_groups_{name}"] = (f"dot_bytes_{name}",)
        if lanes > 1:
            calls[f"dot_bytes_{name}"] = ("dot_bytes_int",)
            calls[f"dot_unsigned_{name}"] = ("dot_bytes_int",)
    calls["dot_unsigned_int"] = ("dot_bytes_int",)
    calls["dot_in_pairs_int4"] = ("dot_bytes_int4",)
    calls["dot_in_pairs_int8"] = ("dot_in_pairs_int4",)
    calls["dot_in_pairs_int16"] = ("dot_in_pairs_int8",)
    calls["add_groups_in_pairs_int4"] = ("dot_in_pairs_int4",)
    return calls
