/* What the tests tell the fake library, and what it tells them. */
#include "fake.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int calls, alive;
static const char *misuse;
int fake_squares, fake_source_builds_made;

void lock_all(void)
{
    pthread_mutex_lock(&lock);
}

void unlock_all(void)
{
    pthread_mutex_unlock(&lock);
}

EXPORT void fake_reset(void);
EXPORT int fake_calls(void);
EXPORT int fake_alive(void);
EXPORT int fake_source_builds(void);
EXPORT const char *fake_misuse(void);

EXPORT void fake_reset(void)
{
    calls = fake_source_builds_made = fake_squares = 0;
    misuse = NULL;
}

EXPORT int fake_calls(void)
{
    return calls;
}

EXPORT int fake_alive(void)
{
    return alive;
}

EXPORT int fake_source_builds(void)
{
    return fake_source_builds_made;
}

EXPORT const char *fake_misuse(void)
{
    return misuse == NULL ? "" : misuse;
}

void blame(const char *what)
{
    if (misuse == NULL)
        misuse = what;
}

/* The rest of FAKE_OPENCL after a word, or NULL if it is not there. */
const char *told(const char *word)
{
    const char *text = getenv("FAKE_OPENCL");
    const char *at = text == NULL ? NULL : strstr(text, word);
    return at == NULL ? NULL : at + strlen(word);
}

/* Whether this call has to fail: `fail=N` counts all, `NAME=N` those of a function. */
int fails(const char *function, int *own_calls)
{
    lock_all();
    int of_all = ++calls, own = ++*own_calls;
    unlock_all();
    char word[64];
    snprintf(word, sizeof word, "%s=", function);
    const char *all = told("fail="), *one = told(word);
    return (all != NULL && atoi(all) == of_all) || (one != NULL && atoi(one) <= own);
}

void *create(size_t bytes)
{
    lock_all();
    alive++;
    unlock_all();
    return calloc(1, bytes);
}

cl_int destroy(void *object)
{
    lock_all();
    alive--;
    unlock_all();
    free(object);
    return 0;
}

#ifdef PIXEL
static int is_enabled;

EXPORT void enableOpenCL(void);
EXPORT void *loadOpenCLPointer(const char *name);

EXPORT void enableOpenCL(void)
{
    is_enabled = 1;
}

#define RETURN_IF_NAMED(result, function, parameters)                                              \
    if (is_enabled && strcmp(name, #function) == 0)                                                \
        return (void *)(uintptr_t)function;

EXPORT void *loadOpenCLPointer(const char *name)
{
    OPENCL_FUNCTIONS(RETURN_IF_NAMED)
    return NULL;
}
#endif
