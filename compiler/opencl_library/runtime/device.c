/* Chooses the device that a model runs on. */
#include "state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_PLATFORMS = 16, MOST_DEVICES = 16 };

/* A fixed-size fact about a device; 0 where the driver does not say. */
#define READ(cl, id, what, into)                                                                   \
    do {                                                                                           \
        memset(&(into), 0, sizeof(into));                                                          \
        (cl)->clGetDeviceInfo(id, what, sizeof(into), &(into), NULL);                              \
    } while (0)

static void read_text(const opencl *cl, cl_device_id id, cl_uint what, char text[TEXT_BYTES])
{
    memset(text, 0, TEXT_BYTES);
    cl->clGetDeviceInfo(id, what, TEXT_BYTES - 1, text, NULL);
}

static void describe(const opencl *cl, cl_platform_id platform, cl_device_id id, device *device)
{
    cl_uint unified, align_bits;
    memset(device, 0, sizeof *device);
    device->id = id;
    READ(cl, id, CL_DEVICE_TYPE, device->type);
    read_text(cl, id, CL_DEVICE_NAME, device->name);
    read_text(cl, id, CL_DEVICE_VERSION, device->version);
    read_text(cl, id, CL_DRIVER_VERSION, device->driver);
    cl->clGetPlatformInfo(platform, CL_PLATFORM_VERSION, TEXT_BYTES - 1, device->platform, NULL);
    READ(cl, id, CL_DEVICE_HOST_UNIFIED_MEMORY, unified);
    READ(cl, id, CL_DEVICE_MEM_BASE_ADDR_ALIGN, align_bits);
    READ(cl, id, CL_DEVICE_GLOBAL_MEM_SIZE, device->memory);
    READ(cl, id, CL_DEVICE_MAX_MEM_ALLOC_SIZE, device->largest_buffer);
    READ(cl, id, CL_DEVICE_LOCAL_MEM_SIZE, device->local_memory);
    READ(cl, id, CL_DEVICE_MAX_WORK_GROUP_SIZE, device->group_limit);
    READ(cl, id, CL_DEVICE_MAX_WORK_ITEM_SIZES, device->item_limits);
    device->shares_memory = unified != 0;
    device->alignment = align_bits / 8 < 64 ? 64 : align_bits / 8;
    snprintf(device->description, sizeof device->description, "%s, %s, driver %s", device->name,
             device->version, device->driver);
}

enum rank { UNWANTED, CPU, ACCELERATOR, GPU };

static enum rank rank(const opencl *cl, cl_device_id id, const penjing_config *config)
{
    cl_bitfield type;
    char name[TEXT_BYTES];
    READ(cl, id, CL_DEVICE_TYPE, type);
    read_text(cl, id, CL_DEVICE_NAME, name);
    if (config->device != NULL && strstr(name, config->device) == NULL)
        return UNWANTED;
    if (type & CL_DEVICE_TYPE_GPU)
        return GPU;
    if (type & CL_DEVICE_TYPE_ACCELERATOR)
        return ACCELERATOR;
    return type & CL_DEVICE_TYPE_CPU && config->any_device ? CPU : UNWANTED;
}

