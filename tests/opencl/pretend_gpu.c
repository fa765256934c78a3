/* The OpenCL library of this machine, whose devices say that they are GPUs: the run time then
 * rounds work-items up to groups of its own choice. Functions are handed out as on Pixel phones. */
#include "opencl.h"

#include <dlfcn.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

typedef cl_int (*device_info)(cl_device_id, cl_uint, size_t, void *, size_t *);

EXPORT void enableOpenCL(void);
EXPORT void *loadOpenCLPointer(const char *name);

static void *real;

static cl_int pretend(cl_device_id device, cl_uint what, size_t bytes, void *to, size_t *needed)
{
    device_info ask;
    void *symbol = dlsym(real, "clGetDeviceInfo");
    memcpy(&ask, &symbol, sizeof symbol);
    cl_int error = ask(device, what, bytes, to, needed);
    if (what == CL_DEVICE_TYPE && error == CL_SUCCESS && to != NULL)
        *(cl_bitfield *)to = CL_DEVICE_TYPE_GPU;
    return error;
}

EXPORT void enableOpenCL(void)
{
    real = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
}

EXPORT void *loadOpenCLPointer(const char *name)
{
    if (real == NULL)
        return NULL;
    return strcmp(name, "clGetDeviceInfo") == 0 ? (void *)(uintptr_t)pretend : dlsym(real, name);
}
