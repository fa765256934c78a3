/* Sessions: a model on a device, or on the CPU where no device can run it. */
#include "state.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* Calls of several threads into one session come one after the other. */
static void enter(penjing_session *s)
{
    while (__atomic_test_and_set(&s->busy, __ATOMIC_ACQUIRE))
        sched_yield();
}

static void leave(penjing_session *s)
{
    __atomic_clear(&s->busy, __ATOMIC_RELEASE);
}

/* Take the fields that this library knows; later ones must be zero. */
static int read_config(penjing_session *s, const penjing_config *config)
{
    size_t known = sizeof s->config;
    if (config == NULL)
        return PENJING_OK;
    if (config->size != 0 && config->size < known)
        return fail(&s->message, PENJING_BAD_CONFIG, "config.size is %zu, less than %zu",
                    config->size, known);
    for (size_t i = known; i < config->size; i++)
        if (((const unsigned char *)config)[i] != 0)
            return fail(&s->message, PENJING_BAD_CONFIG,
                        "config has a field that this library does not know, %zu bytes in", i);
    s->config = *config;
    if (config->runs < PENJING_ON_DEVICE_OR_CPU || config->runs > PENJING_ON_CPU_ONLY)
        return fail(&s->message, PENJING_BAD_CONFIG, "config.runs is %d", (int)config->runs);
    return PENJING_OK;
}

static void close_device(penjing_session *s)
{
    forget_record(s);
    release_program(s);
    release_buffers(s);
    if (s->queue != NULL)
        s->cl.clReleaseCommandQueue(s->queue);
    if (s->context != NULL)
        s->cl.clReleaseContext(s->context);
    s->queue = NULL;
    s->context = NULL;
}

/* Kernels with their arguments, ready to be launched. */
static int prepare(penjing_session *s)
{
    int status = open_device(s);
    if (status == PENJING_OK)
        status = build_program(s);
    if (status == PENJING_OK)
        status = create_steps(s);
    if (status == PENJING_OK)
        status = create_buffers(s);
    if (status == PENJING_OK)
        status = bind_arguments(s);
    return status;
}

/* Compare the device with the CPU, unless that was done before. */
static int check(penjing_session *s)
{
    if (s->record.verdict == CHECKED_WITH_COPIES)
        s->device.shares_memory = 0;
    if (s->config.skip_check || s->record.verdict != NOT_CHECKED)
        return PENJING_OK;
    int status = check_device(s);
    if (s->record.verdict != NOT_CHECKED)
        s->is_news = 1;
    return status;
}

static int start_device(penjing_session *s)
{
    int status = load_opencl(&s->cl, s->config.opencl_library, &s->message);
    if (status == PENJING_OK)
        status = choose_device(&s->cl, s->model, &s->config, &s->device, &s->message);
    if (status != PENJING_OK)
        return status;
    read_cache(s);
    if (s->record.verdict == REFUTED && !s->config.skip_check)
        return fail(&s->message, PENJING_WRONG_RESULTS, "%s computed wrong results before (cached)",
                    s->device.name);
    status = prepare(s);
    forget_record(s);
    if (status == PENJING_OK)
        status = check(s);
    if (s->is_news && (status == PENJING_OK || status == PENJING_WRONG_RESULTS))
        write_cache(s);
    s->on_device = status == PENJING_OK;
    return status;
}

/* The device, or what the config allows instead. */
static int start(penjing_session *s, const penjing_config *config)
{
    int status = read_config(s, config);
    if (status != PENJING_OK)
        return status;
    if (s->config.runs == PENJING_ON_CPU_ONLY)
        return switch_to_cpu(s);
    status = start_device(s);
    if (status == PENJING_OK)
        return PENJING_OK;
    close_device(s);
    return s->config.runs == PENJING_ON_DEVICE_ONLY ? status : switch_to_cpu(s);
}

int session_create(const program *model, const penjing_config *config, penjing_session **session)
{
    message no_memory;
    int status;
    penjing_session *s = session == NULL ? NULL : calloc(1, sizeof *s);
    if (s == NULL) {
        status = session == NULL
                     ? fail(&no_memory, PENJING_BAD_CONFIG, "there is no place for the session")
                     : fail(&no_memory, PENJING_OUT_OF_MEMORY, "no memory for a session");
        keep_failure(&no_memory);
        if (session != NULL)
            *session = NULL;
        return status;
    }
    s->model = model;
    status = start(s, config);
    if (status == PENJING_OK) {
        *session = s;
        return status;
    }
    keep_failure(&s->message);
    session_destroy(s);
    *session = NULL;
    return status;
}

void session_destroy(penjing_session *session)
{
    if (session == NULL)
        return;
    close_device(session);
    free(session->arena_memory);
    free(session->cache_path);
    free(session);
}

/* A device that fails, as one that was reset does, is given up; the CPU runs the model anew. */
static int give_up_device(penjing_session *s, int status, const void *const *inputs,
                          void *const *outputs)
{
    if (s->config.runs == PENJING_ON_DEVICE_ONLY)
        return status;
    close_device(s);
    status = switch_to_cpu(s);
    return status == PENJING_OK ? run_on_cpu(s, inputs, outputs) : status;
}

int session_run(penjing_session *session, const void *const *inputs, void *const *outputs)
{
    enter(session);
    int status = check_arguments(session, inputs, outputs);
    if (status == PENJING_OK && !session->on_device) {
        status = run_on_cpu(session, inputs, outputs);
    } else if (status == PENJING_OK) {
        if (session->config.tune_milliseconds != 0 && !session->record.tuned)
            tune_groups(session, inputs, outputs);
        status = run_on_device(session, inputs, outputs, NULL);
        if (status != PENJING_OK)
            status = give_up_device(session, status, inputs, outputs);
    }
    leave(session);
    return status;
}

/* Measured launches, of which `times` has room for `count`. */
static int profile(penjing_session *s, const void *const *inputs, void *const *outputs,
                   penjing_time *times, uint32_t count)
{
    const program *model = s->model;
    cl_ulong *nanoseconds = calloc(model->launch_count + 1, sizeof *nanoseconds);
    if (nanoseconds == NULL)
        return fail(&s->message, PENJING_OUT_OF_MEMORY, "no memory for times");
    int status = time_on_device(s, inputs, outputs, nanoseconds);
    for (uint32_t i = 0; i < model->launch_count && i < count; i++)
        times[i] = (penjing_time){model->launches[i].call, model->launches[i].function,
                                  nanoseconds[i]};
    free(nanoseconds);
    return status;
}

int session_profile(penjing_session *session, const void *const *inputs, void *const *outputs,
                    penjing_time *times, uint32_t count)
{
    enter(session);
    int status = check_arguments(session, inputs, outputs), launches = 0;
    if (status == PENJING_OK && session->on_device) {
        status = profile(session, inputs, outputs, times, count);
        launches = (int)session->model->launch_count;
    } else if (status == PENJING_OK) {
        status = run_on_cpu(session, inputs, outputs);
    }
    leave(session);
    return status == PENJING_OK ? launches : -status;
}

const char *session_message(const penjing_session *session)
{
    return session == NULL ? last_failure() : session->message.text;
}

const char *session_device(const penjing_session *session)
{
    return session->on_device ? session->device.description : "cpu";
}

int session_on_device(const penjing_session *session)
{
    return session->on_device;
}
