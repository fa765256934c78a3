/* The model on the CPU, where no device runs it. */
#include "state.h"

#include <stdlib.h>

enum { ARENA_ALIGN = 4096 }; /* a page, which any device can share */

/* Zeroed memory for an arena in `*memory`, which is to be freed; NULL if there is none. */
unsigned char *allocate_arena(size_t bytes, void **memory)
{
    *memory = calloc(bytes + ARENA_ALIGN, 1);
    if (*memory == NULL)
        return NULL;
    uintptr_t address = (uintptr_t)*memory;
    return (unsigned char *)*memory + (ARENA_ALIGN - address % ARENA_ALIGN) % ARENA_ALIGN;
}

/* From now on the CPU runs the model; the message keeps saying why. */
int switch_to_cpu(penjing_session *s)
{
    message why = s->message;
    s->on_device = 0;
    if (!s->model->cpu_supported())
        return fail(&s->message, PENJING_NO_CPU, "this CPU lacks instructions that %s uses%s%s",
                    s->model->name, why.text[0] == '\0' ? "" : "; ", why.text);
    s->arena = allocate_arena(s->model->arena_bytes, &s->arena_memory);
    if (s->arena == NULL)
        return fail(&s->message, PENJING_OUT_OF_MEMORY, "no memory for an arena of %zu bytes",
                    s->model->arena_bytes);
    return PENJING_OK;
}

int run_on_cpu(penjing_session *s, const void *const *inputs, void *const *outputs)
{
    if (s->arena == NULL) /* a device failed, and the CPU could not take over */
        return s->model->cpu_supported() ? PENJING_OUT_OF_MEMORY : PENJING_NO_CPU;
    return s->model->cpu_run(inputs, outputs, s->arena, s->model->arena_bytes);
}
