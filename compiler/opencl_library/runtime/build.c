/* The program on the device: compiled from source, or taken as its driver made it before. */
#include "state.h"

#include <stdlib.h>
#include <string.h>

static int fail_build(penjing_session *s, cl_int error)
{
    size_t bytes = 0; /* asked first: drivers write nothing into a buffer that is too small */
    s->cl.clGetProgramBuildInfo(s->program, s->device.id, CL_PROGRAM_BUILD_LOG, 0, NULL, &bytes);
    char *log = calloc(bytes + 1, 1);
    if (log != NULL)
        s->cl.clGetProgramBuildInfo(s->program, s->device.id, CL_PROGRAM_BUILD_LOG, bytes, log,
                                    NULL);
    int status = fail(&s->message, PENJING_BUILD_FAILED, "%s does not compile the kernels (%d): %s",
                      s->device.name, (int)error, log == NULL ? "no memory" : log);
    free(log);
    return status;
}

static cl_int build(penjing_session *s)
{
    return s->cl.clBuildProgram(s->program, 1, &s->device.id, s->model->options, NULL, NULL);
}

static int build_from_binary(penjing_session *s)
{
    cl_int status = CL_SUCCESS, error = CL_SUCCESS;
    const unsigned char *binary = s->record.binary;
    s->program = s->cl.clCreateProgramWithBinary(s->context, 1, &s->device.id,
                                                 &s->record.binary_bytes, &binary, &status, &error);
    if (error == CL_SUCCESS && status == CL_SUCCESS && build(s) == CL_SUCCESS)
        return 1;
    if (s->program != NULL)
        s->cl.clReleaseProgram(s->program);
    s->program = NULL;
    return 0;
}

/* Build the program; a binary of the cache that the driver refuses is built anew. */
int build_program(penjing_session *s)
{
    cl_int error = CL_SUCCESS;
    if (s->record.binary_bytes != 0 && build_from_binary(s))
        return PENJING_OK;
    s->is_news = 1;
    s->program = s->cl.clCreateProgramWithSource(s->context, 1, &s->model->source,
                                                 &s->model->source_bytes, &error);
    if (error != CL_SUCCESS)
        return fail_call(&s->message, PENJING_BUILD_FAILED, "clCreateProgramWithSource", error);
    error = build(s);
    return error == CL_SUCCESS ? PENJING_OK : fail_build(s, error);
}

/* One kernel per launch: its arguments are set once and stay. */
int create_steps(penjing_session *s)
{
    s->steps = calloc(s->model->launch_count + 1, sizeof *s->steps);
    if (s->steps == NULL)
        return fail(&s->message, PENJING_OUT_OF_MEMORY, "no memory for %u launches",
                    s->model->launch_count);
    for (uint32_t i = 0; i < s->model->launch_count; i++) {
        cl_int error = CL_SUCCESS;
        step *step = &s->steps[i];
        step->kernel = s->cl.clCreateKernel(s->program, s->model->launches[i].function, &error);
        if (error != CL_SUCCESS)
            return fail_call(&s->message, PENJING_BUILD_FAILED, "clCreateKernel", error);
        error = s->cl.clGetKernelWorkGroupInfo(step->kernel, s->device.id,
                                               CL_KERNEL_WORK_GROUP_SIZE, sizeof step->group_limit,
                                               &step->group_limit, NULL);
        if (error != CL_SUCCESS)
            return fail_call(&s->message, PENJING_BUILD_FAILED, "clGetKernelWorkGroupInfo", error);
        int status = choose_group(s, i);
        if (status != PENJING_OK)
            return status;
    }
    return PENJING_OK;
}

/* The program as the driver made it, to be freed; NULL if the driver does not give it. */
unsigned char *copy_binary(penjing_session *s, size_t *bytes)
{
    *bytes = 0;
    cl_int error = s->cl.clGetProgramInfo(s->program, CL_PROGRAM_BINARY_SIZES, sizeof *bytes, bytes,
                                          NULL);
    unsigned char *binary = error == CL_SUCCESS && *bytes != 0 ? malloc(*bytes) : NULL;
    if (binary == NULL)
        return NULL;
    error = s->cl.clGetProgramInfo(s->program, CL_PROGRAM_BINARIES, sizeof binary, &binary, NULL);
    if (error == CL_SUCCESS)
        return binary;
    free(binary);
    return NULL;
}

void release_program(penjing_session *s)
{
    for (uint32_t i = 0; s->steps != NULL && i < s->model->launch_count; i++)
        if (s->steps[i].kernel != NULL)
            s->cl.clReleaseKernel(s->steps[i].kernel);
    free(s->steps);
    s->steps = NULL;
    if (s->program != NULL)
        s->cl.clReleaseProgram(s->program);
    s->program = NULL;
}
