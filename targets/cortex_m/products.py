"""The upper half of products of 32 bits: one rounding, the same on every core.

A Cortex-M0+ multiplies to 32 bits only; its C compiler would call a function of its own library
for 64, so the product is put together from four of 16 bits.
"""

from .layer import MicroKernel

_PARTS = """\
    const uint32_t a_low = (uint32_t)a & 0xffffu, b_low = (uint32_t)b & 0xffffu;
    const int32_t a_high = a >> 16, b_high = b >> 16;
    const int32_t left = a_high * (int32_t)b_low, right = (int32_t)a_low * b_high;
    const uint32_t rest = (a_low * b_low >> 16) + ((uint32_t)left & 0xffffu)
            + ((uint32_t)right & 0xffffu) + {half};
    const int32_t high = a_high * b_high + (left >> 16) + (right >> 16) + (int32_t)(rest >> 16);\
"""

_TEXT = """\
/* {comment} */
static inline int32_t {name}(int32_t a, int32_t b)
{{
#if defined(__ARM_ARCH_6M__)
{parts}
    return {result};
#else
    return (int32_t)(((int64_t)a * b + ((int64_t)1 << {bit})) >> {shift});
#endif
}}
"""

HIGH_PRODUCT = MicroKernel(
    "high_product",
    _TEXT.format(
        comment="a * b / 2^32, rounded once.",
        name="high_product",
        parts=_PARTS.format(half="0x8000u"),
        result="high",
        bit=31,
        shift=32,
    ),
)

MULTIPLY_HIGH = MicroKernel(
    "multiply_high",
    _TEXT.format(
        comment="a * b / 2^31, rounded once; not both -2^31.",
        name="multiply_high",
        parts=_PARTS.format(half="0x4000u"),
        result="(int32_t)((uint32_t)high << 1 | (rest >> 15 & 1u))",
        bit=30,
        shift=31,
    ),
)
