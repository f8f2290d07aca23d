/* SPDX-License-Identifier: MIT */
/*
 * Threads write to pages while others give advice about them: DONTNEED, FREE,
 * guards that come and go, forks. A byte is what its thread wrote last or,
 * when the page went meanwhile, 0; never another's. Nothing is left over.
 */
#define _GNU_SOURCE
#include "helper.h"

#include <aspen_posix.h>
#include <pthread.h>
#include <sched.h>

#define WRITERS 3
#define THREADS (WRITERS + 2)
#define PAGES   12u
#define ROUNDS  5000
#define BASE    (16 * MIB)

struct shared {
    struct helper helper;
    struct aspen_mm *mm;
    pthread_rwlock_t tlb; /* read: an access is under way */
    pthread_barrier_t start;
    unsigned advisers; /* still at work; atomic */
};

struct task {
    struct shared *shared;
    unsigned number;
    pthread_t thread;
};

/* As hardware: the flush ends when no processor uses an old translation. */
static void
wait_for_accesses(void *context, const struct aspen_tlb_flush *flush)
{
    struct shared *s = context;

    (void)flush;
    pthread_rwlock_wrlock(&s->tlb);
    pthread_rwlock_unlock(&s->tlb);
}

/* One access by a processor: 0, or the error of its fault. */
static int
access_byte(struct shared *s, uint64_t address, unsigned access, uint8_t *byte)
{
    for (;;) {
        uint32_t frame = 0;
        pthread_rwlock_rdlock(&s->tlb);
        int missing = aspen_translate(s->mm, address, access, &frame);
        if (!missing && frame % 4 == 0) /* a slow processor */
            sched_yield();
        if (!missing) {
            uint8_t *at =
                (uint8_t *)s->helper.direct_map + frame * PAGE + address % PAGE;
            if (access == ASPEN_ACCESS_WRITE)
                *at = *byte;
            else
                *byte = *at;
        }
        pthread_rwlock_unlock(&s->tlb);
        if (!missing)
            return 0;
        int error = aspen_fault(s->mm, address, access);
        if (error)
            return error;
    }
}

/* The byte is what was written last, or the page went: then it stays 0. */
static int
check_byte(struct shared *s, uint64_t address, uint8_t *last)
{
    uint8_t now;

    int error = access_byte(s, address, ASPEN_ACCESS_READ, &now);
    if (error)
        return error;
    if (now != *last && now != 0)
        fail_msg("%u instead of %u", now, *last);
    *last = now;
    return 0;
}

static void *
write_pages(void *argument)
{
    struct task *task = argument;
    struct shared *s = task->shared;
    uint64_t random = task->number;
    uint8_t last[PAGES] = {0};

    pthread_barrier_wait(&s->start);
    for (unsigned i = 0; __atomic_load_n(&s->advisers, __ATOMIC_RELAXED); i++) {
        uint64_t page = unit_random(&random) % PAGES;
        uint64_t address = BASE + page * PAGE + task->number;
        uint8_t value = (uint8_t)(1 + i % 250);
        int error = check_byte(s, address, &last[page]);
        if (!error)
            error = access_byte(s, address, ASPEN_ACCESS_WRITE, &value);
        if (error)
            assert_int_equal(error, -ASPEN_EFAULT); /* a guard */
        else
            last[page] = value;
    }
    return NULL;
}

static void
fork_and_drop(struct shared *s)
{
    struct aspen_mm *child;

    assert_int_equal(aspen_fork(s->mm, &child), 0);
    aspen_mm_put(child);
}

static void *
give_advice(void *argument)
{
    static const enum aspen_advice advices[] = {
        ASPEN_MADV_DONTNEED,      ASPEN_MADV_FREE,    ASPEN_MADV_GUARD_INSTALL,
        ASPEN_MADV_GUARD_REMOVE,  ASPEN_MADV_PAGEOUT, ASPEN_MADV_COLD,
        ASPEN_MADV_POPULATE_READ, ASPEN_MADV_DONTDUMP};
    struct task *task = argument;
    struct shared *s = task->shared;
    uint64_t random = task->number;

    pthread_barrier_wait(&s->start);
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t r = unit_random(&random);
        uint64_t first = r / 8 % PAGES;
        uint64_t pages = 1 + r / 1024 % (PAGES - first);
        int error = aspen_madvise(s->mm, BASE + first * PAGE, pages * PAGE,
                                  advices[r % 8]);
        if (error) /* populate met a guard */
            assert_int_equal(error, -ASPEN_EFAULT);
        if (i % 16 == 0)
            fork_and_drop(s);
        sched_yield(); /* for the writers */
    }
    __atomic_fetch_sub(&s->advisers, 1, __ATOMIC_RELAXED);
    return NULL;
}

static void
test_threads(void **state)
{
    static struct shared s;
    struct aspen_config config;
    pthread_rwlockattr_t fair; /* flushes are not kept waiting */
    struct task tasks[THREADS];
    (void)state;

    aspen_config_init(&config);
    config.semantics = ASPEN_SEMANTICS_6_18;
    helper_create(&s.helper, &config);
    s.mm = helper_mm(&s.helper);
    helper_map(s.mm, BASE, PAGES, RW);
    pthread_rwlockattr_init(&fair);
    pthread_rwlockattr_setkind_np(&fair,
                                  PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&s.tlb, &fair);
    pthread_barrier_init(&s.start, NULL, THREADS);
    s.advisers = THREADS - WRITERS;
    aspen_posix_observe_tlb(wait_for_accesses, &s);
    for (unsigned i = 0; i < THREADS; i++) {
        tasks[i] = (struct task){.shared = &s, .number = i};
        assert_int_equal(pthread_create(&tasks[i].thread, NULL,
                                        i < WRITERS ? write_pages : give_advice,
                                        &tasks[i]),
                         0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(tasks[i].thread, NULL);
    aspen_posix_observe_tlb(NULL, NULL);
    helper_assert_valid(&s.helper);
    pthread_barrier_destroy(&s.start);
    pthread_rwlock_destroy(&s.tlb);
    aspen_mm_put(s.mm);
    helper_destroy(&s.helper);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
