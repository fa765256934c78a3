/* Times of launches, taken by the device. */
#include "state.h"

#include <stdlib.h>

static int read_times(penjing_session *s, const cl_event *events, cl_ulong *nanoseconds)
{
    for (uint32_t i = 0; i < s->model->launch_count; i++) {
        cl_ulong start = 0, end = 0;
        cl_int error = s->cl.clGetEventProfilingInfo(events[i], CL_PROFILING_COMMAND_START,
                                                     sizeof start, &start, NULL);
        if (error == CL_SUCCESS)
            error = s->cl.clGetEventProfilingInfo(events[i], CL_PROFILING_COMMAND_END, sizeof end,
                                                  &end, NULL);
        if (error != CL_SUCCESS)
            return fail_call(&s->message, PENJING_LAUNCH_FAILED, "clGetEventProfilingInfo", error);
        nanoseconds[i] = end - start;
    }
    return PENJING_OK;
}

static int run_with_events(penjing_session *s, const void *const *inputs, void *const *outputs,
                           cl_ulong *nanoseconds)
{
    cl_event *events = calloc(s->model->launch_count + 1, sizeof *events);
    if (events == NULL)
        return fail(&s->message, PENJING_OUT_OF_MEMORY, "no memory for events");
    int status = run_on_device(s, inputs, outputs, events);
    if (status == PENJING_OK)
        status = read_times(s, events, nanoseconds);
    for (uint32_t i = 0; i < s->model->launch_count; i++)
        if (events[i] != NULL)
            s->cl.clReleaseEvent(events[i]);
    free(events);
    return status;
}

/* Run the model in a queue that measures; `nanoseconds` has one entry per launch. */
int time_on_device(penjing_session *s, const void *const *inputs, void *const *outputs,
                   cl_ulong *nanoseconds)
{
    cl_int error = CL_SUCCESS;
    cl_command_queue usual = s->queue;
    cl_command_queue measuring = s->cl.clCreateCommandQueue(s->context, s->device.id,
                                                            CL_QUEUE_PROFILING_ENABLE, &error);
    if (error != CL_SUCCESS)
        return fail_call(&s->message, PENJING_LAUNCH_FAILED, "clCreateCommandQueue", error);
    s->queue = measuring;
    int status = run_with_events(s, inputs, outputs, nanoseconds);
    s->queue = usual;
    s->cl.clReleaseCommandQueue(measuring);
    return status;
}
