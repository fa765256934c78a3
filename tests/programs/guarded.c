/*
 * Runs a model with every buffer between two pages that may not be touched, inputs and weights in
 * pages that may not be written.
 *
 *     guarded LIBRARY NAME INPUTS OUTPUTS WEIGHTS|- end|start
 *
 * "end": buffers end where a forbidden page begins, so they have no more than the alignment that
 * the interface asks for. "start": they begin where a forbidden page ends.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "penjing.h"

typedef int run_function(const void *const *, void *const *, void *, size_t);
typedef const penjing_model *describe_function(void);

static void fail(const char *what)
{
    perror(what);
    exit(2);
}

static size_t page(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t padded(size_t bytes)
{
    return (bytes / page() + 1) * page();
}

/* `bytes` of memory with a forbidden page on both sides, close to the one that was asked for. */
static unsigned char *guarded(size_t bytes, size_t align, int at_end)
{
    size_t inside = padded(bytes);
    unsigned char *memory = mmap(NULL, inside + 2 * page(), PROT_NONE,
                                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory + page(), inside, PROT_READ | PROT_WRITE) != 0)
        fail("mmap");
    memset(memory + page(), 0xa5, inside); /* also what nobody has written */
    if (!at_end)
        return memory + page();
    return memory + page() + (inside - bytes) / align * align;
}

static void forbid_writing(unsigned char *buffer, size_t bytes)
{
    uintptr_t start = (uintptr_t)buffer / page() * page();
    uintptr_t end = ((uintptr_t)buffer + bytes + page() - 1) / page() * page();
    if (end > start && mprotect((void *)start, end - start, PROT_READ) != 0)
        fail("mprotect");
}

static unsigned char *read_guarded(FILE *file, size_t bytes, size_t align, int at_end)
{
    unsigned char *buffer = guarded(bytes, align, at_end);
    if (bytes != 0 && fread(buffer, 1, bytes, file) != bytes)
        fail("fread");
    forbid_writing(buffer, bytes);
    return buffer;
}

static void *find(void *library, const char *name, const char *suffix)
{
    char symbol[256];
    snprintf(symbol, sizeof symbol, "%s_%s", name, suffix);
    void *address = dlsym(library, symbol);
    if (address == NULL)
        fail(symbol);
    return address;
}

int main(int argc, char **argv)
{
    (void)argc;
    int at_end = strcmp(argv[6], "end") == 0;
    void *library = dlopen(argv[1], RTLD_NOW);
    if (library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return 2;
    }
    run_function *run;
    describe_function *describe;
    *(void **)&run = find(library, argv[2], "run");
    *(void **)&describe = find(library, argv[2], "describe");
    const penjing_model *m = describe();

    const void *inputs[64];
    void *outputs[64];
    FILE *file = fopen(argv[3], "rb");
    if (file == NULL || m->input_count > 63 || m->output_count > 64)
        fail(argv[3]);
    for (int i = 0; i < m->input_count; i++)
        inputs[i] = read_guarded(file, m->inputs[i].bytes, m->inputs[i].element_bytes, at_end);
    if (m->weights_bytes != 0) {
        FILE *weights = fopen(argv[5], "rb");
        if (weights == NULL)
            fail(argv[5]);
        inputs[m->input_count] = read_guarded(weights, m->weights_bytes, 64, at_end);
    }
    for (int i = 0; i < m->output_count; i++)
        outputs[i] = guarded(m->outputs[i].bytes, m->outputs[i].element_bytes, at_end);
    unsigned char *arena = guarded(m->arena_bytes, m->arena_align, at_end);

    int status = 0;
    for (int n = 0; n < 2 && status == 0; n++)
        status = run(inputs, outputs, arena, m->arena_bytes);
    if (status != 0)
        return 16 + status;
    file = fopen(argv[4], "wb");
    if (file == NULL)
        fail(argv[4]);
    for (int i = 0; i < m->output_count; i++)
        fwrite(outputs[i], 1, m->outputs[i].bytes, file);
    return fclose(file) != 0;
}
