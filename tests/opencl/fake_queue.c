/* Memory and queues of the fake library. */
#include "fake.h"

#include <stdlib.h>
#include <string.h>

/* Memory. */
API cl_mem clCreateBuffer(cl_context context, cl_bitfield flags, size_t bytes, void *host,
                          cl_int *error)
{
    (void)context;
    *error = told("no_memory") ? -4 : FAILURE;
    FAIL_IF_TOLD(NULL);
    if (bytes == 0 || told("no_memory"))
        return NULL;
    *error = 0;
    cl_mem memory = create(sizeof(struct opaque_memory));
    memory->bytes = bytes;
    memory->data = malloc(bytes);
    memset(memory->data, 0xA5, bytes); /* nobody said that it would be zero */
    memory->host = flags & CL_MEM_USE_HOST_PTR ? host : NULL;
    if (host != NULL)
        memcpy(memory->data, host, bytes);
    if ((host != NULL) != ((flags & (CL_MEM_USE_HOST_PTR | CL_MEM_COPY_HOST_PTR)) != 0))
        blame("clCreateBuffer: host pointer and flags contradict each other");
    return memory;
}

API cl_int clReleaseMemObject(cl_mem memory)
{
    if (memory->pending != 0)
        blame("clReleaseMemObject: commands still use it");
    free(memory->data);
    return destroy(memory);
}

/* Queues: commands in order, which wait for clFinish. */
API cl_command_queue clCreateCommandQueue(cl_context context, cl_device_id device,
                                          cl_bitfield properties, cl_int *error)
{
    (void)context, (void)device;
    *error = FAILURE;
    FAIL_IF_TOLD(NULL);
    *error = 0;
    cl_command_queue queue = create(sizeof(struct opaque_queue));
    queue->measures = (properties & CL_QUEUE_PROFILING_ENABLE) != 0;
    return queue;
}

API cl_int clReleaseCommandQueue(cl_command_queue queue)
{
    if (queue->count != 0)
        blame("clReleaseCommandQueue: it is not finished");
    return destroy(queue);
}

static void add(cl_command_queue queue, command command)
{
    if (queue->count == MOST_PENDING) {
        blame("too many commands wait");
        return;
    }
    if (command.memory != NULL)
        command.memory->pending++;
    if (command.to != NULL)
        command.to->pending++;
    for (int i = 0; i < command.kernel.parameters; i++)
        command.kernel.buffers[i]->pending++;
    queue->pending[queue->count++] = command;
}

static void perform(const command *command)
{
    if (command->memory != NULL && command->at + command->bytes > command->memory->bytes)
        blame("a transfer beyond the end of a buffer");
    else if (command->kind == WRITE)
        memcpy(command->memory->data + command->at, command->host, command->bytes);
    else if (command->kind == READ)
        memcpy(command->host, command->memory->data + command->at, command->bytes);
    else if (command->kind == COPY)
        memcpy(command->to->data + command->to_at, command->memory->data + command->at,
               command->bytes);
    else if (command->kind == MAP) {
        command->memory->is_mapped = 1;
        if (told("shares_badly") == NULL)
            memcpy(command->memory->host, command->memory->data, command->bytes);
    } else
        execute(&command->kernel);
    if (command->memory != NULL)
        command->memory->pending--;
    if (command->to != NULL)
        command->to->pending--;
    for (int i = 0; i < command->kernel.parameters; i++)
        command->kernel.buffers[i]->pending--;
    if (command->event != NULL)
        command->event->is_done = 1;
}

static void perform_all(cl_command_queue queue)
{
    lock_all();
    for (int i = 0; i < queue->count; i++)
        perform(&queue->pending[i]);
    queue->count = 0;
    unlock_all();
}

