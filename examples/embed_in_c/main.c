/* Classifies one measurement with a compiled model: no runtime, no allocation, 30 lines. */
#include "flower.h"

#include <stdio.h>
#include <stdlib.h>

static _Alignas(FLOWER_ARENA_ALIGN) unsigned char arena[FLOWER_ARENA_BYTES + 1];

int main(int argc, char **argv)
{
    float x[FLOWER_INPUT0_ELEMENTS];
    float y[FLOWER_OUTPUT0_ELEMENTS];
    const void *inputs[] = {x};
    void *outputs[] = {y};

    if (argc != FLOWER_INPUT0_ELEMENTS + 1) {
        fprintf(stderr, "usage: %s and %u numbers\n", argv[0], FLOWER_INPUT0_ELEMENTS);
        return 2;
    }
    for (unsigned i = 0; i < FLOWER_INPUT0_ELEMENTS; i++)
        x[i] = strtof(argv[i + 1], NULL);

    int status = flower_run(inputs, outputs, arena, FLOWER_ARENA_BYTES);
    if (status != PENJING_OK) {
        fprintf(stderr, "flower_run: status %d, see flower.h\n", status);
        return 1;
    }
    printf("C:");
    for (unsigned i = 0; i < FLOWER_OUTPUT0_ELEMENTS; i++)
        printf(" %.4f", y[i]);
    printf("\n");
    return 0;
}
