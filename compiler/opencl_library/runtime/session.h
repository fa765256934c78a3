/* The functions behind NAME_create, NAME_run and the others of a model's header. */
#ifndef PENJING_SESSION_H
#define PENJING_SESSION_H

#include "program.h"

#ifndef PENJING_GPU /* NAME.h declares the same for those who use the library */
#define PENJING_GPU 1

enum penjing_gpu_status { /* beside those of enum penjing_status */
    PENJING_NO_OPENCL = 32,   /* no OpenCL library, or one without a function that is needed */
    PENJING_NO_DEVICE = 33,   /* no device of the allowed kinds */
    PENJING_UNSUPPORTED = 34, /* the device lacks an extension, or is too small */
    PENJING_BUILD_FAILED = 35,
    PENJING_OUT_OF_MEMORY = 36,
    PENJING_LAUNCH_FAILED = 37,
    PENJING_WRONG_RESULTS = 38, /* the device computes something else than the CPU */
    PENJING_BAD_CONFIG = 39,
    PENJING_NO_CPU = 40 /* nor can this CPU run the fallback */
};

enum penjing_runs {
    PENJING_ON_DEVICE_OR_CPU = 0,
    PENJING_ON_DEVICE_ONLY = 1,
    PENJING_ON_CPU_ONLY = 2
};

/* All zero is the default. */
typedef struct penjing_config {
    size_t size;                /* sizeof(penjing_config), so that later versions can add fields */
    int32_t runs;               /* enum penjing_runs */
    int32_t any_device;         /* also devices that are CPUs, as PoCL's */
    const char *opencl_library; /* path of the OpenCL library; NULL: the usual names */
    const char *device;         /* part of the name of the device to take; NULL: the first GPU */
    const char *cache_folder;   /* of compiled programs, verdicts and tuned groups; NULL: none */
    int32_t skip_check;         /* do not compare the device's kernels with the CPU's */
    uint32_t tune_milliseconds; /* spent on the first run looking for faster work-groups */
    size_t most_memory;         /* bytes on the device; 0: as much as it has */
} penjing_config;

typedef struct penjing_session penjing_session;

typedef struct penjing_time { /* of one launch */
    uint32_t call;
    const char *function;
    uint64_t nanoseconds;
} penjing_time;
#endif

int session_create(const program *model, const penjing_config *config, penjing_session **session);
int session_run(penjing_session *session, const void *const *inputs, void *const *outputs);
void session_destroy(penjing_session *session);
/* What went wrong last, or why the CPU is used; "" if nothing. Of a NULL session: of the last
   session_create of this thread that failed. Valid until the session's (thread's) next call. */
const char *session_message(const penjing_session *session);
/* "cpu", or the name, version and driver of the device. */
const char *session_device(const penjing_session *session);
int session_on_device(const penjing_session *session);
/* One inference whose launches the device measures; `times` has room for `count` of them. Returns
   how many there are, 0 on the CPU, or -status. */
int session_profile(penjing_session *session, const void *const *inputs, void *const *outputs,
                    penjing_time *times, uint32_t count);

#endif
