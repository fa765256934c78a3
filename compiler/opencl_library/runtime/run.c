/* One inference on the device: inputs, launches, outputs, always in this order. */
#include "state.h"

/* Drivers may keep work back until they are told to start. This often they are, so that the device
   computes the first launches while the CPU prepares the next ones. */
enum { LAUNCHES_PER_FLUSH = 16 };

int enqueue_launch(penjing_session *s, uint32_t launch, cl_event *event)
{
    const step *step = &s->steps[launch];
    size_t items[3], group[3];
    for (int d = 0; d < 3; d++) {
        size_t count = s->model->launches[launch].items[d];
        group[d] = step->group[d];
        items[d] = group[d] == 0 ? count : (count + group[d] - 1) / group[d] * group[d];
    }
    cl_int error = s->cl.clEnqueueNDRangeKernel(s->queue, step->kernel, 3, NULL, items,
                                                group[0] == 0 ? NULL : group, 0, NULL, event);
    if (error != CL_SUCCESS)
        return fail_call(&s->message, PENJING_LAUNCH_FAILED, s->model->launches[launch].function,
                         error);
    return PENJING_OK;
}

static int enqueue_launches(penjing_session *s, cl_event *events)
{
    int status = PENJING_OK;
    for (uint32_t i = 0; i < s->model->launch_count && status == PENJING_OK; i++) {
        status = enqueue_launch(s, i, events == NULL ? NULL : &events[i]);
        cl_int error = i % LAUNCHES_PER_FLUSH == 0 ? s->cl.clFlush(s->queue) : CL_SUCCESS;
        if (status == PENJING_OK && error != CL_SUCCESS)
            status = fail_call(&s->message, PENJING_LAUNCH_FAILED, "clFlush", error);
    }
    return status;
}

static int enqueue_copies(penjing_session *s)
{
    for (uint32_t i = 0; i < s->model->copy_count; i++) {
        const copy *copy = &s->model->copies[i];
        cl_mem from = bound_buffer(s, copy->from.place, copy->from.index);
        cl_mem to = s->buffers.bound_outputs[copy->output];
        cl_int error = CL_SUCCESS;
        if (copy->bytes != 0)
            error = s->cl.clEnqueueCopyBuffer(s->queue, from, to, copy->from.element, 0,
                                              copy->bytes, 0, NULL, NULL);
        if (error != CL_SUCCESS)
            return fail_call(&s->message, PENJING_LAUNCH_FAILED, "clEnqueueCopyBuffer", error);
    }
    return PENJING_OK;
}

static int enqueue_all(penjing_session *s, const void *const *inputs, void *const *outputs,
                       cl_event *events)
{
    int status = bind_inputs(s, inputs);
    if (status == PENJING_OK)
        status = bind_outputs(s, outputs);
    if (status == PENJING_OK)
        status = enqueue_launches(s, events);
    if (status == PENJING_OK)
        status = enqueue_copies(s);
    if (status == PENJING_OK)
        status = fetch_outputs(s, outputs);
    return status;
}

/* Run the model; `events`, if not NULL, receives one event per launch. */
int run_on_device(penjing_session *s, const void *const *inputs, void *const *outputs,
                  cl_event *events)
{
    int status = enqueue_all(s, inputs, outputs, events);
    cl_int error = s->cl.clFinish(s->queue); /* also then nothing may use the caller's memory */
    if (status == PENJING_OK && error != CL_SUCCESS)
        status = fail_call(&s->message, PENJING_LAUNCH_FAILED, "clFinish", error);
    release_shared(s);
    return status;
}
