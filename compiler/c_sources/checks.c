/* Nothing is touched before the arguments have passed these checks. */
static int overlap(const void *a, size_t a_bytes, const void *b, size_t b_bytes)
{
    uintptr_t x = (uintptr_t)a, y = (uintptr_t)b;
    return a_bytes != 0 && b_bytes != 0 && x < y + b_bytes && y < x + a_bytes;
}

static int is_aligned(const void *pointer)
{
    return (uintptr_t)pointer % ALIGN == 0;
}

static int check(const void *const *inputs, const size_t *sizes, void *const *outputs,
                 const void *arena, size_t arena_bytes)
{
    for (int i = 0; i < INPUTS; i++)
        if (inputs == NULL || inputs[i] == NULL)
            return PENJING_NULL_INPUT;
    for (int o = 0; o < OUTPUTS; o++)
        if (outputs == NULL || outputs[o] == NULL)
            return PENJING_NULL_OUTPUT;
#if ARENA_BYTES > 0
    if (arena == NULL)
        return PENJING_NULL_ARENA;
    if (arena_bytes < ARENA_BYTES)
        return PENJING_SMALL_ARENA;
#endif
    (void)arena_bytes, (void)sizes;
    if (!is_aligned(arena))
        return PENJING_MISALIGNED_ARENA;
    for (int i = 0; i < INPUTS; i++)
        if (!is_aligned(inputs[i]))
            return PENJING_MISALIGNED_INPUT;
    for (int o = 0; o < OUTPUTS; o++)
        if (!is_aligned(outputs[o]))
            return PENJING_MISALIGNED_OUTPUT;
    for (int i = 0; i < INPUTS; i++)
        if (!IS_IN_PLACE(i) && overlap(inputs[i], sizes[i], arena, ARENA_BYTES))
            return PENJING_OVERLAP;
    for (int o = 0; o < OUTPUTS; o++) {
        if (overlap(outputs[o], output_bytes[o], arena, ARENA_BYTES))
            return PENJING_OVERLAP;
        for (int i = 0; i < INPUTS; i++)
            if (overlap(outputs[o], output_bytes[o], inputs[i], sizes[i]))
                return PENJING_OVERLAP;
        for (int other = 0; other < o; other++)
            if (overlap(outputs[o], output_bytes[o], outputs[other], output_bytes[other]))
                return PENJING_OVERLAP;
    }
    return PENJING_OK;
}
