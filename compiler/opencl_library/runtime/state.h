/* What a session is made of, and what the files of the run time do for each other. */
#ifndef PENJING_STATE_H
#define PENJING_STATE_H

#include "opencl.h"
#include "penjing.h" /* the part of NAME.h that all models share */
#include "session.h"

enum { TEXT_BYTES = 256, MESSAGE_BYTES = 2048 };

typedef struct message {
    char text[MESSAGE_BYTES];
} message;

typedef struct device {
    cl_device_id id;
    cl_bitfield type;
    char name[TEXT_BYTES];
    char version[TEXT_BYTES];
    char driver[TEXT_BYTES];
    char platform[TEXT_BYTES];      /* version of the platform */
    char description[4 * TEXT_BYTES];
    int shares_memory;              /* with the CPU */
    size_t alignment;               /* bytes, of memory that it can share */
    cl_ulong memory, largest_buffer, local_memory;
    size_t group_limit;
    size_t item_limits[3];          /* of a work-group in each dimension */
} device;

/* One launch, ready to be enqueued. */
typedef struct step {
    cl_kernel kernel;
    size_t group_limit;
    uint32_t group[3]; /* all 0: the device chooses */
} step;

/* A model's buffers on the device. `inputs` and `outputs` are copies of what the caller has;
   `bound_*` are what the kernels' arguments name now: these, or shared memory of the caller. */
typedef struct buffers {
    cl_mem arena, weights;
    cl_mem *inputs, *outputs, *bound_inputs, *bound_outputs;
} buffers;

enum verdict { NOT_CHECKED, CHECKED, CHECKED_WITH_COPIES /* shares no memory */, REFUTED };

/* What the cache keeps between processes. */
typedef struct record {
    uint32_t verdict; /* enum verdict */
    uint32_t tuned;
    uint32_t (*groups)[3]; /* one per launch; NULL: the usual ones */
    unsigned char *binary; /* of the program; NULL: none */
    size_t binary_bytes;
} record;

typedef struct difference {
    size_t element;
    double expected, got;
} difference;

struct penjing_session {
    const program *model;
    penjing_config config;
    opencl cl;
    device device;
    cl_context context;
    cl_command_queue queue;
    cl_program program;
    step *steps; /* one per launch */
    buffers buffers;
    record record;
    uint64_t cache_key;
    char *cache_path; /* NULL: no cache */
    int is_news;      /* the cache does not know yet what the session does */
    int on_device;
    char busy;            /* a thread is inside */
    unsigned char *arena; /* of the CPU, in `arena_memory` */
    void *arena_memory;
    message message;
};

/* message.c */
int fail(message *message, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int fail_call(message *message, int status, const char *function, cl_int error);
void keep_failure(const message *message);
const char *last_failure(void);

/* loader.c */
int load_opencl(opencl *cl, const char *path, message *message);

/* device.c */
int choose_device(const opencl *cl, const program *model, const penjing_config *config,
                  device *chosen, message *message);
int open_device(penjing_session *s);

/* build.c */
int build_program(penjing_session *s);
int create_steps(penjing_session *s);
unsigned char *copy_binary(penjing_session *s, size_t *bytes);
void release_program(penjing_session *s);

/* buffers.c */
int create_buffers(penjing_session *s);
void release_buffers(penjing_session *s);
void release_buffer(penjing_session *s, cl_mem memory);
int write_buffer(penjing_session *s, cl_mem memory, size_t at, size_t bytes, const void *host);
int read_buffer(penjing_session *s, cl_mem memory, size_t at, size_t bytes, void *host);

/* bindings.c */
int bind_arguments(penjing_session *s);
int bind_inputs(penjing_session *s, const void *const *inputs);
int bind_outputs(penjing_session *s, void *const *outputs);
int bind_own_buffers(penjing_session *s);
int fetch_outputs(penjing_session *s, void *const *outputs);
void release_shared(penjing_session *s);
cl_mem bound_buffer(const penjing_session *s, unsigned place, unsigned index);

/* groups.c */
int choose_group(penjing_session *s, uint32_t launch);
int group_fits(const penjing_session *s, uint32_t launch, const uint32_t group[3]);

/* run.c */
int enqueue_launch(penjing_session *s, uint32_t launch, cl_event *event);
int run_on_device(penjing_session *s, const void *const *inputs, void *const *outputs,
                  cl_event *events);

/* profile.c */
int time_on_device(penjing_session *s, const void *const *inputs, void *const *outputs,
                   cl_ulong *nanoseconds);

/* arguments.c */
int check_arguments(penjing_session *s, const void *const *inputs, void *const *outputs);
int overlap(const void *a, size_t a_bytes, const void *b, size_t b_bytes);

/* compare.c */
size_t element_bytes(unsigned dtype);
double tolerance(const program *model, unsigned dtype);
int find_difference(unsigned dtype, double tolerance, const void *expected, const void *got,
                    size_t bytes, difference *found);

/* check_inputs.c */
void *fill_input(unsigned dtype, void *data, size_t bytes);

/* check.c */
int check_device(penjing_session *s);

/* tune.c */
void tune_groups(penjing_session *s, const void *const *inputs, void *const *outputs);

/* cache.c */
void read_cache(penjing_session *s);
void write_cache(penjing_session *s);
void forget_record(penjing_session *s);

/* cpu.c */
unsigned char *allocate_arena(size_t bytes, void **memory);
int switch_to_cpu(penjing_session *s);
int run_on_cpu(penjing_session *s, const void *const *inputs, void *const *outputs);

#endif
