/* Faster work-groups, looked for on the device itself within a budget of time.
 *
 * Every trial is a whole inference on the caller's inputs, with one size of groups in all launches
 * that take it: results stay right, caches are as warm as in earnest. Each launch keeps the size
 * that was fastest for it. */
#define _POSIX_C_SOURCE 199309L
#include "state.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 3 }; /* the fastest of several: devices slow down and speed up */

static const uint32_t SIZES[][3] = {
    {0, 0, 0}, /* the device chooses */
    {64, 1, 1},  {32, 2, 1},  {16, 4, 1}, {8, 8, 1},  {4, 16, 1}, {16, 2, 2}, {8, 4, 4},
    {128, 1, 1}, {256, 1, 1}, {32, 8, 1}, {16, 8, 1}, {16, 16, 1}, {32, 1, 1}, {16, 1, 1},
};

typedef struct trial {
    uint32_t usual[3], best[3];
    cl_ulong least; /* nanoseconds */
} trial;

static uint64_t milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Whether a size is worth a trial: it fits, and at most half of the work-items would be idle. */
static int is_worth_trying(const penjing_session *s, uint32_t launch, const uint32_t size[3])
{
    const uint32_t *items = s->model->launches[launch].items;
    if (s->model->launches[launch].group[0] != 0)
        return 0;
    if (size[0] == 0)
        return 1;
    for (int d = 0; d < 3; d++)
        if (size[d] > 1 && size[d] >= 2 * items[d])
            return 0;
    return group_fits(s, launch, size);
}

static void set_group(penjing_session *s, uint32_t launch, const uint32_t group[3])
{
    memcpy(s->steps[launch].group, group, sizeof s->steps[launch].group);
}

/* One inference; returns 0 if the device fails. */
static int try_groups(penjing_session *s, const void *const *inputs, void *const *outputs,
                      trial *trials, cl_ulong *nanoseconds)
{
    if (time_on_device(s, inputs, outputs, nanoseconds) != PENJING_OK)
        return 0;
    for (uint32_t i = 0; i < s->model->launch_count; i++)
        if (nanoseconds[i] < trials[i].least) {
            trials[i].least = nanoseconds[i];
            memcpy(trials[i].best, s->steps[i].group, sizeof trials[i].best);
        }
    return 1;
}

static void try_all(penjing_session *s, const void *const *inputs, void *const *outputs,
                    trial *trials, cl_ulong *nanoseconds)
{
    const size_t sizes = sizeof SIZES / sizeof SIZES[0];
    uint64_t end = milliseconds() + s->config.tune_milliseconds;
    for (size_t n = 0; n < ROUNDS * (sizes + 1) && milliseconds() < end; n++) {
        const uint32_t *size = n % (sizes + 1) == 0 ? NULL : SIZES[n % (sizes + 1) - 1];
        for (uint32_t i = 0; i < s->model->launch_count; i++)
            set_group(s, i, size != NULL && is_worth_trying(s, i, size) ? size : trials[i].usual);
        if (!try_groups(s, inputs, outputs, trials, nanoseconds))
            return;
    }
}

/* Look for faster groups, once per session or cache. A device that fails at a trial is not given
   up: the usual groups may do. */
void tune_groups(penjing_session *s, const void *const *inputs, void *const *outputs)
{
    uint32_t count = s->model->launch_count;
    message before = s->message;
    trial *trials = calloc(count + 1, sizeof *trials);
    cl_ulong *nanoseconds = calloc(count + 1, sizeof *nanoseconds);
    if (trials != NULL && nanoseconds != NULL) {
        for (uint32_t i = 0; i < count; i++) {
            memcpy(trials[i].usual, s->steps[i].group, sizeof trials[i].usual);
            memcpy(trials[i].best, s->steps[i].group, sizeof trials[i].best);
            trials[i].least = UINT64_MAX;
        }
        try_all(s, inputs, outputs, trials, nanoseconds);
        for (uint32_t i = 0; i < count; i++)
            set_group(s, i, trials[i].best);
        s->message = before;
        s->record.tuned = 1;
        write_cache(s);
    }
    free(nanoseconds);
    free(trials);
}
