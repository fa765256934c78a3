/* The check of a device: every call of the model on inputs of all kinds, beside the CPU's kernel.
 *
 * Before each call, arena and outputs hold the same bytes on both sides. The device computes twice,
 * from the same state, what the call leaves behind, which has to be what the CPU computes; then the
 * CPU's is sent to the device, so that errors do not add up and the call at fault gets named. */
#include "state.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGN = 4096, RUNS = 2 }; /* memory that the device can share */

typedef struct sides {
    const void **inputs; /* the CPU's, with what follows in one block of memory */
    void **outputs, **shared_outputs;
    unsigned char *arena;
    unsigned char *before, *got; /* results of one call: before it, and as the device has them */
    void *memory;
} sides;

static size_t round_up(size_t bytes)
{
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

/* The results of a call; returns their number. */
static uint32_t results_of(const program *model, uint32_t call, const result **first)
{
    uint32_t begin = 0, end;
    while (begin < model->result_count && model->results[begin].call < call)
        begin++;
    for (end = begin; end < model->result_count && model->results[end].call == call; end++)
        continue;
    *first = &model->results[begin];
    return end - begin;
}

/* Bytes of the results of the call that has most. */
static size_t most_result_bytes(const program *model)
{
    size_t most = 0, sum = 0;
    for (uint32_t i = 0; i < model->result_count; i++) {
        const result *result = &model->results[i];
        sum = (i != 0 && result[-1].call == result->call ? sum : 0) + result->bytes;
        most = sum > most ? sum : most;
    }
    return most;
}

static void *take(unsigned char **memory, size_t bytes)
{
    unsigned char *start = *memory;
    *memory += round_up(bytes);
    return start;
}

static int allocate_sides(const program *model, sides *sides)
{
    size_t results = most_result_bytes(model);
    size_t pointers = (model->input_count + model->output_count) * sizeof(void *);
    size_t bytes = round_up(model->arena_bytes) + 2 * round_up(results) + 3 * round_up(pointers);
    for (uint32_t i = 0; i < model->input_count; i++)
        bytes += round_up(model->input_bytes[i]);
    for (uint32_t i = 0; i < model->output_count; i++)
        bytes += 2 * round_up(model->output_bytes[i]);
    unsigned char *memory = allocate_arena(bytes, &sides->memory);
    if (memory == NULL)
        return 0;
    sides->arena = take(&memory, model->arena_bytes);
    sides->before = take(&memory, results);
    sides->got = take(&memory, results);
    sides->inputs = take(&memory, pointers);
    sides->outputs = take(&memory, pointers);
    sides->shared_outputs = take(&memory, pointers);
    for (uint32_t i = 0; i < model->input_count; i++)
        sides->inputs[i] = fill_input(model->input_dtypes[i], take(&memory, model->input_bytes[i]),
                                      model->input_bytes[i]);
    for (uint32_t i = 0; i < model->output_count; i++) {
        sides->outputs[i] = take(&memory, model->output_bytes[i]);
        sides->shared_outputs[i] = take(&memory, model->output_bytes[i]);
    }
    return 1;
}

/* Where a result is on the CPU. */
static unsigned char *find(const sides *sides, const result *result)
{
    unsigned char *buffer =
        result->place == IN_ARENA ? sides->arena : sides->outputs[result->index];
    return buffer + result->byte;
}

static int finish(penjing_session *s)
{
    cl_int error = s->cl.clFinish(s->queue);
    if (error != CL_SUCCESS)
        return fail_call(&s->message, PENJING_LAUNCH_FAILED, "clFinish", error);
    return PENJING_OK;
}

/* Send what both sides start with. */
static int send_all(penjing_session *s, const sides *sides)
{
    const program *model = s->model;
    int status = write_buffer(s, s->buffers.arena, 0, model->arena_bytes, sides->arena);
    for (uint32_t i = 0; i < model->input_count && status == PENJING_OK; i++)
        status = write_buffer(s, s->buffers.inputs[i], 0, model->input_bytes[i], sides->inputs[i]);
    for (uint32_t i = 0; i < model->output_count && status == PENJING_OK; i++)
        status = write_buffer(s, s->buffers.outputs[i], 0, model->output_bytes[i],
                              sides->outputs[i]);
    return status;
}

enum direction { SEND_BEFORE, GET, SEND_EXPECTED };

/* Move the results of a call between the device and a place of the CPU. */
static int move(penjing_session *s, const sides *sides, uint32_t call, enum direction direction)
{
    const result *results;
    uint32_t count = results_of(s->model, call, &results);
    int status = PENJING_OK;
    for (size_t i = 0, at = 0; i < count && status == PENJING_OK; at += results[i++].bytes) {
        cl_mem memory = bound_buffer(s, results[i].place, results[i].index);
        if (direction == GET)
            status = read_buffer(s, memory, results[i].byte, results[i].bytes, sides->got + at);
        else
            status = write_buffer(s, memory, results[i].byte, results[i].bytes,
                                  direction == SEND_BEFORE ? sides->before + at
                                                           : find(sides, &results[i]));
    }
    return status;
}

static int launch_call(penjing_session *s, uint32_t call)
{
    int status = PENJING_OK;
    for (uint32_t i = 0; i < s->model->launch_count && status == PENJING_OK; i++)
        if (s->model->launches[i].call == call)
            status = enqueue_launch(s, i, NULL);
    return status;
}

static const char *function_of(const program *model, uint32_t call)
{
    for (uint32_t i = 0; i < model->launch_count; i++)
        if (model->launches[i].call == call)
            return model->launches[i].function;
    return "a copy";
}

static int compare(penjing_session *s, const sides *sides, uint32_t call, int run)
{
    const result *results;
    uint32_t count = results_of(s->model, call, &results);
    for (size_t i = 0, at = 0; i < count; at += results[i++].bytes) {
        difference found;
        double allowed = tolerance(s->model, results[i].dtype);
        if (find_difference(results[i].dtype, allowed, find(sides, &results[i]), sides->got + at,
                            results[i].bytes, &found))
            return fail(&s->message, PENJING_WRONG_RESULTS,
                        "%s computes %s wrong (call %u, run %d): element %zu is %g, not %g",
                        s->device.name, function_of(s->model, call), call, run, found.element,
                        found.got, found.expected);
    }
    return PENJING_OK;
}

static int check_call(penjing_session *s, const sides *sides, uint32_t call)
{
    const result *results;
    uint32_t count = results_of(s->model, call, &results);
    int status = PENJING_OK;
    for (size_t i = 0, at = 0; i < count; at += results[i++].bytes)
        memcpy(sides->before + at, find(sides, &results[i]), results[i].bytes);
    s->model->cpu_call(call, sides->inputs, sides->outputs, sides->arena);
    for (int run = 1; run <= RUNS && status == PENJING_OK; run++) {
        status = move(s, sides, call, SEND_BEFORE);
        if (status == PENJING_OK)
            status = launch_call(s, call);
        if (status == PENJING_OK)
            status = move(s, sides, call, GET);
        if (status == PENJING_OK)
            status = finish(s);
        if (status == PENJING_OK)
            status = compare(s, sides, call, run);
    }
    if (status == PENJING_OK)
        status = move(s, sides, call, SEND_EXPECTED);
    return status == PENJING_OK ? finish(s) : status;
}

/* Whether whole inferences give the same where device and CPU share memory of inputs and outputs as
   where these are copied. If not, they are copied from now on. */
static int check_sharing(penjing_session *s, const sides *sides)
{
    message before = s->message;
    int shares = s->device.shares_memory;
    s->device.shares_memory = 0;
    int status = run_on_device(s, sides->inputs, sides->outputs, NULL);
    if (status != PENJING_OK || !shares)
        return status;
    s->device.shares_memory = 1;
    int works = run_on_device(s, sides->inputs, sides->shared_outputs, NULL) == PENJING_OK;
    for (uint32_t i = 0; i < s->model->output_count && works; i++)
        works = memcmp(sides->outputs[i], sides->shared_outputs[i], s->model->output_bytes[i]) == 0;
    s->device.shares_memory = works;
    s->message = before;
    return PENJING_OK;
}

/* PENJING_OK if the device computes what the CPU does, PENJING_WRONG_RESULTS if not, or why it
   could not be tried. */
int check_device(penjing_session *s)
{
    sides sides;
    if (!s->model->cpu_supported())
        return fail(&s->message, PENJING_OK, "not checked: this CPU lacks instructions of %s",
                    s->model->name);
    if (!allocate_sides(s->model, &sides))
        return fail(&s->message, PENJING_OUT_OF_MEMORY, "no memory to check the device");
    int status = bind_own_buffers(s);
    if (status == PENJING_OK)
        status = send_all(s, &sides);
    for (uint32_t call = 0; call < s->model->call_count && status == PENJING_OK; call++)
        status = check_call(s, &sides, call);
    int shared = s->device.shares_memory;
    if (status == PENJING_OK)
        status = check_sharing(s, &sides);
    s->cl.clFinish(s->queue); /* also after a failure nothing may use the memory any more */
    free(sides.memory);
    if (status == PENJING_OK)
        s->record.verdict = shared == s->device.shares_memory ? CHECKED : CHECKED_WITH_COPIES;
    else if (status == PENJING_WRONG_RESULTS)
        s->record.verdict = REFUTED;
    return status;
}
