"""Micro-kernels that make an int8 result of a sum; what they call comes in front of them."""

from .assembly import plain_kernel

REQUANTIZE_HIGH = plain_kernel(
    "requantize_high",
    "sum * multiplier / 2^32, rounded, plus the zero point, kept in [low, high].",
    "int8_t requantize_high(\n"
    "    int32_t sum, int32_t multiplier, int32_t zero_point, int32_t low, int32_t high)",
    """
    int32_t value = high_product(sum, multiplier);
    value = value > 1024 ? 1024 : value < -1024 ? -1024 : value;
    value += zero_point;
    return (int8_t)(value < low ? low : value > high ? high : value);
    """,
)

REQUANTIZE_SHIFTED = plain_kernel(
    "requantize_shifted",
    "sum * 2^shift * multiplier / 2^31, rounded, plus the zero point, kept in [low, high].",
    "int8_t requantize_shifted(\n"
    "    int32_t sum, int32_t multiplier, int32_t shift, int32_t zero_point, int32_t low,"
    " int32_t high)",
    """
    int32_t value = sum;
    if (shift > 0) {
        const int32_t most = INT32_MAX >> shift;
        value = (sum > most ? most : sum < -most - 1 ? -most - 1 : sum) * (1 << shift);
    } else {
        value = sum >> -shift;
    }
    value = multiply_high(value, multiplier);
    value = value > 1024 ? 1024 : value < -1024 ? -1024 : value;
    value += zero_point;
    return (int8_t)(value < low ? low : value > high ? high : value);
    """,
)
