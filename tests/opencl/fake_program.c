/* Programs and kernels of the fake library. */
#include "fake.h"

#include <string.h>

/* What a compiled program looks like. */
static const char BINARY[] = "compiled by the fake driver";

API cl_program clCreateProgramWithSource(cl_context context, cl_uint count,
                                         const char *const *sources, const size_t *bytes,
                                         cl_int *error)
{
    (void)context, (void)count, (void)sources, (void)bytes;
    *error = FAILURE;
    FAIL_IF_TOLD(NULL);
    *error = 0;
    lock_all();
    fake_source_builds_made++;
    unlock_all();
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
        return give_number(told("no_binary") ? 0 : sizeof BINARY, sizeof(size_t), bytes, to,
                           needed);
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
    int limit = told("small_groups") || told("understates") ? 4 : 256;
    return give_number((cl_ulong)limit, sizeof(size_t), bytes, to, needed);
}

/* What the kernels do. */
static float *floats(const struct opaque_kernel *kernel, int parameter)
{
    return (float *)(void *)kernel->buffers[parameter]->data + kernel->elements[parameter];
}

void execute(const struct opaque_kernel *kernel)
{
    static const int places[] = {0, 0, 1, 1, 2}; /* of what is written, or the second input */
    float *first = floats(kernel, 0), *last = floats(kernel, places[kernel->parameters]);
    float near = told("rounds_coarsely") ? 1.02f : told("rounds") ? 1.001f : 1.0f;
    int turn = kernel->name[1] == 'q' ? ++fake_squares : 0;
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
            cl_uint at = kernel->elements[3] + (cl_uint)i;
            kernel->buffers[3]->data[at] = (unsigned char)(i % 100 + n);
        }
        }
    if (kernel->name[1] == 'q' && (told("wrong_float") || (told("unstable") && turn % 2 == 0)))
        last[COUNT - 1] += 100.0f;
    if (kernel->name[0] == 'f' && told("wrong_integer"))
        kernel->buffers[3]->data[77] ^= 1;
}
