/* Argument checks of every compiled model: nothing is touched before they have passed. */
static int overlap(const void *a, size_t a_bytes, const void *b, size_t b_bytes)
{
    uintptr_t x = (uintptr_t)a, y = (uintptr_t)b;
    return a_bytes != 0 && b_bytes != 0 && x < y + b_bytes && y < x + a_bytes;
}

static int check_pointers(const penjing_model *m, const void *const *inputs, void *const *outputs,
                          const void *arena, size_t arena_bytes)
{
    for (int i = 0; i < m->input_count + (m->weights_bytes != 0); i++)
        if (inputs == NULL || inputs[i] == NULL)
            return PENJING_NULL_INPUT;
    for (int i = 0; i < m->output_count; i++)
        if (outputs == NULL || outputs[i] == NULL)
            return PENJING_NULL_OUTPUT;
    if (arena == NULL && m->arena_bytes != 0)
        return PENJING_NULL_ARENA;
    if (arena_bytes < m->arena_bytes)
        return PENJING_SMALL_ARENA;
    if ((uintptr_t)arena % m->arena_align != 0)
        return PENJING_MISALIGNED_ARENA;
    for (int i = 0; i < m->input_count; i++)
        if ((uintptr_t)inputs[i] % m->inputs[i].element_bytes != 0)
            return PENJING_MISALIGNED_INPUT;
    for (int i = 0; i < m->output_count; i++)
        if ((uintptr_t)outputs[i] % m->outputs[i].element_bytes != 0)
            return PENJING_MISALIGNED_OUTPUT;
    return PENJING_OK;
}

static int check_overlap(const penjing_model *m, const void *const *inputs, void *const *outputs,
                         const void *arena)
{
    for (int i = 0; i < m->input_count; i++)
        if (overlap(inputs[i], m->inputs[i].bytes, arena, m->arena_bytes))
            return PENJING_OVERLAP;
    for (int o = 0; o < m->output_count; o++) {
        size_t bytes = m->outputs[o].bytes;
        if (overlap(outputs[o], bytes, arena, m->arena_bytes))
            return PENJING_OVERLAP;
        for (int i = 0; i < m->input_count; i++)
            if (overlap(outputs[o], bytes, inputs[i], m->inputs[i].bytes))
                return PENJING_OVERLAP;
        for (int p = 0; p < o; p++)
            if (overlap(outputs[o], bytes, outputs[p], m->outputs[p].bytes))
                return PENJING_OVERLAP;
    }
    return PENJING_OK;
}
