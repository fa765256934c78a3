/* A model of three calls and four launches, as the compiler would describe it to the run time. */
#include "state.h"

#ifndef MODEL
#define MODEL small
#define FACTOR 1 /* its weights depend on it */
#endif

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

enum { COUNT = 2000, BYTES = COUNT * 4, GROUP = 24 }; /* no whole number of groups */

/* Scaled values [0, COUNT) and a workspace [COUNT, 2 * COUNT) lie in the arena, as floats. */
static const char source[] =
    "__kernel void scale(__global const float *x, uint x_at, __global const float *w, uint w_at,\n"
    "                    __global float *y, uint y_at) {\n"
    "    const uint i = get_global_id(0);\n"
    "    if (i >= 2000) return;\n"
    "    y[y_at + i] = x[x_at + i] * w[w_at + i];\n"
    "}\n"
    "__kernel void twice(__global float *x, uint x_at) {\n"
    "    const uint i = get_global_id(0) * 50 + get_global_id(1);\n"
    "    if (get_global_id(0) >= 40 || get_global_id(1) >= 50) return;\n"
    "    x[x_at + i] = 2.0f * x[x_at + i];\n"
    "}\n"
    "__kernel void square(__global const float *x, uint x_at, __global float *y, uint y_at) {\n"
    "    const uint i = get_global_id(0);\n"
    "    if (i >= 2000) return;\n"
    "    y[y_at + i] = x[x_at + i] * x[x_at + i];\n"
    "}\n"
    "__kernel __attribute__((reqd_work_group_size(24, 1, 1)))\n"
    "void finish(__global const float *x, uint x_at, __global const int *n, uint n_at,\n"
    "            __global float *y, uint y_at, __global char *q, uint q_at) {\n"
    "    const uint i = get_global_id(0);\n"
    "    if (i >= 2000) return;\n"
    "    y[y_at + i] = x[x_at + i] + (float)n[n_at];\n"
    "    q[q_at + i] = (char)(i % 100 + n[n_at]);\n"
    "}\n";

static float weights[COUNT];

static const argument arguments[] = {
    {IN_INPUT, 0, 0}, {IN_WEIGHTS, 0, 0}, {IN_ARENA, 0, 0},                     /* scale */
    {IN_ARENA, 0, 0},                                                           /* twice */
    {IN_ARENA, 0, 0}, {IN_ARENA, 0, COUNT},                                     /* square */
    {IN_ARENA, 0, COUNT}, {IN_INPUT, 1, 1}, {IN_OUTPUT, 0, 0}, {IN_OUTPUT, 1, 0}, /* finish */
};

static const launch launches[] = {
    {"scale", {COUNT, 1, 1}, {0, 0, 0}, 0, 3, 0},
    {"twice", {40, 50, 1}, {0, 0, 0}, 3, 1, 1},
    {"square", {COUNT, 1, 1}, {0, 0, 0}, 4, 2, 2},
    {"finish", {COUNT, 1, 1}, {GROUP, 1, 1}, 6, 4, 2},
};

static const result results[] = {
    {0, IN_ARENA, 0, 0, BYTES, PENJING_FLOAT32},
    {1, IN_ARENA, 0, 0, BYTES, PENJING_FLOAT32},
    {2, IN_OUTPUT, 0, 0, BYTES, PENJING_FLOAT32},
    {2, IN_OUTPUT, 1, 0, COUNT, PENJING_INT8},
};

static const copy copies[] = {{{IN_ARENA, 0, 4}, 2, BYTES - 4}};

static const size_t input_bytes[] = {BYTES, 8}, output_bytes[] = {BYTES, COUNT, BYTES - 4};
static const uint8_t input_dtypes[] = {PENJING_FLOAT32, PENJING_INT32};
static const uint8_t output_dtypes[] = {PENJING_FLOAT32, PENJING_INT8, PENJING_FLOAT32};

int JOIN(MODEL, _cpu_is_supported) = 1; /* tests change it */

static int cpu_supported(void)
{
    return JOIN(MODEL, _cpu_is_supported);
}

static void cpu_call(uint32_t call, const void *const *inputs, void *const *outputs,
                     unsigned char *arena)
{
    const float *x = inputs[0];
    float *values = (float *)(void *)arena, *y = outputs[0];
    const int32_t n = ((const int32_t *)inputs[1])[1];
    for (int32_t i = 0; i < COUNT; i++)
        if (call == 0)
            values[i] = x[i] * weights[i];
        else if (call == 1)
            values[i] = 2.0f * values[i];
        else {
            y[i] = values[i] * values[i] + (float)n;
            ((int8_t *)outputs[1])[i] = (int8_t)(i % 100 + n);
        }
}

static int cpu_run(const void *const *inputs, void *const *outputs, void *arena,
                   size_t arena_bytes)
{
    if (arena_bytes < 2 * BYTES)
        return PENJING_SMALL_ARENA;
    for (uint32_t call = 0; call < 3; call++)
        cpu_call(call, inputs, outputs, arena);
    for (int i = 1; i < COUNT; i++)
        ((float *)outputs[2])[i - 1] = ((const float *)arena)[i];
    return PENJING_OK;
}

const program *JOIN(MODEL, _program)(void);
const program *JOIN(MODEL, _program)(void)
{
    static const program model = {
        .name = TEXT(MODEL),
        .source = source,
        .source_bytes = sizeof source - 1,
        .options = "-cl-std=CL1.2",
        .extensions = EXTENSIONS,
        .hash = 1234567 + FACTOR,
        .weights = (const unsigned char *)weights,
        .weights_bytes = sizeof weights,
        .arena_bytes = 2 * BYTES,
        .launches = launches,
        .arguments = arguments,
        .results = results,
        .copies = copies,
        .launch_count = 4,
        .argument_count = 10,
        .result_count = 4,
        .copy_count = 1,
        .call_count = 3,
        .input_bytes = input_bytes,
        .output_bytes = output_bytes,
        .input_count = 2,
        .output_count = 3,
        .input_dtypes = input_dtypes,
        .output_dtypes = output_dtypes,
        .cpu_supported = cpu_supported,
        .cpu_call = cpu_call,
        .cpu_run = cpu_run,
    };
    for (int i = 0; i < COUNT; i++) /* the same whenever it is called */
        weights[i] = (float)(i % 7 + FACTOR) / 8;
    return &model;
}
