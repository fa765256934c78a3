/* Inputs that a device is checked with: the same every time, of both signs and several sizes. */
#include "state.h"

#include <string.h>

static uint32_t next(uint32_t *state) /* Numerical Recipes' generator: its high bits are random */
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* A number in (-2, -1/8] or [1/8, 2). */
static float next_float(uint32_t *state)
{
    uint32_t random = next(state);
    uint32_t bits = random << 31 | (124 + (random >> 1 & 3)) << 23 | (next(state) & 0x7FFFFF);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The same as float16, or as bfloat16 which is a float's upper half. */
static uint16_t next_half(unsigned dtype, uint32_t *state)
{
    float value = next_float(state);
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (dtype == PENJING_BFLOAT16)
        return (uint16_t)(bits >> 16);
    return (uint16_t)(bits >> 16 & 0x8000) | (uint16_t)(((bits >> 23 & 255) - 112) << 10) |
           (uint16_t)(bits >> 13 & 1023);
}

static void fill_element(unsigned dtype, unsigned char *at, uint32_t *state)
{
    float f32 = next_float(state);
    double f64 = (double)f32;
    uint16_t half = next_half(dtype, state);
    int64_t integer = next(state) & 1; /* often an index: 0 and 1 are valid ones */
    switch (dtype) {
    case PENJING_FLOAT64:
        memcpy(at, &f64, sizeof f64);
        break;
    case PENJING_FLOAT32:
        memcpy(at, &f32, sizeof f32);
        break;
    case PENJING_FLOAT16:
    case PENJING_BFLOAT16:
        memcpy(at, &half, sizeof half);
        break;
    case PENJING_INT8:
    case PENJING_UINT8:
        *at = (unsigned char)next(state);
        break;
    default: /* little-endian: the low bytes come first */
        memcpy(at, &integer, element_bytes(dtype));
    }
}

/* Fill an input; returns it. */
void *fill_input(unsigned dtype, void *data, size_t bytes)
{
    uint32_t state = 1;
    for (size_t at = 0; at < bytes; at += element_bytes(dtype))
        fill_element(dtype, (unsigned char *)data + at, &state);
    return data;
}
