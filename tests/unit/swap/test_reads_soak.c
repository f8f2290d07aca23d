/* SPDX-License-Identifier: MIT */
/*
 * Threads with more memory than there is, on devices that answer late, in no
 * order, and fail: spaces advise, read, write, fork, unmap and end while reads
 * of theirs are under way, and devices go and come back. Each reads what it
 * wrote, or hears of an error and asks again.
 */
#include "helper.h"
#include "must_be.h"
#include "queue.h"

#include "base/atomic.h"

#include <aspen/calls/advise.h>
#include <aspen/calls/memory.h>
#include <aspen/calls/reclaim.h>

#define WORKERS 3u
#define PAGES   160u
#define FRAMES  320u /* page tables among them */
#define SLOTS   2048u
#define ROUNDS  10000u

static struct {
    struct helper_space s;
    struct queue queues[2];
    uint32_t ended; /* atomic: workers */
} scene;

struct worker {
    struct aspen_mm *mm;
    uint64_t seed;
    uint64_t at;
    uint64_t words[PAGES];
    uint64_t failed;
};

/* A device has failed: once more. */
static bool
fails(struct worker *w, int error)
{
    if (error != -ASPEN_EIO && error != -ASPEN_ENOMEM)
        must_be(error, 0);
    w->failed += error != 0;
    return error;
}

static void
look(struct worker *w, struct aspen_mm *mm, uint64_t i)
{
    uint64_t word = 0, done;

    while (fails(w, aspen_read_memory(mm, w->at + i * PAGE, &word, sizeof(word),
                                      0, &done)))
        continue;
    must_be(word, w->words[i]);
}

static void
put(struct worker *w, uint64_t i)
{
    uint64_t word = unit_random(&w->seed), done;

    while (fails(w, aspen_write_memory(w->mm, w->at + i * PAGE, &word,
                                       sizeof(word), 0, &done)))
        continue;
    w->words[i] = word;
}

static void
advise(struct worker *w, enum aspen_advice advice)
{
    uint64_t first = unit_below(&w->seed, PAGES);
    uint64_t pages = 1 + unit_below(&w->seed, PAGES - first);

    must_be(aspen_madvise(w->mm, w->at + first * PAGE, pages * PAGE, advice),
            0);
}

static void
make_child(struct worker *w)
{
    struct aspen_mm *child;

    if (fails(w, aspen_fork(w->mm, &child)))
        return;
    for (unsigned n = 0; n < 8; n++)
        look(w, child, unit_below(&w->seed, PAGES));
    aspen_mm_put(child);
}

/* While it is read, maybe. */
static void
forget(struct worker *w)
{
    uint64_t first = unit_below(&w->seed, PAGES);
    uint64_t pages = 1 + unit_below(&w->seed, PAGES - first);

    must_be(aspen_madvise(w->mm, w->at + first * PAGE, pages * PAGE,
                          ASPEN_MADV_WILLNEED),
            0);
    must_be(aspen_madvise(w->mm, w->at + first * PAGE, pages * PAGE,
                          ASPEN_MADV_DONTNEED),
            0);
    for (uint64_t i = first; i < first + pages; i++)
        w->words[i] = 0;
}

static void
do_one(struct worker *w)
{
    uint64_t i = unit_below(&w->seed, PAGES);

    switch (unit_below(&w->seed, 12)) {
    case 0:
        advise(w, ASPEN_MADV_PAGEOUT);
        return;
    case 1:
    case 2:
        advise(w, ASPEN_MADV_WILLNEED);
        return;
    case 3:
        if (unit_below(&w->seed, 4) == 0)
            forget(w);
        return;
    case 4:
        if (unit_below(&w->seed, 4) == 0)
            make_child(w);
        return;
    case 5:
    case 6:
    case 7: /* in order: neighbours come along */
        for (uint64_t n = i; n < PAGES && n < i + 12; n++)
            look(w, w->mm, n);
        return;
    case 8:
    case 9:
        put(w, i);
        return;
    default:
        look(w, w->mm, i);
    }
}

static void *
work(void *argument)
{
    struct worker *w = argument;

    for (unsigned n = 0; n < unit_rounds(ROUNDS); n++)
        do_one(w);
    for (uint64_t i = 0; i < PAGES; i++)
        look(w, w->mm, i);
    must_be(aspen_madvise(w->mm, w->at, PAGES * PAGE, ASPEN_MADV_PAGEOUT), 0);
    must_be(aspen_madvise(w->mm, w->at, PAGES * PAGE, ASPEN_MADV_WILLNEED), 0);
    aspen_mm_put(w->mm); /* while it is read */
    aspen_fetch_add(&scene.ended, 1u);
    return NULL;
}

/* ---- All ----------------------------------------------------------------- */

/* One device goes, if it can be read, and comes back. */
static unsigned
swap_devices(void)
{
    unsigned gone = 0;

    while (aspen_load(&scene.ended) < WORKERS) {
        struct queue *queue = &scene.queues[gone % 2];
        int error = aspen_swap_remove(scene.s.helper.aspen, queue->type);
        if (error) {
            assert_true(error == -ASPEN_EIO || error == -ASPEN_ENOMEM ||
                        error == -ASPEN_EBUSY);
            continue;
        }
        gone++;
        queue_again(queue, scene.s.helper.aspen);
    }
    return gone;
}

static void
run(uint64_t seed, unsigned flags)
{
    static struct worker workers[WORKERS];
    struct aspen_config config = helper_config(FRAMES);
    pthread_t threads[WORKERS];
    uint64_t failed = 0;

    memset(workers, 0, sizeof(workers));
    scene.ended = 0;
    helper_space_create(&scene.s, &config);
    for (unsigned i = 0; i < 2; i++) {
        struct queue *queue = &scene.queues[i];
        queue_add(queue, scene.s.helper.aspen, SLOTS, flags);
        queue->seed = unit_random(&seed);
        queue->fails = 20;
        queue->holds = true;
        queue_start(queue);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i].mm = helper_new_mm(scene.s.helper.aspen);
        workers[i].seed = unit_random(&seed);
        workers[i].at = helper_map(workers[i].mm, 0, PAGES, RW);
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]),
                         0);
    }
    unsigned gone = swap_devices();
    for (unsigned i = 0; i < WORKERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        failed += workers[i].failed;
    }
    for (unsigned i = 0; i < 2; i++)
        queue_stop(&scene.queues[i]);
    aspen_reclaim(scene.s.helper.aspen, 1);
    struct aspen_counters counts = helper_counts(scene.s.helper.aspen);
    print_message("%u pages read, %u ahead, %u found; %u at a time; %u errors; "
                  "%u devices went\n",
                  (unsigned)counts.swapped_in, (unsigned)counts.swap_ra,
                  (unsigned)counts.swap_ra_hit, scene.queues[0].most,
                  (unsigned)failed, gone);
    assert_int_equal(counts.swap_slots_used, 0);
    assert_true(counts.swap_ra_hit > 0 && failed > 0);
    helper_space_destroy(&scene.s);
    queue_free(&scene.queues[0]);
    queue_free(&scene.queues[1]);
}

static void
test_soak(void **state)
{
    uint64_t seed = unit_seed("test_reads_soak", 20261130);
    (void)state;

    run(seed, 0);
    run(seed + 1, ASPEN_SWAP_CHECKSUM);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_soak)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
