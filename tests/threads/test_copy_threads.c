/* SPDX-License-Identifier: MIT */
/*
 * Threads write to the same few pages, each to a byte of its own: the program
 * by stores, others by copies, plain and forced, and through pins, while
 * children come and go that make every page read-only again and again. Whoever
 * has written looks at once whether the program has it: a byte that went to a
 * page that the program has no more is seen, not covered by the next write.
 */
#define _GNU_SOURCE
#include "helper.h"
#include "stores.h"

#include "space/vma.h"
#include <pthread.h>
#include <sys/mman.h>

#define PAGES  2u
#define WRITES 10000u

enum area { WRITABLE, READ_ONLY, AREAS };

struct shared {
    struct helper helper;
    struct aspen_mm *mm;
    uint64_t areas[AREAS];
    pthread_barrier_t start;
    uint32_t running; /* atomic: writers */
    uint32_t lost;    /* atomic */
};

/* How a thread writes its byte. */
struct writer {
    struct shared *shared;
    enum area area;
    bool store; /* else a copy */
    unsigned flags;
    unsigned number;
    uint8_t *source;
    pthread_t thread;
};

/* A copy's source is not there: the host's page fault makes the time long
 * between finding the page and writing to it. */
static void
write_byte(const struct writer *writer, uint64_t address, uint8_t byte)
{
    uint64_t done;

    if (writer->store) {
        store(&writer->shared->helper, writer->shared->mm, address, byte);
        return;
    }
    *writer->source = byte;
    assert_int_equal(madvise(writer->source, PAGE, MADV_DONTNEED), 0);
    assert_int_equal(aspen_write_memory(writer->shared->mm, address,
                                        writer->source, 1, writer->flags,
                                        &done),
                     0);
}

static void *
write_pages(void *argument)
{
    struct writer *writer = argument;
    struct shared *shared = writer->shared;

    pthread_barrier_wait(&shared->start);
    for (unsigned i = 0; i < WRITES; i++) {
        uint64_t address = shared->areas[writer->area] + i % PAGES * PAGE +
                           64 * writer->number;
        write_byte(writer, address, (uint8_t)i);
        if (load(&shared->helper, shared->mm, address) != (uint8_t)i)
            aspen_fetch_add_relaxed(&shared->lost, 1);
    }
    aspen_fetch_sub(&shared->running, 1);
    return NULL;
}

/* A pin to read finds the page alone, or makes it so. */
static void *
pin_pages(void *argument)
{
    struct writer *writer = argument;
    struct shared *shared = writer->shared;
    uint64_t area = shared->areas[writer->area];
    uint32_t frames[PAGES];

    pthread_barrier_wait(&shared->start);
    while (aspen_load(&shared->running)) {
        assert_int_equal(
            aspen_pin_range(shared->mm, area, PAGES * PAGE, 0, frames), 0);
        helper_unpin(shared->mm, frames, PAGES, 0);
    }
    return NULL;
}

static void *
fork_children(void *argument)
{
    struct writer *writer = argument;
    struct shared *shared = writer->shared;
    struct aspen_mm *child;

    pthread_barrier_wait(&shared->start);
    while (aspen_load(&shared->running)) {
        assert_int_equal(aspen_fork(shared->mm, &child), 0);
        aspen_mm_put(child);
    }
    return NULL;
}

static void
set_up(struct shared *shared, unsigned threads, unsigned writers)
{
    memset(shared, 0, sizeof(*shared));
    helper_create(&shared->helper, NULL);
    shared->mm = helper_mm(&shared->helper);
    for (unsigned area = 0; area < AREAS; area++) {
        shared->areas[area] =
            helper_map(shared->mm, (area + 1) * GIB, PAGES, RW);
        for (unsigned i = 0; i < PAGES; i++)
            store(&shared->helper, shared->mm, shared->areas[area] + i * PAGE,
                  0);
    }
    assert_int_equal(aspen_mprotect(shared->mm, shared->areas[READ_ONLY],
                                    PAGES * PAGE, R, ASPEN_PKEY_SAME),
                     0);
    shared->running = writers;
    assert_int_equal(pthread_barrier_init(&shared->start, NULL, threads), 0);
}

static void
test_threads(void **state)
{
    static struct shared shared;
    struct writer writers[] = {
        {.area = WRITABLE, .store = true},
        {.area = WRITABLE},
        {.area = READ_ONLY, .flags = ASPEN_MEMORY_FORCE},
        {.area = READ_ONLY, .flags = ASPEN_MEMORY_FORCE},
        {.area = READ_ONLY}, /* pins */
        {.area = READ_ONLY}, /* forks */
    };
    const unsigned count = sizeof(writers) / sizeof(writers[0]);

    (void)state;
    set_up(&shared, count, count - 2);
    for (unsigned i = 0; i < count; i++) {
        writers[i].shared = &shared;
        writers[i].number = i;
        writers[i].source = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        assert_ptr_not_equal(writers[i].source, MAP_FAILED);
        assert_int_equal(pthread_create(&writers[i].thread, NULL,
                                        i < count - 2    ? write_pages
                                        : i == count - 2 ? pin_pages
                                                         : fork_children,
                                        &writers[i]),
                         0);
    }
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(pthread_join(writers[i].thread, NULL), 0);
        munmap(writers[i].source, PAGE);
    }
    assert_int_equal(shared.lost, 0);
    helper_assert_valid(&shared.helper);
    aspen_mm_put(shared.mm);
    pthread_barrier_destroy(&shared.start);
    helper_destroy(&shared.helper);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
