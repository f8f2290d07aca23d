/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "pair.h"

#include "../must.h"
#include <pthread.h>
#include <sched.h>

struct thread {
    pthread_t id;
    unsigned cpu;
    pair_work *work;
    pair_beside *beside; /* in place of work */
    void *context;
    double ns;
};

static pthread_barrier_t start;
static bool stop; /* atomic */

static bool
run_on(unsigned cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return !sched_setaffinity(0, sizeof(set), &set);
}

bool
pair_possible(void)
{
    bool two = run_on(1);

    return run_on(0) && two;
}

static void *
run(void *argument)
{
    struct thread *thread = argument;

    must(run_on(thread->cpu) ? 0 : -ASPEN_EINVAL, "two CPUs");
    pthread_barrier_wait(&start);
    if (thread->beside)
        while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
            thread->beside(thread->context);
    else
        thread->ns = thread->work(thread->context);
    return NULL;
}

static void
run_threads(struct thread *threads, unsigned count)
{
    __atomic_store_n(&stop, false, __ATOMIC_RELAXED);
    pthread_barrier_init(&start, NULL, count);
    for (unsigned i = 0; i < count; i++) {
        threads[i].cpu = i;
        must(pthread_create(&threads[i].id, NULL, run, &threads[i])
                 ? -ASPEN_ENOMEM
                 : 0,
             "threads");
    }
    for (unsigned i = 0; i < count; i++) {
        pthread_join(threads[i].id, NULL); /* the first has work */
        __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    }
    pthread_barrier_destroy(&start);
}

double
pair_alone(pair_work *work, void *context)
{
    struct thread thread = {.work = work, .context = context};

    run_threads(&thread, 1);
    return thread.ns;
}

double
pair_both(pair_work *work, void *first, void *second)
{
    struct thread threads[2] = {{.work = work, .context = first},
                                {.work = work, .context = second}};

    run_threads(threads, 2);
    return (threads[0].ns + threads[1].ns) / 2;
}

double
pair_measured(pair_work *work, void *context, pair_beside *beside, void *other)
{
    struct thread threads[2] = {{.work = work, .context = context},
                                {.beside = beside, .context = other}};

    run_threads(threads, 2);
    return threads[0].ns;
}
