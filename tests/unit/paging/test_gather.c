/* SPDX-License-Identifier: MIT */
/*
 * test_gather.c - frames that wait for a flush in batches: none goes before its
 * flush, whatever memory there is. test_paging.c has the rest of the gather.
 */
#include "helper.h"
#include "internal.h"

#include "paging/gather.h"

#include "aspen_posix.h"

enum {
    LARGE = 65536,                                   /* frames of a machine */
    BATCHES = LARGE / ASPEN_GATHER_BATCH_PER_FRAMES, /* that it may have */
    ROOM = ASPEN_GATHER_FRAMES + BATCHES * ASPEN_GATHER_BATCH_FRAMES,
};

/* Frames that were gathered since the last flush: none may be gone before it.
 */
struct gathered {
    struct helper helper;
    struct aspen_mm *mm;
    uint32_t frames[ROOM + 5000];
    unsigned count;
    unsigned flushed; /* of these */
    unsigned flushes;
};

static void
observe_gathered(void *context, const struct aspen_tlb_flush *flush)
{
    struct gathered *g = context;

    /* The range of the first may have been in the flush before. */
    assert_in_range(flush->start, 0x100000 + g->flushed * PAGE,
                    0x100000 + (g->flushed + 1) * PAGE);
    assert_true(flush->end >= 0x100000 + g->count * PAGE);
    for (; g->flushed < g->count; g->flushed++)
        assert_true(aspen_frame_references(aspen_frame_at(
                        g->mm->aspen, g->frames[g->flushed])) > 0);
    g->flushes++;
}

/* One mapping of a frame. */
static uint32_t
mapped_frame(struct aspen *aspen)
{
    uint32_t frame;

    assert_int_equal(aspen_frame_alloc(aspen, 0, ASPEN_STEP_FRAME, &frame), 0);
    aspen_frame_at(aspen, frame)->counts += ASPEN_FRAME_MAP;
    return frame;
}

static void
gather_so_many(struct gathered *g, struct aspen_gather *gather, unsigned count)
{
    while (count-- > 0) {
        if (aspen_gather_is_full(gather))
            aspen_gather_continue(gather);
        aspen_gather_leaf(gather, 0x100000 + g->count * PAGE, 0);
        aspen_gather_frame(gather, g->frames[g->count]);
        g->count++;
    }
}

static void
gathered_begin(struct gathered *g, struct aspen_gather *gather)
{
    for (unsigned i = 0; i < ASPEN_ARRAY_SIZE(g->frames); i++)
        g->frames[i] = mapped_frame(g->mm->aspen);
    g->count = 0;
    g->flushed = 0;
    g->flushes = 0;
    aspen_gather_begin(gather, g->mm, false);
}

/* All that was not gathered yet comes, too. Returns the flushes. */
static unsigned
gathered_end(struct gathered *g, struct aspen_gather *gather)
{
    gather_so_many(g, gather, ASPEN_ARRAY_SIZE(g->frames) - g->count);
    aspen_gather_end(gather);
    assert_int_equal(g->flushed, ASPEN_ARRAY_SIZE(g->frames));
    for (unsigned i = 0; i < g->count; i++)
        assert_int_equal(
            aspen_frame_references(aspen_frame_at(g->mm->aspen, g->frames[i])),
            0);
    assert_int_equal(aspen_cache_allocated(&g->mm->aspen->gather_cache), 0);
    return g->flushes;
}

static int
gathered_setup(void **state)
{
    struct gathered *g = calloc(1, sizeof(*g));
    struct aspen_config config = helper_config(LARGE);

    assert_non_null(g);
    helper_create(&g->helper, &config);
    g->mm = helper_mm(&g->helper);
    assert_int_equal(aspen_mm_activate(g->mm, 0), 0);
    aspen_posix_observe_tlb(observe_gathered, g);
    *state = g;
    return 0;
}

static int
gathered_teardown(void **state)
{
    struct gathered *g = *state;

    aspen_posix_observe_tlb(NULL, NULL);
    assert_int_equal(aspen_mm_deactivate(g->mm, 0), 0);
    aspen_mm_put(g->mm);
    helper_destroy(&g->helper);
    free(g);
    return 0;
}

/* As many frames wait for one flush as may; no frame goes before its own. */
static void
test_batches(void **state)
{
    struct gathered *g = *state;
    struct aspen_gather gather;

    gathered_begin(g, &gather);
    gather_so_many(g, &gather, ROOM);
    assert_int_equal(g->flushes, 0);
    gather_so_many(g, &gather, 1);
    assert_int_equal(g->flushes, 1);
    assert_int_equal(gathered_end(g, &gather), 2);
}