/* Whether `word` is one of the words in `text`. */
static int has_word(const char *text, const char *word, size_t length)
{
    for (const char *at = strstr(text, word); at != NULL; at = strstr(at + 1, word))
        if ((at == text || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0'))
            return 1;
    return 0;
}

/* The extensions of a device, to be freed. */
static char *read_extensions(const opencl *cl, cl_device_id id)
{
    size_t bytes = 0;
    cl->clGetDeviceInfo(id, CL_DEVICE_EXTENSIONS, 0, NULL, &bytes);
    char *extensions = calloc(bytes + 1, 1);
    if (extensions != NULL)
        cl->clGetDeviceInfo(id, CL_DEVICE_EXTENSIONS, bytes, extensions, NULL);
    return extensions;
}

static int check_extensions(const opencl *cl, const device *device, const char *wanted,
                            message *message)
{
    char word[TEXT_BYTES];
    int status = PENJING_OK;
    char *extensions = read_extensions(cl, device->id);
    if (extensions == NULL)
        return fail(message, PENJING_OUT_OF_MEMORY, "no memory");
    for (size_t length; *wanted != '\0' && status == PENJING_OK; wanted += length) {
        wanted += strspn(wanted, " ");
        length = strcspn(wanted, " ");
        snprintf(word, sizeof word, "%.*s", (int)length, wanted);
        if (length != 0 && !has_word(extensions, word, length))
            status = fail(message, PENJING_UNSUPPORTED, "%s lacks %s", device->name, word);
    }
    free(extensions);
    return status;
}

static int check_memory(const device *device, const program *model, size_t most, message *message)
{
    cl_ulong needed = (cl_ulong)model->arena_bytes + model->weights_bytes;
    size_t largest = model->arena_bytes;
    largest = model->weights_bytes > largest ? model->weights_bytes : largest;
    for (uint32_t i = 0; i < model->input_count; i++)
        needed += model->input_bytes[i];
    for (uint32_t i = 0; i < model->output_count; i++)
        needed += model->output_bytes[i];
    cl_ulong limit = most != 0 && most < device->memory ? most : device->memory;
    if (needed > limit)
        return fail(message, PENJING_OUT_OF_MEMORY, "%s needs %llu bytes, %s may use %llu",
                    model->name, (unsigned long long)needed, device->name,
                    (unsigned long long)limit);
    if (largest > device->largest_buffer)
        return fail(message, PENJING_OUT_OF_MEMORY, "%s needs a buffer of %zu bytes, %s has %llu",
                    model->name, largest, device->name,
                    (unsigned long long)device->largest_buffer);
    return PENJING_OK;
}

static int check_abilities(const opencl *cl, const device *device, const program *model,
                           message *message)
{
    cl_uint available, compiler, little;
    READ(cl, device->id, CL_DEVICE_AVAILABLE, available);
    READ(cl, device->id, CL_DEVICE_COMPILER_AVAILABLE, compiler);
    READ(cl, device->id, CL_DEVICE_ENDIAN_LITTLE, little);
    if (!available || !compiler || !little)
        return fail(message, PENJING_UNSUPPORTED, "%s %s", device->name,
                    !available  ? "is not available"
                    : !compiler ? "has no compiler"
                                : "is big-endian");
    if (strncmp(device->version, "OpenCL 1.0", 10) == 0 ||
        strncmp(device->version, "OpenCL 1.1", 10) == 0)
        return fail(message, PENJING_UNSUPPORTED, "%s has only %s", device->name, device->version);
    if (model->local_bytes > device->local_memory)
        return fail(message, PENJING_UNSUPPORTED, "%s has %llu bytes of local memory, not %u",
                    device->name, (unsigned long long)device->local_memory, model->local_bytes);
    return check_extensions(cl, device, model->extensions, message);
}

typedef struct candidate {
    cl_platform_id platform;
    cl_device_id id;
    enum rank rank;
} candidate;

/* All devices of all platforms; returns their number. */
static cl_uint list_devices(const opencl *cl, const penjing_config *config, candidate *list)
{
    const cl_bitfield all_types = 0xFFFFFFFF;
    cl_platform_id platforms[MOST_PLATFORMS];
    cl_device_id devices[MOST_DEVICES];
    cl_uint platform_count = 0, count = 0, listed = 0;
    if (cl->clGetPlatformIDs(MOST_PLATFORMS, platforms, &platform_count) != CL_SUCCESS)
        return 0;
    for (cl_uint p = 0; p < platform_count && p < MOST_PLATFORMS; p++) {
        cl_int error =
            cl->clGetDeviceIDs(platforms[p], all_types, MOST_DEVICES, devices, &count);
        if (error != CL_SUCCESS)
            continue;
        for (cl_uint d = 0; d < count && d < MOST_DEVICES && listed < MOST_DEVICES; d++)
            list[listed++] = (candidate){platforms[p], devices[d], rank(cl, devices[d], config)};
    }
    return listed;
}

static int try_device(const opencl *cl, const program *model, const penjing_config *config,
                      const candidate *candidate, device *chosen, message *message)
{
    describe(cl, candidate->platform, candidate->id, chosen);
    int status = check_abilities(cl, chosen, model, message);
    if (status == PENJING_OK)
        status = check_memory(chosen, model, config->most_memory, message);
    return status;
}

/* GPUs before accelerators before CPUs, in the order of the drivers; the first that can run the
   model. If none can, the message says what the first one lacks. */
int choose_device(const opencl *cl, const program *model, const penjing_config *config,
                  device *chosen, message *message)
{
    candidate list[MOST_DEVICES];
    cl_uint count = list_devices(cl, config, list);
    int first = fail(message, PENJING_NO_DEVICE, "none of %u OpenCL devices is %s%s", count,
                     config->device == NULL ? "a GPU" : "an allowed one named ",
                     config->device == NULL ? "" : config->device);
    for (enum rank wanted = GPU; wanted > UNWANTED; wanted--)
        for (cl_uint i = 0; i < count; i++) {
            struct message reason;
            if (list[i].rank != wanted)
                continue;
            int status = try_device(cl, model, config, &list[i], chosen, &reason);
            if (status == PENJING_OK)
                return fail(message, PENJING_OK, "%s", "");
            if (first == PENJING_NO_DEVICE)
                first = fail(message, status, "%s", reason.text);
        }
    return first;
}

/* The context, and a queue that runs what it is given in order. */
int open_device(penjing_session *s)
{
    cl_int error = CL_SUCCESS;
    s->context = s->cl.clCreateContext(NULL, 1, &s->device.id, NULL, NULL, &error);
    if (error != CL_SUCCESS)
        return fail_call(&s->message, PENJING_NO_DEVICE, "clCreateContext", error);
    s->queue = s->cl.clCreateCommandQueue(s->context, s->device.id, 0, &error);
    if (error != CL_SUCCESS)
        return fail_call(&s->message, PENJING_NO_DEVICE, "clCreateCommandQueue", error);
    return PENJING_OK;
}
