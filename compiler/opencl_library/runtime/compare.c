/* Whether a device computed what the CPU did. */
#include "state.h"

#include <math.h>
#include <string.h>

size_t element_bytes(unsigned dtype)
{
    switch (dtype) {
    case PENJING_FLOAT64:
    case PENJING_INT64:
        return 8;
    case PENJING_FLOAT32:
    case PENJING_INT32:
        return 4;
    case PENJING_FLOAT16:
    case PENJING_BFLOAT16:
    case PENJING_INT16:
        return 2;
    default:
        return 1;
    }
}

/* How far elements may lie apart, as a part of the largest: both sides round, in different orders.
   0: integers, which do not. */
double tolerance(const program *model, unsigned dtype)
{
    switch (dtype) {
    case PENJING_FLOAT64:
    case PENJING_FLOAT32:
    case PENJING_FLOAT16:
    case PENJING_BFLOAT16:
        break;
    default:
        return 0;
    }
    if (strstr(model->extensions, "cl_khr_fp16") != NULL) /* sums in float16, 11 bits */
        return 5e-2;
    return dtype == PENJING_FLOAT16 || dtype == PENJING_BFLOAT16 ? 2e-2 : 2e-3;
}

static double from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return (double)value;
}

static double from_half(uint32_t half)
{
    uint32_t sign = half >> 15, exponent = half >> 10 & 31, fraction = half & 1023;
    if (exponent == 0) /* 2^-24 is the smallest one */
        return (sign ? -1.0 : 1.0) * (double)fraction / 16777216.0;
    return from_bits(sign << 31 | (exponent == 31 ? 255 : exponent + 112) << 23 | fraction << 13);
}

static double read_element(unsigned dtype, const void *data, size_t index)
{
    const unsigned char *at = (const unsigned char *)data + index * element_bytes(dtype);
    union {
        double f64;
        uint64_t i64;
        uint32_t bits;
        uint16_t half;
        int32_t i32;
        int16_t i16;
    } value;
    memcpy(&value, at, element_bytes(dtype));
    switch (dtype) {
    case PENJING_FLOAT64:
        return value.f64;
    case PENJING_FLOAT32:
        return from_bits(value.bits);
    case PENJING_FLOAT16:
        return from_half(value.half);
    case PENJING_BFLOAT16:
        return from_bits((uint32_t)value.half << 16);
    case PENJING_INT64:
        return (double)(int64_t)value.i64;
    case PENJING_INT32:
        return value.i32;
    case PENJING_INT16:
        return value.i16;
    default:
        return dtype == PENJING_INT8 ? (double)(signed char)*at : (double)*at;
    }
}

static double largest(unsigned dtype, const void *data, size_t count)
{
    double most = 0;
    for (size_t i = 0; i < count; i++) {
        double size = fabs(read_element(dtype, data, i));
        if (size > most && size <= 1.7976931348623157e308)
            most = size;
    }
    return most;
}

static int is_close(double a, double b, double allowed)
{
    return a == b || (a != a && b != b) || fabs(a - b) <= allowed;
}

/* The first element that differs: in any bit if `tolerance` is 0. Returns 0 if none does. */
int find_difference(unsigned dtype, double tolerance, const void *expected, const void *got,
                    size_t bytes, difference *found)
{
    size_t size = element_bytes(dtype), count = bytes / size;
    if (memcmp(expected, got, bytes) == 0)
        return 0;
    double allowed = tolerance * (largest(dtype, expected, count) + 1e-6);
    for (size_t i = 0; i < count; i++) {
        const char *left = (const char *)expected + i * size, *right = (const char *)got + i * size;
        double a = read_element(dtype, expected, i), b = read_element(dtype, got, i);
        if (memcmp(left, right, size) == 0 || (tolerance > 0 && is_close(a, b, allowed)))
            continue;
        *found = (difference){i, a, b};
        return 1;
    }
    return 0;
}