API cl_int clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel, cl_uint dimensions,
                                  const size_t *offset, const size_t *items, const size_t *group,
                                  cl_uint wait_count, const cl_event *wait, cl_event *event)
{
    (void)offset, (void)wait_count, (void)wait;
    FAIL_IF_TOLD(FAILURE);
    if (kernel->set != (1u << 2 * kernel->parameters) - 1)
        return -52; /* CL_INVALID_KERNEL_ARGS */
    for (cl_uint d = 0; d < dimensions && group != NULL; d++)
        if (group[d] == 0 || items[d] % group[d] != 0)
            return -54; /* CL_INVALID_WORK_GROUP_SIZE */
    if (group != NULL && group[0] * group[1] * group[2] > (told("small_groups") ? 4 : 256))
        return -54;
    if (kernel->name[0] == 'f' && (group == NULL || group[0] != 24 || group[1] != 1))
        return -54;
    command command = {.kind = LAUNCH, .kernel = *kernel};
    if (event != NULL && !queue->measures)
        return -30;
    if (event != NULL) {
        *event = create(sizeof(struct opaque_event));
        command.event = *event;
        /* Groups of 16 x 4 are fastest, then others of 16. */
        size_t width = group == NULL ? 1 : group[0], height = group == NULL ? 1 : group[1];
        (*event)->nanoseconds = 10u + (width == 16 ? 0u : 10u) + (height == 4 ? 0u : 5u);
    }
    add(queue, command);
    return 0;
}

API cl_int clEnqueueWriteBuffer(cl_command_queue queue, cl_mem memory, cl_uint blocking, size_t at,
                                size_t bytes, const void *host, cl_uint wait_count,
                                const cl_event *wait, cl_event *event)
{
    (void)blocking, (void)wait_count, (void)wait, (void)event;
    FAIL_IF_TOLD(FAILURE);
    add(queue, (command){.kind = WRITE, .memory = memory, .at = at, .bytes = bytes,
                         .host = (void *)(uintptr_t)host});
    return 0;
}

API cl_int clEnqueueReadBuffer(cl_command_queue queue, cl_mem memory, cl_uint blocking, size_t at,
                               size_t bytes, void *host, cl_uint wait_count, const cl_event *wait,
                               cl_event *event)
{
    (void)blocking, (void)wait_count, (void)wait, (void)event;
    FAIL_IF_TOLD(FAILURE);
    add(queue, (command){.kind = READ, .memory = memory, .at = at, .bytes = bytes, .host = host});
    return 0;
}

API cl_int clEnqueueCopyBuffer(cl_command_queue queue, cl_mem from, cl_mem to, size_t at,
                               size_t to_at, size_t bytes, cl_uint wait_count,
                               const cl_event *wait, cl_event *event)
{
    (void)wait_count, (void)wait, (void)event;
    FAIL_IF_TOLD(FAILURE);
    add(queue, (command){.kind = COPY, .memory = from, .at = at, .bytes = bytes, .to = to,
                         .to_at = to_at});
    return 0;
}

API void *clEnqueueMapBuffer(cl_command_queue queue, cl_mem memory, cl_uint blocking,
                             cl_bitfield flags, size_t at, size_t bytes, cl_uint wait_count,
                             const cl_event *wait, cl_event *event, cl_int *error)
{
    (void)flags, (void)wait_count, (void)wait, (void)event;
    *error = FAILURE;
    FAIL_IF_TOLD(NULL);
    if (memory->host == NULL)
        blame("clEnqueueMapBuffer: memory that the host has not given");
    *error = 0;
    add(queue, (command){.kind = MAP, .memory = memory, .at = at, .bytes = bytes});
    if (blocking)
        perform_all(queue);
    return memory->host;
}

API cl_int clEnqueueUnmapMemObject(cl_command_queue queue, cl_mem memory, void *mapped,
                                   cl_uint wait_count, const cl_event *wait, cl_event *event)
{
    (void)queue, (void)wait_count, (void)wait, (void)event;
    FAIL_IF_TOLD(FAILURE);
    if (mapped != memory->host || !memory->is_mapped)
        return -30; /* CL_INVALID_VALUE, from rusticl also before a map is finished */
    memory->is_mapped = 0;
    return 0;
}

API cl_int clFlush(cl_command_queue queue)
{
    (void)queue;
    FAIL_IF_TOLD(FAILURE);
    return 0;
}

API cl_int clFinish(cl_command_queue queue)
{
    perform_all(queue);
    FAIL_IF_TOLD(FAILURE);
    return 0;
}

API cl_int clGetEventProfilingInfo(cl_event event, cl_uint what, size_t bytes, void *to,
                                   size_t *needed)
{
    FAIL_IF_TOLD(FAILURE);
    if (!event->is_done)
        return -7; /* CL_PROFILING_INFO_NOT_AVAILABLE */
    cl_ulong now = what == CL_PROFILING_COMMAND_START ? 1000 : 1000 + event->nanoseconds;
    return give_number(now, 8, bytes, to, needed);
}

#ifndef INCOMPLETE
API cl_int clReleaseEvent(cl_event event)
{
    return destroy(event);
}
#endif
