/* SPDX-License-Identifier: MIT */
/*
 * contract_threads.h - the programs of contract.h in threads of the host, a few
 * hundred times each.
 */
#ifndef ASPEN_TESTS_CONTRACT_THREADS_H
#define ASPEN_TESTS_CONTRACT_THREADS_H

#define CONTRACT_BARRIER_IN_TASKS
#include "contract.h"

#include <pthread.h>
#include <sched.h>

#ifndef CONTRACT_ROUNDS
#define CONTRACT_ROUNDS 400u
#endif

struct contract_threads {
    const struct contract_program *program;
    pthread_barrier_t begin, end;
    uint32_t next; /* atomic: which task a thread is */
};

static void
contract_fail(const char *why)
{
    fprintf(stderr, "%s\n", why);
    abort();
}

static void
contract_between(const void *word, bool is_write)
{
    (void)word;
    (void)is_write;
    sched_yield();
}

/* The first thread is the one that begins and ends a round. */
static void *
contract_thread(void *argument)
{
    struct contract_threads *threads = argument;
    const struct contract_program *program = threads->program;
    unsigned i = __atomic_fetch_add(&threads->next, 1, __ATOMIC_RELAXED);

    for (unsigned round = 0; round < unit_rounds(CONTRACT_ROUNDS); round++) {
        if (i == 0)
            program->setup(NULL);
        pthread_barrier_wait(&threads->begin);
        program->task[i](NULL);
        pthread_barrier_wait(&threads->end);
        if (i == 0)
            program->check(NULL);
    }
    return NULL;
}

static void
contract_run(const struct contract_program *program)
{
    struct contract_threads threads = {.program = program};

    printf("%s\n", program->name);
    pthread_barrier_init(&threads.begin, NULL, program->tasks);
    pthread_barrier_init(&threads.end, NULL, program->tasks);
    unit_run_threads(program->tasks, contract_thread, &threads);
    pthread_barrier_destroy(&threads.begin);
    pthread_barrier_destroy(&threads.end);
}

#endif
