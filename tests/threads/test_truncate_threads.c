/* SPDX-License-Identifier: MIT */
/*
 * Threads fault in the pages of a file, shared and private, while others make
 * it shorter and longer, punch it, write it back and fork. What they find
 * while they run is anybody's guess; that all of it is whole afterwards, and
 * that nothing is found beyond the end, is not.
 */
#define _GNU_SOURCE
#include "helper.h"

#include "base/atomic.h"
#include <pthread.h>

#define FAULTERS 2
#define THREADS  (FAULTERS + 3)
#define PAGES    16u
#define ROUNDS   12
#define FAULTS   20000
#define CHANGES  1000

struct shared {
    struct helper helper;
    struct aspen_mm *mm;
    struct aspen_object *file;
    uint64_t areas[2]; /* shared, private */
    pthread_barrier_t start;
    uint64_t round;
    uint64_t beyond; /* faults that met the end; atomic */
};

struct task {
    struct shared *shared;
    unsigned number;
    void (*run)(struct task *task, uint64_t random);
    pthread_t thread;
};

/* ---- The pager --------------------------------------------------------- */

static int
read_ahead(void *context, uint64_t offset_bytes, void *const pages[],
           unsigned count)
{
    (void)context;
    for (unsigned i = 0; i < count; i++)
        memset(pages[i], (int)(offset_bytes / PAGE + i), PAGE);
    return 0;
}

static int
read_page(void *context, uint64_t offset_bytes, void *page)
{
    return read_ahead(context, offset_bytes, &page, 1);
}

static int
write_pages(void *context, uint64_t offset_bytes, const void *const pages[],
            uint64_t bytes)
{
    const struct shared *shared = context;
    uint64_t end = offset_bytes + bytes;
    (void)pages;

    return end <= aspen_object_size(shared->file) ? 0 : -ASPEN_EFBIG;
}

static int
mkwrite(void *context, uint64_t offset_bytes)
{
    (void)context;
    (void)offset_bytes;
    return 0;
}

static int
punch(void *context, uint64_t offset_bytes, uint64_t length_bytes)
{
    (void)context;
    (void)offset_bytes;
    (void)length_bytes;
    return 0;
}

static const struct aspen_pager_ops ops = {
    .read = read_page,
    .readahead = read_ahead,
    .write = write_pages,
    .mkwrite = mkwrite,
    .punch = punch,
};

/* ---- Tasks ------------------------------------------------------------- */

static void
run_faults(struct task *task, uint64_t random)
{
    struct shared *shared = task->shared;

    for (unsigned i = 0; i < FAULTS; i++) {
        uint64_t r = unit_random(&random);
        int error =
            aspen_fault(shared->mm, shared->areas[r % 2] + r / 2 % PAGES * PAGE,
                        r / 64 % 2 ? ASPEN_ACCESS_READ : ASPEN_ACCESS_WRITE);
        assert_true(error == 0 || error == -ASPEN_EFBIG);
        if (error)
            aspen_fetch_add(&shared->beyond, 1);
    }
}

/* Whole pages: what is zeroed in part may be read at the same time. */
static void
run_changes(struct task *task, uint64_t random)
{
    struct shared *shared = task->shared;

    for (unsigned i = 0; i < CHANGES; i++) {
        uint64_t r = unit_random(&random);
        uint64_t page = r / 4 % PAGES;
        int error = r % 2 ? aspen_object_resize(shared->file, page * PAGE)
                          : aspen_object_punch(shared->file, page * PAGE,
                                               (1 + r / 64 % 4) * PAGE);
        assert_int_equal(error, 0);
    }
}

static void
run_sync(struct task *task, uint64_t random)
{
    struct shared *shared = task->shared;

    (void)random;
    for (unsigned i = 0; i < CHANGES; i++)
        assert_int_equal(aspen_msync(shared->mm, shared->areas[0], PAGES * PAGE,
                                     ASPEN_MS_SYNC),
                         0);
}

static void
run_forks(struct task *task, uint64_t random)
{
    struct shared *shared = task->shared;
    struct aspen_mm *child;

    (void)random;
    for (unsigned i = 0; i < CHANGES / 4; i++) {
        assert_int_equal(aspen_fork(shared->mm, &child), 0);
        aspen_mm_put(child);
    }
}

static void *
run_task(void *argument)
{
    struct task *task = argument;

    pthread_barrier_wait(&task->shared->start);
    task->run(task, task->shared->round * 100 + task->number);
    return NULL;
}

/* ---- The whole --------------------------------------------------------- */

static void
check(struct shared *shared)
{
    uint64_t end = aspen_object_size(shared->file);
    uint32_t frame;

    helper_assert_valid(&shared->helper);
    for (unsigned area = 0; area < 2; area++)
        for (uint64_t at = end; at < PAGES * PAGE; at += PAGE)
            assert_int_equal(aspen_translate(shared->mm,
                                             shared->areas[area] + at,
                                             ASPEN_ACCESS_READ, &frame),
                             -ASPEN_EFAULT);
}

static void
run_round(struct shared *shared)
{
    void (*const runs[THREADS])(struct task *, uint64_t) = {
        run_faults, run_faults, run_changes, run_sync, run_forks};
    struct task tasks[THREADS];

    for (unsigned i = 0; i < THREADS; i++) {
        tasks[i] = (struct task){.shared = shared, .number = i, .run = runs[i]};
        assert_int_equal(
            pthread_create(&tasks[i].thread, NULL, run_task, &tasks[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(tasks[i].thread, NULL), 0);
    check(shared);
}

static void
test_truncate_threads(void **state)
{
    struct shared shared = {.round = 0};
    (void)state;

    helper_create(&shared.helper, NULL);
    shared.mm = helper_mm(&shared.helper);
    shared.file =
        helper_object(&shared.helper, ASPEN_OBJECT_FILE, PAGES, &ops, &shared);
    shared.areas[0] = helper_map_object(shared.mm, 0, PAGES,
                                        RW | ASPEN_VM_SHARED, shared.file, 0);
    shared.areas[1] =
        helper_map_object(shared.mm, 0, PAGES, RW, shared.file, 0);
    assert_int_equal(pthread_barrier_init(&shared.start, NULL, THREADS), 0);
    for (shared.round = 1; shared.round <= ROUNDS; shared.round++)
        run_round(&shared);
    pthread_barrier_destroy(&shared.start);
    assert_true(shared.beyond > 0);
    aspen_mm_put(shared.mm);
    aspen_object_put(shared.file);
    helper_destroy(&shared.helper);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_truncate_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
