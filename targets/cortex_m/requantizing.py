"""The micro-kernel that makes an int8 result of a sum, as `HighProducts` defines it."""

from .assembly import plain_kernel

REQUANTIZE_HIGH = plain_kernel(
    "requantize_high",
    "sum * multiplier / 2^32, rounded, plus the zero point, kept in [low, high].",
    "int8_t requantize_high(\n"
    "    int32_t sum, int32_t multiplier, int32_t zero_point, int32_t low, int32_t high)",
    """
    int32_t value = (int32_t)(((int64_t)sum * multiplier + (INT64_C(1) << 31)) >> 32);
    value = value > 1024 ? 1024 : value < -1024 ? -1024 : value;
    value += zero_point;
    return (int8_t)(value < low ? low : value > high ? high : value);
    """,
)
