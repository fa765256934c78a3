/*
 * Runs a compiled model in a process of its own, which may be an emulated one.
 *
 *     driver LIBRARY NAME INPUTS OUTPUTS WEIGHTS TIMES RUNS THREADS
 *
 * INPUTS and OUTPUTS are files with the raw bytes of all tensors one after the other. WEIGHTS is
 * the weights file or "-". Runs the model RUNS times. Built with -DMODEL=NAME it links the model
 * statically and ignores LIBRARY and NAME.
 *
 * Exit code: 0 done, 2 trouble with a file (explained on stderr), 16 + status if the model refused.
 *
 * Models built for measuring tell about each of their steps. TIMES is the file that gets a line
 * "step CALL NANOSECONDS" for each, or "-". In that case, and around every run, the program makes
 * system calls that do nothing but tell a watching emulator plugin where the execution is: close()
 * of a file that is not open.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "penjing.h"

typedef int run_function(const void *const *, void *const *, void *, size_t);
typedef const penjing_model *describe_function(void);

typedef int set_threads_function(int);
/* Models for GPUs: a session owns the arena. */
typedef int create_function(const void *, void **);
typedef int run_session_function(void *, const void *const *, void *const *);

enum { MARK_BEGIN = 1, MARK_END = 2, MARK_STEP = 16, MARKER = 0x50454e4a, MODEL_REFUSED = 16 };
enum { LIBRARY = 1, NAME, INPUTS, OUTPUTS, WEIGHTS, TIMES, RUNS, THREADS, ARGUMENTS };
enum { MOST_STEPS = 1 << 20 };

static struct {
    int call;
    int64_t nanoseconds;
} steps[MOST_STEPS];
static int step_count;
static int measure_time;

static void mark(long position)
{
    syscall(SYS_close, (long)MARKER, position);
}

void penjing_step(int call); /* called by models built for measuring */
void penjing_step(int call)
{
    struct timespec now;
    if (!measure_time) {
        mark(MARK_STEP + call);
    } else if (step_count < MOST_STEPS) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        steps[step_count].call = call;
        steps[step_count++].nanoseconds = now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
    }
}

static void fail(const char *what, const char *where)
{
    fprintf(stderr, "driver: %s %s\n", what, where);
    exit(2);
}

/* 64-byte aligned memory; at least one byte, so that it is never NULL. */
static void *allocate(size_t bytes)
{
    void *memory = NULL;
    if (posix_memalign(&memory, 64, bytes ? bytes : 1) != 0)
        fail("cannot allocate", "a buffer");
    return memory;
}

static void *read_block(FILE *file, size_t bytes, const char *path)
{
    void *memory = allocate(bytes);
    if (bytes != 0 && fread(memory, 1, bytes, file) != bytes)
        fail("cannot read", path);
    return memory;
}

static FILE *open_file(const char *path, const char *mode)
{
    FILE *file = fopen(path, mode);
    if (file == NULL)
        fail("cannot open", path);
    return file;
}

/* What the model exports; it has set_threads only if it was compiled for several. */
typedef struct {
    run_function *run;
    describe_function *describe;
    set_threads_function *set_threads;
    create_function *create; /* NULL unless it is for a GPU, whose NAME_run takes a session */
    run_session_function *run_session;
} model;

#ifdef MODEL
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
run_function JOIN(MODEL, _run);
describe_function JOIN(MODEL, _describe);
__attribute__((weak)) set_threads_function JOIN(MODEL, _set_threads);

static model find_model(char **argv)
{
    (void)argv;
    return (model){JOIN(MODEL, _run), JOIN(MODEL, _describe), JOIN(MODEL, _set_threads), NULL,
                   NULL};
}
#else
static void *find_symbol(void *library, const char *name, const char *suffix)
{
    char symbol[256];
    snprintf(symbol, sizeof symbol, "%s_%s", name, suffix);
    return dlsym(library, symbol);
}

static model find_model(char **argv)
{
    model m;
    void *library = dlopen(argv[LIBRARY], RTLD_NOW);
    if (library == NULL)
        fail("cannot load", dlerror());
    *(void **)&m.run = find_symbol(library, argv[NAME], "run");
    *(void **)&m.run_session = find_symbol(library, argv[NAME], "run");
    *(void **)&m.describe = find_symbol(library, argv[NAME], "describe");
    *(void **)&m.set_threads = find_symbol(library, argv[NAME], "set_threads");
    *(void **)&m.create = find_symbol(library, argv[NAME], "create");
    if (m.run == NULL || m.describe == NULL)
        fail("no such model in the library:", argv[NAME]);
    return m;
}
#endif

static void write_outputs(const penjing_model *facts, void **outputs, const char *path)
{
    FILE *file = open_file(path, "wb");
    for (int i = 0; i < facts->output_count; i++)
        if (fwrite(outputs[i], 1, facts->outputs[i].bytes, file) != facts->outputs[i].bytes)
            fail("cannot write", path);
    if (fclose(file) != 0)
        fail("cannot write", path);
}

static void write_times(const char *path)
{
    FILE *file = open_file(path, "w");
    for (int i = 0; i < step_count; i++)
        fprintf(file, "step %d %lld\n", steps[i].call, (long long)steps[i].nanoseconds);
    if (fclose(file) != 0)
        fail("cannot write", path);
}

int main(int argc, char **argv)
{
    if (argc != ARGUMENTS)
        fail("usage:", "driver LIBRARY NAME INPUTS OUTPUTS WEIGHTS TIMES RUNS THREADS");
    model m = find_model(argv);
    const penjing_model *facts = m.describe();
    int status;
    measure_time = strcmp(argv[TIMES], "-") != 0;

    const void **inputs = allocate(sizeof(void *) * (size_t)(facts->input_count + 1));
    void **outputs = allocate(sizeof(void *) * (size_t)facts->output_count);
    FILE *file = open_file(argv[INPUTS], "rb");
    for (int i = 0; i < facts->input_count; i++)
        inputs[i] = read_block(file, facts->inputs[i].bytes, argv[INPUTS]);
    if (facts->weights_bytes != 0) {
        file = open_file(argv[WEIGHTS], "rb");
        inputs[facts->input_count] = read_block(file, facts->weights_bytes, argv[WEIGHTS]);
    }
    for (int i = 0; i < facts->output_count; i++)
        outputs[i] = allocate(facts->outputs[i].bytes);
    void *arena = allocate(facts->arena_bytes);
    if (m.set_threads != NULL)
        m.set_threads(atoi(argv[THREADS]));

    void *session = NULL;
    if (m.create != NULL && (status = m.create(NULL, &session)) != PENJING_OK)
        return MODEL_REFUSED + status;

    mark(MARK_BEGIN); /* an empty run: what the marks themselves cost */
    mark(MARK_END);
    for (int n = atoi(argv[RUNS]); n > 0; n--) {
        mark(MARK_BEGIN);
        if (m.create != NULL)
            status = m.run_session(session, inputs, outputs);
        else
            status = m.run(inputs, outputs, arena, facts->arena_bytes);
        mark(MARK_END);
        if (status != PENJING_OK)
            return MODEL_REFUSED + status;
    }
    write_outputs(facts, outputs, argv[OUTPUTS]);
    if (measure_time)
        write_times(argv[TIMES]);
    return 0;
}
