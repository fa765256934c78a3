/* Two models with thread pools of their own in one program, each run by two threads at once. */
#include "first.h"
#include "second.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { THREADS = 2, RUNS = 300 };

static float x[THREADS][FIRST_INPUT0_ELEMENTS];
static float sums[THREADS][2][FIRST_OUTPUT1_ELEMENTS];

static void *run_both(void *index)
{
    int t = (int)(size_t)index;
    static _Alignas(64) unsigned char arenas[THREADS][FIRST_ARENA_BYTES + SECOND_ARENA_BYTES];
    float v[FIRST_OUTPUT0_ELEMENTS], copy[FIRST_OUTPUT2_ELEMENTS], w[FIRST_OUTPUT3_ELEMENTS];
    float again[FIRST_OUTPUT4_ELEMENTS];
    const void *inputs[] = {x[t]};
    for (int n = 0; n < RUNS; n++)
        for (int m = 0; m < 2; m++) {
            void *outputs[] = {v, sums[t][m], copy, w, again};
            int status = m == 0 ? first_run(inputs, outputs, arenas[t], FIRST_ARENA_BYTES)
                                : second_run(inputs, outputs, arenas[t], SECOND_ARENA_BYTES);
            if (status != PENJING_OK || memcmp(again, sums[t][m], sizeof again) != 0)
                return (void *)1;
        }
    return NULL;
}

int main(void)
{
    pthread_t handles[THREADS];
    void *failed = NULL;
    if (first_set_threads(3) != 3 || second_set_threads(2) != 2)
        return 2;
    for (int t = 0; t < THREADS; t++) {
        for (unsigned i = 0; i < FIRST_INPUT0_ELEMENTS; i++)
            x[t][i] = (float)(i + 1) / (float)(t + 1);
        if (pthread_create(&handles[t], NULL, run_both, (void *)(size_t)t) != 0)
            return 2;
    }
    for (int t = 0; t < THREADS; t++) {
        void *result;
        pthread_join(handles[t], &result);
        failed = failed ? failed : result;
        for (int m = 0; m < 2; m++)
            for (unsigned i = 0; i < FIRST_OUTPUT1_ELEMENTS; i++)
                printf("%.6g ", sums[t][m][i]);
    }
    printf("\n%s %s\n", first_describe()->name, second_describe()->name);
    return failed != NULL || first_set_threads(1) != 1 || second_set_threads(1) != 1;
}
