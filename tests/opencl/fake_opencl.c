/* A library of OpenCL for tests: it runs the kernels of small_program.c, is as strict as the standard
 * allows, and fails or lies as the words in the environment variable FAKE_OPENCL say.
 *
 * Nothing happens before clFinish: commands wait in their queue, and memory of the host that a
 * buffer uses is not looked at between its creation and a map. fake_misuse tells of the first
 * violation of the standard, fake_alive counts objects that nobody released.
 *
 * With -DPIXEL no function is exported but the two by which that phone's library is used;
 * with -DINCOMPLETE one function is missing. */
#include "opencl.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#ifdef PIXEL
#define API static
#else
#define API EXPORT
#endif

enum { COUNT = 2002, MOST_PARAMETERS = 8, MOST_PENDING = 64, FAILURE = -5 };

struct opaque_platform {
    int unused;
};
struct opaque_device {
    int index;
};
struct opaque_context {
    int unused;
};
struct opaque_memory {
    unsigned char *data;
    void *host; /* of CL_MEM_USE_HOST_PTR */
    size_t bytes;
    int pending;
};
struct opaque_program {
    int is_built;
};
struct opaque_kernel {
    const char *name;
    int parameters;
    cl_mem buffers[MOST_PARAMETERS];
    cl_uint elements[MOST_PARAMETERS];
    unsigned set; /* bits of what has been set */
};
struct opaque_event {
    int is_done;
    cl_ulong nanoseconds;
};

enum kind { WRITE, READ, COPY, MAP, LAUNCH };

typedef struct command {
    enum kind kind;
    cl_mem memory, to;
    void *host;
    size_t at, to_at, bytes, items;
    struct opaque_kernel kernel; /* with its arguments as they were */
    cl_event event;
} command;

