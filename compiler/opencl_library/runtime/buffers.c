/* A model's memory on the device. */
#include "state.h"

#include <stdlib.h>
#include <string.h>

static cl_mem create(penjing_session *s, cl_bitfield flags, size_t bytes, const void *host)
{
    cl_int error = CL_SUCCESS;
    if (bytes == 0) { /* OpenCL has no empty buffers */
        bytes = 16;
        host = NULL;
        flags &= ~(cl_bitfield)CL_MEM_COPY_HOST_PTR;
    }
    cl_mem memory = s->cl.clCreateBuffer(s->context, flags, bytes, (void *)(uintptr_t)host, &error);
    if (error == CL_SUCCESS)
        return memory;
    fail_call(&s->message, PENJING_OUT_OF_MEMORY, "clCreateBuffer", error);
    return NULL;
}

void release_buffer(penjing_session *s, cl_mem memory)
{
    if (memory != NULL)
        s->cl.clReleaseMemObject(memory);
}

/* Copy to the device; `host` is read until the queue is finished. */
int write_buffer(penjing_session *s, cl_mem memory, size_t at, size_t bytes, const void *host)
{
    cl_int error = CL_SUCCESS;
    if (bytes != 0)
        error = s->cl.clEnqueueWriteBuffer(s->queue, memory, 0, at, bytes, host, 0, NULL, NULL);
    if (error != CL_SUCCESS)
        return fail_call(&s->message, PENJING_LAUNCH_FAILED, "clEnqueueWriteBuffer", error);
    return PENJING_OK;
}

/* Copy from the device; `host` is written until the queue is finished. */
int read_buffer(penjing_session *s, cl_mem memory, size_t at, size_t bytes, void *host)
{
    cl_int error = CL_SUCCESS;
    if (bytes != 0)
        error = s->cl.clEnqueueReadBuffer(s->queue, memory, 0, at, bytes, host, 0, NULL, NULL);
    if (error != CL_SUCCESS)
        return fail_call(&s->message, PENJING_LAUNCH_FAILED, "clEnqueueReadBuffer", error);
    return PENJING_OK;
}

static int create_all(penjing_session *s, cl_mem *list, const size_t *bytes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if ((list[i] = create(s, CL_MEM_READ_WRITE, bytes[i], NULL)) == NULL)
            return PENJING_OUT_OF_MEMORY;
    return PENJING_OK;
}

/* Arena, weights, and one buffer for each input and output. */
int create_buffers(penjing_session *s)
{
    const program *model = s->model;
    buffers *b = &s->buffers;
    b->inputs = calloc(2 * (size_t)(model->input_count + model->output_count) + 1, sizeof(cl_mem));
    if (b->inputs == NULL)
        return fail(&s->message, PENJING_OUT_OF_MEMORY, "no memory");
    b->outputs = b->inputs + model->input_count;
    b->bound_inputs = b->outputs + model->output_count;
    b->bound_outputs = b->bound_inputs + model->input_count;
    b->weights = create(s, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR, model->weights_bytes,
                        model->weights);
    b->arena = create(s, CL_MEM_READ_WRITE, model->arena_bytes, NULL);
    if (b->weights == NULL || b->arena == NULL)
        return PENJING_OUT_OF_MEMORY;
    int status = create_all(s, b->inputs, model->input_bytes, model->input_count);
    if (status == PENJING_OK)
        status = create_all(s, b->outputs, model->output_bytes, model->output_count);
    return status;
}

void release_buffers(penjing_session *s)
{
    buffers *b = &s->buffers;
    release_buffer(s, b->arena);
    release_buffer(s, b->weights);
    for (uint32_t i = 0; b->inputs != NULL && i < s->model->input_count; i++)
        release_buffer(s, b->inputs[i]);
    for (uint32_t i = 0; b->inputs != NULL && i < s->model->output_count; i++)
        release_buffer(s, b->outputs[i]);
    free(b->inputs);
    memset(b, 0, sizeof *b);
}
