/* Sessions of two models in several threads, and one session that two threads share.
 * Usage: many_sessions LIBRARY CACHE_FOLDER RUNS [in-turn]; LIBRARY is a path, CACHE_FOLDER may be
 * "-"; in-turn lets each thread wait for the one before.
 * Prints what runs the models; the exit status is 0 if all results are those of the CPU. */
#include "state.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const program *small_program(void);
const program *other_program(void);

enum { COUNT = 2000, THREADS = 4 };

static float x[COUNT]; /* of all threads, which only read it */

typedef struct job {
    const program *model;
    penjing_config config;
    penjing_session *shared; /* NULL: the thread makes its own */
    int runs, failed;
} job;

typedef struct results {
    float y[COUNT], z[COUNT - 1];
    signed char q[COUNT];
} results;

static int run_once(penjing_session *session, results *to, const int32_t *n)
{
    const void *inputs[] = {x, n};
    void *outputs[] = {to->y, to->q, to->z};
    memset(to, 0, sizeof *to);
    return session_run(session, inputs, outputs);
}

/* Compare some inferences with those of a session on the CPU. */
static int compare(penjing_session *session, penjing_session *cpu, int runs)
{
    results *got = malloc(sizeof *got), *expected = malloc(sizeof *expected);
    int failed = 0;
    for (int32_t run = 0; run < runs; run++) {
        const int32_t n[] = {0, run % 20};
        failed |= run_once(session, got, n) != PENJING_OK;
        failed |= run_once(cpu, expected, n) != PENJING_OK;
        failed |= memcmp(got->q, expected->q, sizeof got->q) != 0;
        for (int i = 0; i < COUNT; i++)
            failed |= got->y[i] != expected->y[i];
    }
    free(expected);
    free(got);
    return failed;
}

static void *work(void *argument)
{
    job *job = argument;
    penjing_config on_cpu = {.runs = PENJING_ON_CPU_ONLY};
    penjing_session *session = job->shared, *cpu;
    job->failed = session_create(job->model, &on_cpu, &cpu);
    if (session == NULL)
        job->failed |= session_create(job->model, &job->config, &session);
    if (job->failed == 0)
        job->failed = compare(session, cpu, job->runs);
    session_destroy(cpu);
    if (session != job->shared)
        session_destroy(session);
    return NULL;
}

int main(int count, char **words)
{
    if (count < 4)
        return 2;
    int in_turn = count == 5 && strcmp(words[4], "in-turn") == 0;
    penjing_config config = {.opencl_library = words[1], .any_device = 1, .tune_milliseconds = 10};
    config.cache_folder = strcmp(words[2], "-") == 0 ? NULL : words[2];
    const program *models[] = {small_program(), other_program()};
    penjing_session *shared;
    for (int i = 0; i < COUNT; i++)
        x[i] = (float)(i % 13 - 6);
    if (session_create(models[0], &config, &shared) != PENJING_OK)
        return 3;
    printf("%s; %s\n", session_device(shared), session_message(shared));
    job jobs[THREADS + 2];
    pthread_t threads[THREADS + 2];
    int failed = 0;
    for (int t = 0; t < THREADS + 2; t++) {
        jobs[t] = (job){models[t % 2], config, NULL, atoi(words[3]), 0};
        if (t >= THREADS)
            jobs[t] = (job){models[0], config, shared, atoi(words[3]), 0};
        failed |= pthread_create(&threads[t], NULL, work, &jobs[t]);
        if (in_turn)
            pthread_join(threads[t], NULL);
    }
    for (int t = 0; t < THREADS + 2; t++) {
        if (!in_turn)
            pthread_join(threads[t], NULL);
        failed |= jobs[t].failed;
    }
    session_destroy(shared);
    return failed != 0;
}
