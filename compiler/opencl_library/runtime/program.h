/* What the compiler tells the run time about one model: tables that NAME_opencl.c fills. */
#ifndef PENJING_PROGRAM_H
#define PENJING_PROGRAM_H

#include <stddef.h>
#include <stdint.h>

enum place { IN_ARENA, IN_WEIGHTS, IN_INPUT, IN_OUTPUT }; /* the buffer that holds a value */

typedef struct argument {
    uint8_t place;    /* enum place */
    uint16_t index;   /* which input or output */
    uint64_t element; /* elements from the start of that buffer: passed to the kernel as uint */
} argument;

typedef struct launch {
    const char *function;      /* in the source */
    uint32_t items[3];         /* work-items, before they are rounded up to whole groups */
    uint32_t group[3];         /* the work-group it needs; all 0: any will do */
    uint32_t first_argument;   /* into program.arguments */
    uint16_t argument_count;   /* pointer parameters; each is a buffer and an offset in elements */
    uint16_t call;             /* the call that it is part of */
} launch;

/* What a call leaves behind, for the check of a device against the CPU. */
typedef struct result {
    uint16_t call;
    uint8_t place;
    uint16_t index;
    uint64_t byte; /* from the start of that buffer */
    uint64_t bytes;
    uint8_t dtype; /* enum penjing_dtype */
} result;

typedef struct copy { /* after the last call: an output that no kernel writes in place */
    argument from; /* its `element` counts bytes: copies have no type */
    uint16_t output;
    uint64_t bytes;
} copy;

typedef struct program {
    const char *name;
    const char *source; /* OpenCL C, not terminated */
    size_t source_bytes;
    const char *options;    /* of clBuildProgram */
    const char *extensions; /* that the device must have, separated by spaces */
    uint64_t hash;          /* of the source and the options */
    const unsigned char *weights;
    size_t weights_bytes;
    size_t arena_bytes;
    uint32_t local_bytes; /* most that a work-group shares */

    const launch *launches;
    const argument *arguments;
    const result *results; /* ordered by call */
    const copy *copies;
    uint32_t launch_count, argument_count, result_count, copy_count, call_count;

    const size_t *input_bytes, *output_bytes;
    uint32_t input_count, output_count;
    const uint8_t *input_dtypes, *output_dtypes; /* enum penjing_dtype */

    /* The CPU's kernels of the same calls, over the same arena. `cpu_supported` says 0 where this
       CPU lacks instructions that they use. */
    int (*cpu_supported)(void);
    void (*cpu_call)(uint32_t call, const void *const *inputs, void *const *outputs,
                     unsigned char *arena);
    int (*cpu_run)(const void *const *inputs, void *const *outputs, void *arena,
                   size_t arena_bytes);
} program;

#endif
