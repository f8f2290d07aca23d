/* SPDX-License-Identifier: MIT */
/*
 * Threads fault in the same pages while others map, unmap and fork next to
 * them, copy bytes in, and pin pages to write to their frames. Each keeps a
 * count in bytes of its own; none may be lost, and nothing may be left over.
 */
#define _GNU_SOURCE
#include "helper.h"
#include "stores.h"

#include "space/vma.h"
#include <pthread.h>

#define WRITERS 4
#define DEVICE  WRITERS /* writes to pinned frames */
#define THREADS (WRITERS + 2)
#define PAGES   24u
#define ROUNDS  100
#define WRITES  1500

struct shared {
    struct helper helper;
    struct aspen_mm *mm;
    uint64_t areas[3]; /* anonymous, private file, shared memory */
    pthread_barrier_t start;
    uint64_t beside; /* mapped and unmapped all the time */
    uint8_t last[WRITERS + 1][3][PAGES];
};

struct writer {
    struct shared *shared;
    unsigned number; /* DEVICE + 1: the one that disturbs */
    pthread_t thread;
};

/* A store by somebody outside. */
static void
write_memory(struct shared *shared, uint64_t address, uint8_t value)
{
    uint64_t done;
    assert_int_equal(
        aspen_write_memory(shared->mm, address, &value, 1, 0, &done), 0);
}

static void *
write_pages(void *argument)
{
    struct writer *writer = argument;
    struct shared *shared = writer->shared;
    uint64_t random = writer->number;

    pthread_barrier_wait(&shared->start);
    for (unsigned i = 0; i < WRITES; i++) {
        uint64_t r = unit_random(&random);
        unsigned area = (unsigned)(r % 3);
        unsigned page = (unsigned)(r / 3 % PAGES);
        uint64_t address =
            shared->areas[area] + page * PAGE + 64 * writer->number;
        uint8_t value = ++shared->last[writer->number][area][page];
        if (writer->number % 2)
            write_memory(shared, address, value);
        else
            store(&shared->helper, shared->mm, address, value);
    }
    return NULL;
}

/* Two pages at a time, pinned over many writes of the others. (The lock is for
 * fork, which copies a pinned page while a real device may write to it.) */
static void *
write_pinned(void *argument)
{
    struct writer *writer = argument;
    struct shared *shared = writer->shared;
    struct aspen_mm *mm = shared->mm;
    uint64_t random = DEVICE;
    uint32_t frames[2];

    pthread_barrier_wait(&shared->start);
    for (unsigned i = 0; i < WRITES / 10; i++) {
        uint64_t r = unit_random(&random);
        unsigned area = (unsigned)(r % 3);
        unsigned page = (unsigned)(r / 3 % (PAGES - 1));
        assert_int_equal(aspen_pin_range(mm, shared->areas[area] + page * PAGE,
                                         2 * PAGE, ASPEN_PIN_WRITE, frames),
                         0);
        for (unsigned j = 0; j < 20; j++) {
            uint8_t *bytes =
                (uint8_t *)shared->helper.direct_map + frames[j % 2] * PAGE;
            aspen_read_lock(&mm->mmap_lock, ASPEN_LOCK_MM);
            bytes[64 * DEVICE] = ++shared->last[DEVICE][area][page + j % 2];
            aspen_read_unlock(&mm->mmap_lock);
        }
        helper_unpin(mm, frames, 2, ASPEN_UNPIN_DIRTY);
    }
    return NULL;
}

/* Neighbours that merge and split, and children that write-protect. */
static void *
disturb(void *argument)
{
    struct writer *writer = argument;
    struct shared *shared = writer->shared;
    struct aspen_mm *child;

    pthread_barrier_wait(&shared->start);
    for (unsigned i = 0; i < WRITES / 20; i++) {
        helper_map(shared->mm, shared->beside, 4, RW);
        assert_int_equal(
            aspen_fault(shared->mm, shared->beside + PAGE, ASPEN_ACCESS_WRITE),
            0);
        helper_unmap(shared->mm, shared->beside + PAGE, 1);
        helper_unmap(shared->mm, shared->beside, 4);
        if (i % 4 == 0) {
            assert_int_equal(aspen_fork(shared->mm, &child), 0);
            aspen_mm_put(child);
        }
    }
    return NULL;
}

static void
map_areas(struct shared *shared)
{
    struct helper *helper = &shared->helper;
    struct aspen_object *file =
        helper_object(helper, ASPEN_OBJECT_FILE, PAGES, NULL, NULL);
    struct aspen_object *memory =
        helper_object(helper, ASPEN_OBJECT_SHMEM, PAGES, NULL, NULL);

    shared->mm = helper_mm(helper);
    shared->areas[0] = helper_map(shared->mm, GIB, PAGES, RW);
    shared->beside = GIB + PAGES * PAGE;
    shared->areas[1] = helper_map_object(shared->mm, 0, PAGES, RW, file, 0);
    shared->areas[2] = helper_map_object(shared->mm, 0, PAGES,
                                         RW | ASPEN_VM_SHARED, memory, 0);
    aspen_object_put(file);
    aspen_object_put(memory);
}

static void
check_areas(struct shared *shared)
{
    for (unsigned w = 0; w <= DEVICE; w++)
        for (unsigned a = 0; a < 3; a++)
            for (unsigned p = 0; p < PAGES; p++)
                assert_int_equal(
                    helper_get(&shared->helper, shared->mm,
                               shared->areas[a] + p * PAGE + 64 * w),
                    shared->last[w][a][p]);
    helper_assert_valid(&shared->helper);
}

static void
test_threads(void **state)
{
    (void)state;
    static struct shared shared;
    void *(*const bodies[])(void *) = {write_pinned, disturb};
    struct writer writers[THREADS];

    helper_create(&shared.helper, NULL);
    assert_int_equal(pthread_barrier_init(&shared.start, NULL, THREADS), 0);
    for (unsigned round = 0; round < ROUNDS; round++) {
        memset(shared.last, 0, sizeof(shared.last));
        map_areas(&shared);
        for (unsigned i = 0; i < THREADS; i++) {
            writers[i].shared = &shared;
            writers[i].number = i;
            assert_int_equal(
                pthread_create(&writers[i].thread, NULL,
                               i < WRITERS ? write_pages : bodies[i - WRITERS],
                               &writers[i]),
                0);
        }
        for (unsigned i = 0; i < THREADS; i++)
            assert_int_equal(pthread_join(writers[i].thread, NULL), 0);
        check_areas(&shared);
        aspen_mm_put(shared.mm);
    }
    pthread_barrier_destroy(&shared.start);
    helper_destroy(&shared.helper);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