struct opaque_queue {
    int measures;
    int count;
    command pending[MOST_PENDING];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int calls, alive, source_builds, squares;
static const char *misuse;
static struct opaque_platform the_platform;
static struct opaque_device the_devices[2] = {{0}, {1}};

/* Control, for tests. */
EXPORT void fake_reset(void)
{
    calls = source_builds = squares = 0;
    misuse = NULL;
}

EXPORT int fake_calls(void)
{
    return calls;
}

EXPORT int fake_alive(void)
{
    return alive;
}

EXPORT int fake_source_builds(void)
{
    return source_builds;
}

EXPORT const char *fake_misuse(void)
{
    return misuse == NULL ? "" : misuse;
}

static void blame(const char *what)
{
    if (misuse == NULL)
        misuse = what;
}

/* The rest of FAKE_OPENCL after a word, or NULL if it is not there. */
static const char *told(const char *word)
{
    const char *text = getenv("FAKE_OPENCL");
    const char *at = text == NULL ? NULL : strstr(text, word);
    return at == NULL ? NULL : at + strlen(word);
}

/* Whether this call is the one that has to fail: `fail=N` counts all, `NAME=N` those of a function. */
static int fails(const char *function, int *own_calls)
{
    pthread_mutex_lock(&lock);
    int of_all = ++calls, own = ++*own_calls;
    pthread_mutex_unlock(&lock);
    char word[64];
    snprintf(word, sizeof word, "%s=", function);
    const char *all = told("fail="), *one = told(word);
    return (all != NULL && atoi(all) == of_all) || (one != NULL && atoi(one) <= own);
}

#define FAIL_IF_TOLD(result)                                                                       \
    do {                                                                                           \
        static int own_calls;                                                                      \
        if (fails(__func__, &own_calls))                                                           \
            return result;                                                                         \
    } while (0)

static void *create(size_t bytes)
{
    pthread_mutex_lock(&lock);
    alive++;
    pthread_mutex_unlock(&lock);
    return calloc(1, bytes);
}

static cl_int destroy(void *object)
{
    pthread_mutex_lock(&lock);
    alive--;
    pthread_mutex_unlock(&lock);
    free(object);
    return 0;
}

static cl_int give(const void *value, size_t value_bytes, size_t bytes, void *to, size_t *needed)
{
    if (needed != NULL)
        *needed = value_bytes;
    if (to == NULL)
        return 0;
    if (bytes < value_bytes)
        return -30; /* CL_INVALID_VALUE */
    memcpy(to, value, value_bytes);
    return 0;
}

static cl_int give_text(const char *text, size_t bytes, void *to, size_t *needed)
{
    return give(text, strlen(text) + 1, bytes, to, needed);
}

static cl_int give_number(cl_ulong number, size_t size, size_t bytes, void *to, size_t *needed)
{
    return give(&number, size, bytes, to, needed); /* little-endian */
}

/* Platform, devices, context, queues. */
API cl_int clGetPlatformIDs(cl_uint count, cl_platform_id *platforms, cl_uint *found)
{
    FAIL_IF_TOLD(FAILURE);
    if (told("no_platform"))
        return -1001;
    if (count > 0)
        platforms[0] = &the_platform;
    *found = 1;
    return 0;
}

API cl_int clGetPlatformInfo(cl_platform_id platform, cl_uint what, size_t bytes, void *to,
                             size_t *needed)
{
    (void)platform, (void)what;
    FAIL_IF_TOLD(FAILURE);
    return give_text("OpenCL 3.0 fake", bytes, to, needed);
}

API cl_int clGetDeviceIDs(cl_platform_id platform, cl_bitfield types, cl_uint count,
                          cl_device_id *devices, cl_uint *found)
{
    (void)platform, (void)types;
    FAIL_IF_TOLD(FAILURE);
    if (told("no_device"))
        return -1;
    *found = told("two_devices") ? 2 : 1;
    for (cl_uint i = 0; i < *found && i < count; i++)
        devices[i] = &the_devices[i];
    return 0;
}

static const char *device_text(cl_device_id device, cl_uint what)
{
    switch (what) {
    case CL_DEVICE_NAME:
        return device->index == 0 ? "Fake GPU" : "Second GPU";
    case CL_DEVICE_VERSION:
        return told("old_version") ? "OpenCL 1.1 fake" : "OpenCL 1.2 fake";
    case CL_DRIVER_VERSION:
        return told("new_driver") ? "2.0" : "1.0";
    case CL_DEVICE_EXTENSIONS:
        return device->index == 1 || told("has_fp16") ? "cl_khr_icd cl_khr_fp16" : "cl_khr_fp16_not";
    default:
        return NULL;
    }
}

API cl_int clGetDeviceInfo(cl_device_id device, cl_uint what, size_t bytes, void *to,
                           size_t *needed)
{
    static const size_t item_limits[] = {256, 256, 64};
    FAIL_IF_TOLD(FAILURE);
    if (device_text(device, what) != NULL)
        return give_text(device_text(device, what), bytes, to, needed);
    switch (what) {
    case CL_DEVICE_TYPE:
        return give_number(told("is_cpu") ? CL_DEVICE_TYPE_CPU : CL_DEVICE_TYPE_GPU, 8, bytes, to,
                           needed);
    case CL_DEVICE_MAX_WORK_ITEM_SIZES:
        return give(item_limits, sizeof item_limits, bytes, to, needed);
    case CL_DEVICE_MAX_WORK_GROUP_SIZE:
        return give_number(256, sizeof(size_t), bytes, to, needed);
    case CL_DEVICE_MAX_MEM_ALLOC_SIZE:
        return give_number(told("small_buffers") ? 10000 : 1 << 20, 8, bytes, to, needed);
    case CL_DEVICE_GLOBAL_MEM_SIZE:
        return give_number(told("small_memory") ? 10000 : 1 << 22, 8, bytes, to, needed);
    case CL_DEVICE_LOCAL_MEM_SIZE:
        return give_number(told("no_local_memory") ? 0 : 1 << 15, 8, bytes, to, needed);
    case CL_DEVICE_MEM_BASE_ADDR_ALIGN:
        return give_number(1024, 4, bytes, to, needed);
    case CL_DEVICE_HOST_UNIFIED_MEMORY:
        return give_number(told("own_memory") == NULL, 4, bytes, to, needed);
    case CL_DEVICE_AVAILABLE:
        return give_number(told("unavailable") == NULL, 4, bytes, to, needed);
    case CL_DEVICE_COMPILER_AVAILABLE:
        return give_number(told("no_compiler") == NULL, 4, bytes, to, needed);
    case CL_DEVICE_ENDIAN_LITTLE:
        return give_number(told("big_endian") == NULL, 4, bytes, to, needed);
    default:
        blame("clGetDeviceInfo: unknown question");
        return -30;
    }
}

API cl_context clCreateContext(const intptr_t *properties, cl_uint count,
                               const cl_device_id *devices, void *notify, void *data, cl_int *error)
{
    (void)properties, (void)count, (void)devices, (void)notify, (void)data;
    *error = FAILURE;
    FAIL_IF_TOLD(NULL);
    *error = 0;
    return create(sizeof(struct opaque_context));
}

API cl_int clReleaseContext(cl_context context)
{
    return destroy(context);
}

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

/* Programs and kernels. A binary is the text BINARY. */
static const char BINARY[] = "compiled by the fake driver";

API cl_program clCreateProgramWithSource(cl_context context, cl_uint count,
                                         const char *const *sources, const size_t *bytes,
                                         cl_int *error)
{
    (void)context, (void)count, (void)sources, (void)bytes;
    *error = FAILURE;
    FAIL_IF_TOLD(NULL);
    *error = 0;
    pthread_mutex_lock(&lock);
    source_builds++;
    pthread_mutex_unlock(&lock);
    return create(sizeof(struct opaque_program));
}

API cl_program clCreateProgramWithBinary(cl_context context, cl_uint count,
                                         const cl_device_id *devices, const size_t *bytes,
                                         const unsigned char **binaries, cl_int *status,
                                         cl_int *error)
{
    (void)context, (void)count, (void)devices;
    *error = FAILURE;
    FAIL_IF_TOLD(NULL);
    if (*bytes != sizeof BINARY || memcmp(binaries[0], BINARY, *bytes) != 0)
        blame("clCreateProgramWithBinary: not what the driver gave");
    *status = told("refuse_binary") ? -42 : 0;
    *error = *status;
    return *error != 0 ? NULL : create(sizeof(struct opaque_program));
}

API cl_int clBuildProgram(cl_program program, cl_uint count, const cl_device_id *devices,
                          const char *options, void *notify, void *data)
{
    (void)count, (void)devices, (void)options, (void)notify, (void)data;
    FAIL_IF_TOLD(FAILURE);
    program->is_built = told("build_fails") == NULL;
    return program->is_built ? 0 : CL_BUILD_PROGRAM_FAILURE;
}

API cl_int clGetProgramBuildInfo(cl_program program, cl_device_id device, cl_uint what,
                                 size_t bytes, void *to, size_t *needed)
{
    (void)program, (void)device, (void)what;
    FAIL_IF_TOLD(FAILURE);
    return give_text("line 3: unknown type name 'half'", bytes, to, needed);
}

API cl_int clGetProgramInfo(cl_program program, cl_uint what, size_t bytes, void *to,
                            size_t *needed)
{
    FAIL_IF_TOLD(FAILURE);
    if (!program->is_built)
        blame("clGetProgramInfo: not built");
    if (what == CL_PROGRAM_BINARY_SIZES)
        return give_number(told("no_binary") ? 0 : sizeof BINARY, sizeof(size_t), bytes, to, needed);
    memcpy(*(unsigned char **)to, BINARY, sizeof BINARY);
    return 0;
}

API cl_int clReleaseProgram(cl_program program)
{
    return destroy(program);
}

static const struct {
    const char *name;
    int parameters;
} KERNELS[] = {{"scale", 3}, {"twice", 1}, {"square", 2}, {"finish", 4}};

API cl_kernel clCreateKernel(cl_program program, const char *name, cl_int *error)
{
    *error = FAILURE;
    FAIL_IF_TOLD(NULL);
    if (!program->is_built)
        blame("clCreateKernel: the program is not built");
    *error = -46;
    for (size_t i = 0; i < sizeof KERNELS / sizeof KERNELS[0]; i++)
        if (strcmp(KERNELS[i].name, name) == 0) {
            *error = 0;
            cl_kernel kernel = create(sizeof(struct opaque_kernel));
            kernel->name = KERNELS[i].name;
            kernel->parameters = KERNELS[i].parameters;
            return kernel;
        }
    return NULL;
}

API cl_int clReleaseKernel(cl_kernel kernel)
{
    return destroy(kernel);
}

API cl_int clSetKernelArg(cl_kernel kernel, cl_uint index, size_t bytes, const void *value)
{
    FAIL_IF_TOLD(FAILURE);
    if ((int)index >= 2 * kernel->parameters ||
        bytes != (index % 2 == 0 ? sizeof(cl_mem) : sizeof(cl_uint)))
        return -51; /* CL_INVALID_ARG_SIZE */
    if (index % 2 == 0)
        memcpy(&kernel->buffers[index / 2], value, bytes);
    else
        memcpy(&kernel->elements[index / 2], value, bytes);
    kernel->set |= 1u << index;
    return 0;
}

API cl_int clGetKernelWorkGroupInfo(cl_kernel kernel, cl_device_id device, cl_uint what,
                                    size_t bytes, void *to, size_t *needed)
{
    (void)kernel, (void)device, (void)what;
    FAIL_IF_TOLD(FAILURE);
    return give_number(told("small_groups") ? 4 : 256, sizeof(size_t), bytes, to, needed);
}

/* What the kernels do. */
static float *floats(const struct opaque_kernel *kernel, int parameter)
{
    return (float *)(void *)kernel->buffers[parameter]->data + kernel->elements[parameter];
}

static void execute(const struct opaque_kernel *kernel)
{
    static const int places[] = {0, 0, 1, 1, 2}; /* of what is written, or the second input */
    float *first = floats(kernel, 0), *last = floats(kernel, places[kernel->parameters]);
    float near = told("rounds_coarsely") ? 1.02f : told("rounds") ? 1.001f : 1.0f;
    int turn = kernel->name[1] == 'q' ? ++squares : 0;
    for (int i = 0; i < COUNT; i++)
        switch (kernel->name[1]) {
        case 'c': /* scale */
            floats(kernel, 2)[i] = first[i] * last[i] * near;
            break;
        case 'w': /* twice */
            first[i] = 2.0f * first[i];
            break;
        case 'q': /* square */
            last[i] = first[i] * first[i] * near;
            break;
        default: { /* finish */
            cl_int n = ((const cl_int *)(void *)kernel->buffers[1]->data)[kernel->elements[1]];
            last[i] = first[i] + (float)n;
            kernel->buffers[3]->data[kernel->elements[3] + (cl_uint)i] = (unsigned char)(i % 100 + n);
        }
        }
    if (kernel->name[1] == 'q' && (told("wrong_float") || (told("unstable") && turn % 2 == 0)))
        last[COUNT - 1] += 100.0f;
    if (kernel->name[0] == 'f' && told("wrong_integer"))
        kernel->buffers[3]->data[77] ^= 1;
}

/* Queues. */
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
    else if (command->kind == MAP)
        memcpy(command->memory->host, command->memory->data, command->bytes);
    else
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
    if (group != NULL && group[0] * group[1] * group[2] > 256)
        return -54;
    if (kernel->name[0] == 'f' && (group == NULL || group[0] != 8 || group[1] != 1))
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
    (void)blocking, (void)flags, (void)wait_count, (void)wait, (void)event;
    *error = FAILURE;
    FAIL_IF_TOLD(NULL);
    if (memory->host == NULL)
        blame("clEnqueueMapBuffer: memory that the host has not given");
    *error = 0;
    add(queue, (command){.kind = MAP, .memory = memory, .at = at, .bytes = bytes});
    return memory->host;
}

API cl_int clEnqueueUnmapMemObject(cl_command_queue queue, cl_mem memory, void *mapped,
                                   cl_uint wait_count, const cl_event *wait, cl_event *event)
{
    (void)queue, (void)wait_count, (void)wait, (void)event;
    FAIL_IF_TOLD(FAILURE);
    if (mapped != memory->host)
        blame("clEnqueueUnmapMemObject: it is not mapped there");
    return 0;
}

API cl_int clFinish(cl_command_queue queue)
{
    pthread_mutex_lock(&lock);
    for (int i = 0; i < queue->count; i++)
        perform(&queue->pending[i]);
    queue->count = 0;
    pthread_mutex_unlock(&lock);
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

#ifdef PIXEL
static int is_enabled;

EXPORT void enableOpenCL(void)
{
    is_enabled = 1;
}

#define RETURN_IF_NAMED(result, function, parameters)                                              \
    if (is_enabled && strcmp(name, #function) == 0)                                                \
        return (void *)(uintptr_t)function;

EXPORT void *loadOpenCLPointer(const char *name)
{
    OPENCL_FUNCTIONS(RETURN_IF_NAMED)
    return NULL;
}
#endif
