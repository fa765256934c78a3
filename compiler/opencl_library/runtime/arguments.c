/* Checks of what the caller passes: nothing is touched before they have passed. */
#include "state.h"

int overlap(const void *a, size_t a_bytes, const void *b, size_t b_bytes)
{
    uintptr_t x = (uintptr_t)a, y = (uintptr_t)b;
    return a_bytes != 0 && b_bytes != 0 && x < y + b_bytes && y < x + a_bytes;
}

static int check_inputs(penjing_session *s, const void *const *inputs)
{
    for (uint32_t i = 0; i < s->model->input_count; i++) {
        if (inputs == NULL || inputs[i] == NULL)
            return fail(&s->message, PENJING_NULL_INPUT, "input %u is NULL", i);
        if ((uintptr_t)inputs[i] % element_bytes(s->model->input_dtypes[i]) != 0)
            return fail(&s->message, PENJING_MISALIGNED_INPUT, "input %u is misaligned", i);
    }
    return PENJING_OK;
}

static int check_outputs(penjing_session *s, void *const *outputs)
{
    for (uint32_t i = 0; i < s->model->output_count; i++) {
        if (outputs == NULL || outputs[i] == NULL)
            return fail(&s->message, PENJING_NULL_OUTPUT, "output %u is NULL", i);
        if ((uintptr_t)outputs[i] % element_bytes(s->model->output_dtypes[i]) != 0)
            return fail(&s->message, PENJING_MISALIGNED_OUTPUT, "output %u is misaligned", i);
    }
    return PENJING_OK;
}

static int check_overlap(penjing_session *s, const void *const *inputs, void *const *outputs)
{
    const program *model = s->model;
    for (uint32_t o = 0; o < model->output_count; o++) {
        size_t bytes = model->output_bytes[o];
        for (uint32_t i = 0; i < model->input_count; i++)
            if (overlap(outputs[o], bytes, inputs[i], model->input_bytes[i]))
                return fail(&s->message, PENJING_OVERLAP, "output %u overlaps input %u", o, i);
        for (uint32_t p = 0; p < o; p++)
            if (overlap(outputs[o], bytes, outputs[p], model->output_bytes[p]))
                return fail(&s->message, PENJING_OVERLAP, "output %u overlaps output %u", o, p);
    }
    return PENJING_OK;
}

int check_arguments(penjing_session *s, const void *const *inputs, void *const *outputs)
{
    int status = check_inputs(s, inputs);
    if (status == PENJING_OK)
        status = check_outputs(s, outputs);
    return status == PENJING_OK ? check_overlap(s, inputs, outputs) : status;
}
