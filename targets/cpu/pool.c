/*
 * The threads of one compiled model. Compiled once per model with -DMODEL=its name.
 *
 * Kernels call `MODEL_parallel_launch` (the name penjing gives to TVM's weak launch pointer), which
 * splits one loop into tasks. All state of a launch is one 64-bit ticket,
 *
 *     epoch : 32 | first : 16 | end : 16
 *
 * where [first, end) are the tasks that nobody has claimed yet. The caller claims the first one by
 * compare-and-swap, workers the last one: from loop to loop each finds in its cache what it wrote
 * itself. The caller then waits only for tasks that a worker has really begun, never for a worker
 * to wake up: on a busy machine a launch degrades to a plain loop. Both bounds have to be in the
 * ticket: a late worker that read one elsewhere could claim a task of the next launch by the bound
 * of the one before.
 *
 * There is one launch at a time. A second caller does not wait, it runs its loop alone.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define EXPORT __attribute__((visibility("default")))
#define HIDDEN __attribute__((visibility("hidden")))

#if defined(__x86_64__)
#define RELAX() __builtin_ia32_pause()
#else
#define RELAX() __asm__ volatile("yield")
#endif

enum {
    MOST_WORKERS = 63,
    TASKS_PER_THREAD = 8, /* smaller tasks even out big and little cores */
    MOST_TASKS = 65535,
    SPINS = 2000 /* before a worker sleeps: longer than the gap between two kernels */
};

typedef struct {
    void *sync;
    int32_t tasks;
} environment;

typedef int (*task_function)(int task, environment *env, void *data);
typedef int (*launch_function)(task_function run, void *data, int tasks);

int JOIN(MODEL, _set_threads)(int threads);
extern HIDDEN const launch_function JOIN(MODEL, _parallel_launch);

static _Atomic uint64_t ticket;
static _Atomic uint32_t finished; /* tasks of this epoch */
static _Atomic(task_function) job;
static _Atomic(void *) job_data;
static _Atomic int32_t job_tasks;
static _Atomic int failure;

static atomic_int workers;  /* running ones */
static atomic_int stopping; /* workers leave at the next epoch */
static atomic_int sleepers;
static pthread_t handles[MOST_WORKERS];
static pthread_mutex_t launch_lock = PTHREAD_MUTEX_INITIALIZER; /* one launch or resize */
static pthread_mutex_t sleep_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;

static uint32_t epoch_of(uint64_t t)
{
    return (uint32_t)(t >> 32);
}

enum end { FIRST, LAST };

/* Run tasks of the current epoch, from one end, until none is left to claim. */
static void work(enum end from)
{
    for (;;) {
        uint64_t t = atomic_load_explicit(&ticket, memory_order_acquire);
        uint32_t first = (uint32_t)(t >> 16) & 0xffff, end = (uint32_t)t & 0xffff;
        task_function run = atomic_load_explicit(&job, memory_order_relaxed);
        void *data = atomic_load_explicit(&job_data, memory_order_relaxed);
        environment env = {NULL, atomic_load_explicit(&job_tasks, memory_order_relaxed)};
        if (first >= end)
            return;
        /* Fails if a new epoch began, so what was read of the job belongs to the claimed task. */
        uint64_t claimed = from == FIRST ? t + (1 << 16) : t - 1;
        if (!atomic_compare_exchange_weak_explicit(&ticket, &t, claimed, memory_order_acq_rel,
                                                   memory_order_relaxed))
            continue;
        int status = run((int)(from == FIRST ? first : end - 1), &env, data);
        if (status != 0)
            atomic_store_explicit(&failure, status, memory_order_relaxed);
        atomic_fetch_add_explicit(&finished, 1, memory_order_release);
    }
}

/* Begin a new epoch. The stores of the job come before; the ticket publishes them. */
static void publish(uint32_t tasks)
{
    uint64_t epoch = (uint64_t)epoch_of(atomic_load(&ticket)) + 1;
    atomic_store(&ticket, epoch << 32 | tasks);
    if (atomic_load(&sleepers) != 0) {
        pthread_mutex_lock(&sleep_lock);
        pthread_cond_broadcast(&wake);
        pthread_mutex_unlock(&sleep_lock);
    }
}

static void wait_for_epoch_after(uint32_t seen)
{
    for (int spin = 0; spin < SPINS; spin++) {
        if (epoch_of(atomic_load_explicit(&ticket, memory_order_acquire)) != seen)
            return;
        RELAX();
    }
    pthread_mutex_lock(&sleep_lock);
    atomic_fetch_add(&sleepers, 1); /* seen by publish, or publish's epoch is seen here */
    while (epoch_of(atomic_load(&ticket)) == seen)
        pthread_cond_wait(&wake, &sleep_lock);
    atomic_fetch_sub(&sleepers, 1);
    pthread_mutex_unlock(&sleep_lock);
}

static void *worker(void *first_epoch)
{
    uint32_t seen = (uint32_t)(uintptr_t)first_epoch;
    for (;;) {
        wait_for_epoch_after(seen);
        seen = epoch_of(atomic_load(&ticket));
        if (atomic_load(&stopping))
            return NULL;
        work(LAST);
    }
}

static int launch_alone(task_function run, void *data)
{
    environment env = {NULL, 1};
    return run(0, &env, data);
}

static int launch(task_function run, void *data, int wanted)
{
    if (atomic_load_explicit(&workers, memory_order_relaxed) == 0)
        return launch_alone(run, data);
    if (pthread_mutex_trylock(&launch_lock) != 0)
        return launch_alone(run, data);
    int threads = atomic_load(&workers) + 1;
    int tasks = wanted > 0 ? wanted : TASKS_PER_THREAD * threads;
    if (tasks > MOST_TASKS)
        tasks = MOST_TASKS;
    atomic_store_explicit(&failure, 0, memory_order_relaxed);
    atomic_store_explicit(&finished, 0, memory_order_relaxed);
    atomic_store_explicit(&job, run, memory_order_relaxed);
    atomic_store_explicit(&job_data, data, memory_order_relaxed);
    atomic_store_explicit(&job_tasks, tasks, memory_order_relaxed);
    publish((uint32_t)tasks);
    work(FIRST);
    for (int spin = 0; atomic_load_explicit(&finished, memory_order_acquire) < (uint32_t)tasks; spin++)
        if (spin < SPINS)
            RELAX();
        else
            sched_yield();
    int status = atomic_load_explicit(&failure, memory_order_relaxed);
    pthread_mutex_unlock(&launch_lock);
    return status;
}

const launch_function JOIN(MODEL, _parallel_launch) = launch;

static void stop_workers(void)
{
    int running = atomic_load(&workers);
    atomic_store(&stopping, 1);
    publish(0);
    for (int i = 0; i < running; i++)
        pthread_join(handles[i], NULL);
    atomic_store(&stopping, 0);
    atomic_store(&workers, 0);
}

EXPORT int JOIN(MODEL, _set_threads)(int threads)
{
    int wanted = threads < 1 ? 0 : threads - 1;
    if (wanted > MOST_WORKERS)
        wanted = MOST_WORKERS;
    pthread_mutex_lock(&launch_lock);
    if (wanted != atomic_load(&workers)) {
        stop_workers();
        uint32_t epoch = epoch_of(atomic_load(&ticket));
        int started = 0;
        while (started < wanted && pthread_create(&handles[started], NULL, worker,
                                                  (void *)(uintptr_t)epoch) == 0)
            started++;
        atomic_store(&workers, started);
    }
    int running = atomic_load(&workers) + 1;
    pthread_mutex_unlock(&launch_lock);
    return running;
}
