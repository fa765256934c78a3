/* Several callers of one thread pool while its size changes; built with ThreadSanitizer. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>

typedef struct {
    void *sync;
    int32_t tasks;
} environment;
typedef int (*task_function)(int, environment *, void *);

extern int (*const model_parallel_launch)(task_function, void *, int);
int model_set_threads(int);

enum { CALLERS = 3, LAUNCHES = 3000, ELEMENTS = 500 };

static int add_one(int task, environment *env, void *data)
{
    int *values = data;
    int chunk = (ELEMENTS + env->tasks - 1) / env->tasks;
    for (int i = task * chunk; i < (task + 1) * chunk && i < ELEMENTS; i++)
        values[i]++;
    return 0;
}

static int fail(int task, environment *env, void *data)
{
    (void)env, (void)data;
    return task == 0 ? 7 : 0;
}

static void *call(void *index)
{
    static int values[CALLERS][ELEMENTS];
    int *mine = values[(size_t)index];
    for (int n = 0; n < LAUNCHES; n++)
        if (model_parallel_launch(add_one, mine, n % 3 ? 0 : n % 17 + 1) != 0)
            return (void *)1;
    for (int i = 0; i < ELEMENTS; i++)
        if (mine[i] != LAUNCHES)
            return (void *)2;
    return model_parallel_launch(fail, NULL, 0) == 7 ? NULL : (void *)3;
}

int main(void)
{
    pthread_t handles[CALLERS];
    if (model_set_threads(4) != 4)
        return 10;
    for (size_t t = 0; t < CALLERS; t++)
        pthread_create(&handles[t], NULL, call, (void *)t);
    for (int size = 1; size < 60; size++)
        model_set_threads(size % 5);
    int failed = 0;
    for (int t = 0; t < CALLERS; t++) {
        void *result;
        pthread_join(handles[t], &result);
        failed |= result != NULL;
    }
    return failed || model_set_threads(0) != 1;
}
