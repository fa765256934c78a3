/* What the kernels' arguments name: the session's buffers, or memory that the caller shares. */
#include "state.h"

/* Less memory of the caller is copied, which is faster than telling the driver of it; so is memory
   that ends within a line of the cache, the rest of which belongs to somebody else. */
enum { LEAST_SHARED_BYTES = 4096, LINE_BYTES = 64 };

/* The buffer that the kernels' arguments name for a place. */
cl_mem bound_buffer(const penjing_session *s, unsigned place, unsigned index)
{
    switch (place) {
    case IN_ARENA:
        return s->buffers.arena;
    case IN_WEIGHTS:
        return s->buffers.weights;
    case IN_INPUT:
        return s->buffers.bound_inputs[index];
    default:
        return s->buffers.bound_outputs[index];
    }
}

/* Tell the kernels which buffer each of their pointers to one place is. */
static int bind(penjing_session *s, unsigned place, unsigned index, cl_mem memory)
{
    for (uint32_t i = 0; i < s->model->launch_count; i++) {
        const launch *launch = &s->model->launches[i];
        for (cl_uint p = 0; p < launch->argument_count; p++) {
            const argument *argument = &s->model->arguments[launch->first_argument + p];
            if (argument->place != place || argument->index != index)
                continue;
            cl_kernel kernel = s->steps[i].kernel;
            cl_int error = s->cl.clSetKernelArg(kernel, 2 * p, sizeof memory, &memory);
            if (error != CL_SUCCESS)
                return fail_call(&s->message, PENJING_LAUNCH_FAILED, "clSetKernelArg", error);
        }
    }
    return PENJING_OK;
}

/* Set the arguments that never change: where values begin, the arena and the weights. */
int bind_arguments(penjing_session *s)
{
    for (uint32_t i = 0; i < s->model->launch_count; i++) {
        const launch *launch = &s->model->launches[i];
        for (cl_uint p = 0; p < launch->argument_count; p++) {
            uint64_t begin = s->model->arguments[launch->first_argument + p].element;
            cl_uint element = (cl_uint)begin;
            if (element != begin)
                return fail(&s->message, PENJING_UNSUPPORTED, "%s needs offsets of 64 bits",
                            launch->function);
            cl_kernel kernel = s->steps[i].kernel;
            cl_int error = s->cl.clSetKernelArg(kernel, 2 * p + 1, sizeof element, &element);
            if (error != CL_SUCCESS)
                return fail_call(&s->message, PENJING_LAUNCH_FAILED, "clSetKernelArg", error);
        }
    }
    int status = bind(s, IN_ARENA, 0, s->buffers.arena);
    return status != PENJING_OK ? status : bind(s, IN_WEIGHTS, 0, s->buffers.weights);
}

static int rebind(penjing_session *s, unsigned place, unsigned index, cl_mem memory)
{
    cl_mem *bound = place == IN_INPUT ? s->buffers.bound_inputs : s->buffers.bound_outputs;
    if (bound[index] == memory)
        return PENJING_OK;
    int status = bind(s, place, index, memory);
    bound[index] = status == PENJING_OK ? memory : NULL;
    return status;
}

/* A buffer over memory of the caller where the device can use it as it is, else NULL. It lives for
   one run: nobody knows what the caller does with the memory afterwards. */
static cl_mem share(penjing_session *s, cl_bitfield access, const void *host, size_t bytes)
{
    cl_int error = CL_SUCCESS;
    if (!s->device.shares_memory || bytes < LEAST_SHARED_BYTES || bytes % LINE_BYTES != 0 ||
        (uintptr_t)host % s->device.alignment != 0)
        return NULL;
    cl_mem memory = s->cl.clCreateBuffer(s->context, access | CL_MEM_USE_HOST_PTR, bytes,
                                         (void *)(uintptr_t)host, &error);
    return error == CL_SUCCESS ? memory : NULL;
}

/* Whether an earlier input lies in the same memory, which two buffers must not share. */
static int is_shared_already(const program *model, const void *const *inputs, uint32_t index)
{
    for (uint32_t i = 0; i < index; i++)
        if (overlap(inputs[i], model->input_bytes[i], inputs[index], model->input_bytes[index]))
            return 1;
    return 0;
}

