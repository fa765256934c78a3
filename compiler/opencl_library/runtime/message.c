/* Messages: of a session, and of the last session_create of each thread that failed. */
#include "state.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Note what went wrong; returns `status`. */
int fail(message *message, int status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message->text, sizeof message->text, format, arguments);
    va_end(arguments);
    return status;
}

static const char *error_name(cl_int error)
{
    static const struct {
        cl_int error;
        const char *name;
    } names[] = {
        {-1, "CL_DEVICE_NOT_FOUND"},
        {-2, "CL_DEVICE_NOT_AVAILABLE"},
        {-3, "CL_COMPILER_NOT_AVAILABLE"},
        {-4, "CL_MEM_OBJECT_ALLOCATION_FAILURE"},
        {-5, "CL_OUT_OF_RESOURCES"},
        {-6, "CL_OUT_OF_HOST_MEMORY"},
        {-11, "CL_BUILD_PROGRAM_FAILURE"},
        {-14, "CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST"},
        {-42, "CL_INVALID_BINARY"},
        {-46, "CL_INVALID_KERNEL_NAME"},
        {-52, "CL_INVALID_KERNEL_ARGS"},
        {-54, "CL_INVALID_WORK_GROUP_SIZE"},
        {-61, "CL_INVALID_BUFFER_SIZE"},
        {-1001, "CL_PLATFORM_NOT_FOUND_KHR"},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].error == error)
            return names[i].name;
    return "an error";
}

/* The same for a function of OpenCL. Drivers may find out late that they lack memory, or registers
   for a group: that is PENJING_OUT_OF_MEMORY or PENJING_UNSUPPORTED, not the call's `status`. */
int fail_call(message *message, int status, const char *function, cl_int error)
{
    if (error == -4 || error == -6)
        status = PENJING_OUT_OF_MEMORY;
    if (error == -54)
        status = PENJING_UNSUPPORTED;
    return fail(message, status, "%s: %s (%d)", function, error_name(error), (int)error);
}

/* A table and not thread-local storage, which Android's loader knows from version 10 on only. With
   more threads than it has rows, the one that failed first loses its message. */
enum { ROWS = 16 };

static struct {
    uintptr_t thread; /* 0: free */
    message message;
} failures[ROWS];
static unsigned next_row;
static char failures_busy;

static unsigned find_row(uintptr_t thread)
{
    unsigned row = 0;
    while (row < ROWS && failures[row].thread != thread)
        row++;
    return row;
}

static void lock_failures(void)
{
    while (__atomic_test_and_set(&failures_busy, __ATOMIC_ACQUIRE))
        continue;
}

static void unlock_failures(void)
{
    __atomic_clear(&failures_busy, __ATOMIC_RELEASE);
}

void keep_failure(const message *message)
{
    uintptr_t thread = (uintptr_t)pthread_self();
    lock_failures();
    unsigned row = find_row(thread);
    if (row == ROWS)
        row = next_row++ % ROWS;
    failures[row].thread = thread;
    memcpy(failures[row].message.text, message->text, MESSAGE_BYTES);
    unlock_failures();
}

const char *last_failure(void)
{
    lock_failures();
    unsigned row = find_row((uintptr_t)pthread_self());
    unlock_failures();
    return row == ROWS ? "" : failures[row].message.text;
}