static void
plan_batch(struct gathered *g, enum aspen_fail_mode mode, uint64_t number)
{
    struct aspen_failpoint_plan plan = {.mode = mode, .number = number};
    bool ends = mode == ASPEN_FAIL_NEVER;

    assert_int_equal(aspen_failpoints_set(g->helper.aspen, ends ? NULL : &plan),
                     0);
}

/* Without memory for the n-th batch there is a flush more, when that would have
 * been needed, and nothing else is different. */
static void
test_batches_fail(void **state)
{
    struct gathered *g = *state;
    struct aspen_gather gather;

    for (unsigned n = 1; n <= BATCHES; n++) {
        unsigned room =
            ASPEN_GATHER_FRAMES + (n - 1) * ASPEN_GATHER_BATCH_FRAMES;
        gathered_begin(g, &gather);
        plan_batch(g, ASPEN_FAIL_ONCE, n);
        gather_so_many(g, &gather, room);
        assert_int_equal(g->flushes, 0);
        gather_so_many(g, &gather, 1);
        assert_int_equal(g->flushes, 1);
        plan_batch(g, ASPEN_FAIL_NEVER, 0);
        unsigned flushes = gathered_end(g, &gather);
        assert_in_range(flushes, 2, 3);
    }
    gathered_begin(g, &gather);
    plan_batch(g, ASPEN_FAIL_ONWARD, 1);
    assert_int_equal(gathered_end(g, &gather),
                     (ASPEN_ARRAY_SIZE(g->frames) + ASPEN_GATHER_FRAMES - 1) /
                         ASPEN_GATHER_FRAMES);
    plan_batch(g, ASPEN_FAIL_NEVER, 0);
}

/* What could be written until the flush is dirty after it, in batches too. */
static void
test_batches_written(void **state)
{
    struct gathered *g = *state;
    struct aspen_gather gather;

    gathered_begin(g, &gather);
    for (unsigned i = 0; i < 3000; i++) {
        struct aspen_frame *frame = aspen_frame_at(g->mm->aspen, g->frames[i]);
        frame->index &= ~ASPEN_FRAME_DIRTY;
        if (aspen_gather_is_full(&gather))
            aspen_gather_continue(&gather);
        aspen_gather_leaf(&gather, 0x100000 + i * PAGE, 0);
        if (i % 7 == 3)
            aspen_gather_written(&gather, g->frames[i]);
        else
            aspen_gather_frame(&gather, g->frames[i]);
        aspen_frame_get(frame);
    }
    g->count = 3000;
    aspen_gather_flush(&gather);
    for (unsigned i = 0; i < 3000; i++) {
        struct aspen_frame *frame = aspen_frame_at(g->mm->aspen, g->frames[i]);
        assert_int_equal(!!(frame->index & ASPEN_FRAME_DIRTY), i % 7 == 3);
        aspen_frame_put(g->mm->aspen, g->frames[i]);
    }
    (void)gathered_end(g, &gather);
}

static void
observe_range(void *context, const struct aspen_tlb_flush *flush)
{
    struct aspen_tlb_flush *seen = context;

    assert_int_equal(seen->end, 0); /* the first */
    *seen = *flush;
}

/* While another's flush is to come, what was looked at is flushed: all of it,
 * and nothing else, whatever the gather's memory was before. */
static void
test_looked_at(void **state)
{
    struct gathered *g = *state;
    struct aspen_tlb_flush seen = {.end = 0};
    struct aspen_gather gather;

    aspen_posix_observe_tlb(observe_range, &seen);
    for (unsigned fill = 0; fill < 2; fill++) {
        memset(&gather, fill ? 0xff : 0, sizeof(gather));
        seen.end = 0;
        unsigned part = aspen_tlb_pending_begin(g->mm);
        aspen_gather_begin(&gather, g->mm, false);
        aspen_gather_looks(&gather, 0x103000, 0x104000);
        aspen_gather_looks(&gather, 0x101000, 0x102000);
        aspen_gather_end(&gather);
        assert_int_equal(seen.start, 0x101000);
        assert_int_equal(seen.end, 0x104000);
        aspen_tlb_pending_end(g->mm, part);

        seen.end = 0;
        aspen_gather_begin(&gather, g->mm, false);
        aspen_gather_looks(&gather, 0x103000, 0x104000);
        aspen_gather_end(&gather);
        assert_int_equal(seen.end, 0); /* nobody else's is to come */
    }
    aspen_posix_observe_tlb(observe_gathered, g);
}

#define TEST(function)                                                         \
    cmocka_unit_test_setup_teardown(function, gathered_setup, gathered_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_batches),
        TEST(test_batches_fail),
        TEST(test_batches_written),
        TEST(test_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