/* Let the kernels' arguments name what is shared, or the session's own buffer if that is NULL. */
static int bind_shared(penjing_session *s, unsigned place, unsigned index, cl_mem shared)
{
    cl_mem own = place == IN_INPUT ? s->buffers.inputs[index] : s->buffers.outputs[index];
    int status = rebind(s, place, index, shared != NULL ? shared : own);
    if (status != PENJING_OK)
        release_buffer(s, shared);
    return status;
}

/* Inputs become known to the kernels: shared with the caller, or copied to the device. */
int bind_inputs(penjing_session *s, const void *const *inputs)
{
    for (uint32_t i = 0; i < s->model->input_count; i++) {
        size_t bytes = s->model->input_bytes[i];
        cl_mem shared = is_shared_already(s->model, inputs, i)
                            ? NULL
                            : share(s, CL_MEM_READ_ONLY, inputs[i], bytes);
        int status = bind_shared(s, IN_INPUT, i, shared);
        if (status == PENJING_OK && shared == NULL)
            status = write_buffer(s, s->buffers.inputs[i], 0, bytes, inputs[i]);
        if (status != PENJING_OK)
            return status;
    }
    return PENJING_OK;
}

int bind_outputs(penjing_session *s, void *const *outputs)
{
    int status = PENJING_OK;
    for (uint32_t i = 0; i < s->model->output_count && status == PENJING_OK; i++)
        status = bind_shared(s, IN_OUTPUT, i,
                             share(s, CL_MEM_READ_WRITE, outputs[i], s->model->output_bytes[i]));
    return status;
}

/* No memory of the caller: for checks of the device. */
int bind_own_buffers(penjing_session *s)
{
    int status = PENJING_OK;
    for (uint32_t i = 0; i < s->model->input_count && status == PENJING_OK; i++)
        status = bind_shared(s, IN_INPUT, i, NULL);
    for (uint32_t i = 0; i < s->model->output_count && status == PENJING_OK; i++)
        status = bind_shared(s, IN_OUTPUT, i, NULL);
    return status;
}

/* Shared memory is up to date for the caller once it has been mapped. This waits for the launches:
   rusticl takes back only what is mapped already. */
static int fetch_shared(penjing_session *s, cl_mem memory, size_t bytes)
{
    cl_int error = CL_SUCCESS;
    void *mapped = s->cl.clEnqueueMapBuffer(s->queue, memory, 1, CL_MAP_READ, 0, bytes, 0, NULL,
                                            NULL, &error);
    if (error != CL_SUCCESS)
        return fail_call(&s->message, PENJING_LAUNCH_FAILED, "clEnqueueMapBuffer", error);
    error = s->cl.clEnqueueUnmapMemObject(s->queue, memory, mapped, 0, NULL, NULL);
    if (error != CL_SUCCESS)
        return fail_call(&s->message, PENJING_LAUNCH_FAILED, "clEnqueueUnmapMemObject", error);
    return PENJING_OK;
}

/* Outputs on their way to the caller; they are there when the queue is finished. */
int fetch_outputs(penjing_session *s, void *const *outputs)
{
    int status = PENJING_OK;
    for (uint32_t i = 0; i < s->model->output_count && status == PENJING_OK; i++) {
        cl_mem bound = s->buffers.bound_outputs[i];
        size_t bytes = s->model->output_bytes[i];
        status = bound == s->buffers.outputs[i] ? read_buffer(s, bound, 0, bytes, outputs[i])
                                                : fetch_shared(s, bound, bytes);
    }
    return status;
}

/* Let go of memory of the caller. */
void release_shared(penjing_session *s)
{
    buffers *b = &s->buffers;
    for (uint32_t i = 0; i < s->model->input_count; i++)
        if (b->bound_inputs[i] != b->inputs[i]) {
            release_buffer(s, b->bound_inputs[i]);
            b->bound_inputs[i] = NULL;
        }
    for (uint32_t i = 0; i < s->model->output_count; i++)
        if (b->bound_outputs[i] != b->outputs[i]) {
            release_buffer(s, b->bound_outputs[i]);
            b->bound_outputs[i] = NULL;
        }
}
