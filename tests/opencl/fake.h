/* A library of OpenCL for tests: it runs the kernels of small_program.c, is as strict as the
 * standard allows, and fails or lies as the words in the environment variable FAKE_OPENCL say.
 *
 * Nothing happens before clFinish: commands wait in their queue, and memory of the host that a
 * buffer uses is not looked at between its creation and a map. fake_misuse tells of the first
 * violation of the standard, fake_alive counts objects that nobody released.
 *
 * With -DPIXEL no function is exported but the two by which that phone's library is used;
 * with -DINCOMPLETE one function is missing. */
#ifndef FAKE_H
#define FAKE_H

#include "opencl.h"

#define EXPORT __attribute__((visibility("default")))
#ifdef PIXEL
#define API /* hidden, as all is by -fvisibility */
#else
#define API EXPORT
#endif

#define DECLARE(result, name, parameters) API result name parameters;
OPENCL_FUNCTIONS(DECLARE)

enum { COUNT = 2000, MOST_PARAMETERS = 8, MOST_PENDING = 64, FAILURE = -5 };

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
    int pending, is_mapped;
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

/* fake_control.c */
extern int fake_squares, fake_source_builds_made; /* since the last fake_reset */
const char *told(const char *word);
int fails(const char *function, int *own_calls);
void blame(const char *what);
void *create(size_t bytes);
cl_int destroy(void *object);
void lock_all(void);
void unlock_all(void);

/* fake_device.c */
cl_int give(const void *value, size_t value_bytes, size_t bytes, void *to, size_t *needed);
cl_int give_text(const char *text, size_t bytes, void *to, size_t *needed);
cl_int give_number(cl_ulong number, size_t size, size_t bytes, void *to, size_t *needed);

/* fake_program.c */
void execute(const struct opaque_kernel *kernel);

#define FAIL_IF_TOLD(result)                                                                       \
    do {                                                                                           \
        static int own_calls;                                                                      \
        if (fails(__func__, &own_calls))                                                           \
            return result;                                                                         \
    } while (0)

#endif
