/* The platform of the fake library, its devices and their contexts. */
#include "fake.h"

#include <string.h>

static struct opaque_platform the_platform;
static struct opaque_device the_devices[2] = {{0}, {1}};

cl_int give(const void *value, size_t value_bytes, size_t bytes, void *to, size_t *needed)
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

cl_int give_text(const char *text, size_t bytes, void *to, size_t *needed)
{
    return give(text, strlen(text) + 1, bytes, to, needed);
}

cl_int give_number(cl_ulong number, size_t size, size_t bytes, void *to, size_t *needed)
{
    return give(&number, size, bytes, to, needed); /* little-endian */
}

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
        return device->index == 1 || told("has_fp16") ? "cl_khr_icd cl_khr_fp16"
                                                      : "cl_khr_fp16_not";
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
        return give_number(told("tiny_groups") ? 16 : 256, sizeof(size_t), bytes, to, needed);
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
