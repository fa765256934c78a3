/* A caller does the first tasks of a loop and its worker the last ones. */
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>

typedef int (*task_function)(int, void *, void *);

extern int (*const model_parallel_launch)(task_function, void *, int);
int model_set_threads(int);

static atomic_int begun, order[3];

/* Task 0 lasts until the other two have begun: whoever does it, another thread does those. */
static int note(int task, void *env, void *data)
{
    (void)env, (void)data;
    atomic_store(&order[atomic_fetch_add(&begun, 1)], task);
    while (task == 0 && atomic_load(&begun) < 3)
        sched_yield();
    return 0;
}

int main(void)
{
    if (model_set_threads(2) != 2)
        return 10;
    for (int n = 0; n < 200; n++) {
        atomic_store(&begun, 0);
        if (model_parallel_launch(note, NULL, 3) != 0)
            return 1;
        int others[2], found = 0;
        for (int i = 0; i < 3; i++)
            if (order[i] != 0)
                others[found++] = order[i];
        if (found != 2 || others[0] != 2 || others[1] != 1)
            return 2;
    }
    return model_set_threads(0) != 1;
}
