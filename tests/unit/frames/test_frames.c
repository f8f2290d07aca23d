/* SPDX-License-Identifier: MIT */
/*
 * test_frames.c - the frame allocator against a model, at its limits, with
 * failpoints and from several threads.
 *
 * ASPEN_SEED=N replays a random run.
 */
#include <sched.h>

#include "bare_machine.h"
#include "unit.h"

#include "frames/frames.h"
#include "frames/zone.h"

#define STEP ASPEN_STEP_FRAME
#define BOTH (ASPEN_FRAME_REF + ASPEN_FRAME_MAP)

static uint32_t
chunk_count(const struct aspen *aspen)
{
    return (aspen->config.frames + ASPEN_CHUNK_FRAMES - 1) / ASPEN_CHUNK_FRAMES;
}

/* What is free, as a picture that two moments can be compared by. */
static uint32_t *
zone_picture(struct aspen *aspen)
{
    uint32_t count = chunk_count(aspen);
    uint32_t *picture = calloc(count, sizeof(*picture));
    assert_non_null(picture);
    for (uint32_t i = 0; i < count; i++)
        picture[i] = aspen_chunk_at(&aspen->banks, i)->listed;
    return picture;
}

/* Everything has merged again to what a fresh machine has. */
static void
assert_picture(struct aspen *aspen, uint32_t *fresh)
{
    aspen_frames_drain(aspen);
    bare_assert_frames(aspen);
    uint32_t *now = zone_picture(aspen);
    assert_memory_equal(now, fresh, chunk_count(aspen) * sizeof(*now));
    free(now);
    free(fresh);
}

static void
shuffle(uint32_t *frames, size_t count, uint64_t *state)
{
    for (size_t i = count; i > 1; i--) {
        size_t j = unit_random(state) % i;
        uint32_t frame = frames[i - 1];
        frames[i - 1] = frames[j];
        frames[j] = frame;
    }
}

/* ---- Words ------------------------------------------------------------- */

static unsigned
largest_run_plain(uint64_t free)
{
    for (unsigned order = 5; order > 0; order--) {
        unsigned size = 1u << order;
        uint64_t run = ((uint64_t)1 << size) - 1;
        for (unsigned at = 0; at < 64; at += size)
            if ((free >> at & run) == run)
                return order;
    }
    return 0;
}

static void
assert_largest_run(uint64_t word)
{
    if (word && ~word)
        assert_int_equal(aspen_zone_largest_run(word), largest_run_plain(word));
}

static void
test_largest_run(void **unused)
{
    (void)unused;
    uint64_t state = unit_seed("test_frames", 1);
    unsigned long words = 0;

    for (uint64_t bits = 0; bits < 1u << 16; bits++)
        for (unsigned shift = 0; shift < 64; shift += 16, words += 2) {
            assert_largest_run(bits << shift);
            assert_largest_run(~(bits << shift));
        }
    for (unsigned i = 0; i < 200000; i++, words++)
        assert_largest_run(unit_random(&state) | unit_random(&state) |
                           unit_random(&state));
    print_message("%lu words\n", words);
}

/* ---- Fresh machines ---------------------------------------------------- */

static void
test_sizes(void **unused)
{
    (void)unused;
    static const uint32_t sizes[] = {64,    65,     127,    128,    129,
                                     191,   192,    4095,   4096,   4097,
                                     12345, 262144, 262145, 524288, 600001};
    for (size_t i = 0; i < ASPEN_ARRAY_SIZE(sizes); i++) {
        struct aspen *aspen = bare_create(sizes[i], false);
        bare_assert_frames(aspen);
        assert_int_equal(aspen_frames_free_count(aspen), sizes[i] - 1);
        assert_int_equal(aspen_frame_type(aspen_frame_at(aspen, 0)),
                         ASPEN_FRAME_ZERO);
        bare_destroy(aspen);
    }
}

/* 256 GiB worth of frames: nothing but the heads of lists is touched. */
static void
test_large_machine_is_cheap(void **unused)
{
    (void)unused;
    struct aspen *aspen = bare_create(1u << 26, false);
    uint32_t block = bare_alloc(aspen, ASPEN_ORDER_MAX);
    assert_int_equal(block % (1u << ASPEN_ORDER_MAX), 0);
    uint32_t frame = bare_alloc(aspen, 0);
    aspen_frame_put(aspen, frame);
    aspen_frame_put(aspen, block);
    bare_destroy(aspen);
}

/* ---- Against a model --------------------------------------------------- */

#define MODEL_BLOCKS 6000

struct model {
    struct aspen *aspen;
    uint8_t *used; /* by frame */
    uint64_t free_frames;
    unsigned count;
    struct {
        uint32_t frame;
        unsigned order;
    } blocks[MODEL_BLOCKS];
};

static void
model_mark(struct model *model, uint32_t frame, unsigned order, uint8_t used)
{
    for (uint32_t i = 0; i < 1u << order; i++) {
        if (model->used[frame + i] == used)
            fail_msg("frame %u twice", (unsigned)(frame + i));
        model->used[frame + i] = used;
    }
}

static void
model_alloc(struct model *model, unsigned order)
{
    uint32_t frame;
    int error = aspen_frame_alloc(model->aspen, order, STEP, &frame);
    if (error) {
        assert_int_equal(error, -ASPEN_ENOMEM);
        assert_true(order > 0 || model->free_frames == 0);
        return;
    }
    assert_true(frame != 0 && frame % (1u << order) == 0);
    assert_true((uint64_t)frame + (1u << order) <= model->aspen->config.frames);
    model_mark(model, frame, order, 1);
    model->free_frames -= (uint64_t)1 << order;
    assert_int_equal(aspen_frame_order(model->aspen, frame), order);
    assert_int_equal(
        aspen_frame_references(aspen_frame_at(model->aspen, frame)), 1);
    model->blocks[model->count].frame = frame;
    model->blocks[model->count++].order = order;
}

static void
model_free(struct model *model, unsigned which)
{
    uint32_t frame = model->blocks[which].frame;
    unsigned order = model->blocks[which].order;

    assert_int_equal(aspen_frame_head(model->aspen, frame + (1u << order) - 1),
                     frame);
    model->blocks[which] = model->blocks[--model->count];
    model_mark(model, frame, order, 0);
    model->free_frames += (uint64_t)1 << order;
    aspen_frame_put(model->aspen, frame);
}

/* Mostly small orders, now and then any. */
static unsigned
random_order(uint64_t *state)
{
    uint64_t r = unit_random(state);
    if (r % 8 < 5)
        return 0;
    return (unsigned)(unit_random(state) %
                      (r % 512 == 7 ? ASPEN_ORDER_MAX + 1 : 10));
}

static void
model_step(struct model *model, unsigned i, uint64_t *state)
{
    bool growing = i / 4000 % 2 == 0;
    bool more = unit_random(state) % 8 < (growing ? 6 : 2);

    if (model->count == 0 || (more && model->count < MODEL_BLOCKS))
        model_alloc(model, random_order(state));
    else
        model_free(model, (unsigned)(unit_random(state) % model->count));
    if (i % 4000 == 0)
        bare_assert_frames(model->aspen);
    assert_int_equal(aspen_frames_free_count(model->aspen), model->free_frames);
}

static void
test_random_against_model(void **unused)
{
    (void)unused;
    uint64_t state = unit_seed("test_frames", 1);
    uint32_t frames = (1u << 19) + 77777;
    struct aspen *aspen = bare_create(frames, false);
    uint32_t *fresh = zone_picture(aspen);
    struct model *model = calloc(1, sizeof(*model));

    assert_non_null(model);
    model->aspen = aspen;
    model->used = calloc(1, frames);
    assert_non_null(model->used);
    model->used[0] = 1;
    model->free_frames = frames - 1;
    for (unsigned i = 0; i < 60000; i++)
        model_step(model, i, &state);
    while (model->count)
        model_free(model, (unsigned)(unit_random(&state) % model->count));
    assert_picture(aspen, fresh);
    free(model->used);
    free(model);
    bare_destroy(aspen);
}

/* ---- Limits ------------------------------------------------------------ */

static void
test_exhaustion(void **unused)
{
    (void)unused;
    uint64_t state = unit_seed("test_frames", 1);
    uint32_t frames = 5000;
    struct aspen *aspen = bare_create(frames, false);
    uint32_t *fresh = zone_picture(aspen);
    uint32_t *got = calloc(frames, sizeof(*got));
    uint32_t count = 0;
    uint32_t none;

    assert_non_null(got);
    while (!aspen_frame_alloc(aspen, 0, STEP, &got[count]))
        count++;
    assert_int_equal(count, frames - 1);
    assert_int_equal(aspen_frames_free_count(aspen), 0);
    bare_assert_frames(aspen);
    for (unsigned order = 0; order <= ASPEN_ORDER_MAX; order++)
        assert_int_equal(aspen_frame_alloc(aspen, order, STEP, &none),
                         -ASPEN_ENOMEM);
    shuffle(got, count, &state);
    for (uint32_t i = 0; i < count; i++)
        aspen_frame_put(aspen, got[i]);
    assert_int_equal(aspen_frames_free_count(aspen), frames - 1);
    assert_picture(aspen, fresh);
    free(got);
    bare_destroy(aspen);
}

/* Frames that rest in CPU caches are found when nothing else is left. */
static void
test_caches_are_drained_for_blocks(void **unused)
{
    (void)unused;
    struct aspen *aspen = bare_create(128, false);
    uint32_t got[127];

    for (unsigned i = 0; i < 127; i++)
        got[i] = bare_alloc(aspen, 0);
    for (unsigned i = 0; i < 127; i++)
        aspen_frame_put(aspen, got[i]);
    assert_int_equal(aspen->zone.free_frames, 0);
    uint32_t block = bare_alloc(aspen, 6);
    assert_int_equal(block, 64);
    bare_assert_frames(aspen);
    aspen_frame_put(aspen, block);
    bare_destroy(aspen);
}

static void
ask_other_cache(unsigned cpu)
{
    struct aspen *aspen = bare_create(64, false);
    struct aspen_frame_cache *cache = &aspen->frame_caches[cpu];

    cache->count = aspen_zone_take_singles_locked(&aspen->zone, cache->frames,
                                                  ASPEN_FRAME_CACHE_BATCH);
    assert_int_equal(cache->count, 63);
    uint32_t frame = bare_alloc(aspen, 0);
    assert_int_equal(cache->count, 62);
    aspen_frame_put(aspen, frame);
    aspen_frame_put(aspen, bare_alloc(aspen, 5));
    assert_int_equal(cache->count, 0);
    bare_assert_frames(aspen);
    bare_destroy(aspen);
}

/* Another CPU's cache, whichever that is, holds the last frames: they are found
 * as well, one or a block of them. */
static void
test_other_caches_are_asked(void **unused)
{
    (void)unused;
    for (unsigned i = 1; i < ASPEN_PORT_CPUS; i++)
        ask_other_cache((aspen_port_cpu() + i) % ASPEN_PORT_CPUS);
}

/* A cache that overflows keeps what was freed last. */
static void
test_cache_spills_the_oldest(void **unused)
{
    (void)unused;
    struct aspen *aspen = bare_create(4096, false);
    uint32_t got[2000];

    for (unsigned i = 0; i < 2000; i++)
        got[i] = bare_alloc(aspen, 0);
    for (unsigned i = 0; i < 2000; i++)
        aspen_frame_put(aspen, got[i]);
    bare_assert_frames(aspen);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(bare_alloc(aspen, 0), got[1999 - i]);
    aspen_frames_release(aspen, got + 1900, 100, ASPEN_FRAME_REF);
    bare_destroy(aspen);
}

static void
check_failpoint(struct aspen *aspen, unsigned order, enum aspen_fail_mode mode)
{
    uint32_t frame;

    memset(&aspen->failpoints, 0, sizeof(aspen->failpoints));
    aspen->failpoints.counting = true;
    aspen->failpoints.plan.mode = mode;
    aspen->failpoints.plan.number = 2;
    uint32_t first = bare_alloc(aspen, order);
    uint64_t before = aspen_frames_free_count(aspen);
    assert_int_equal(aspen_frame_alloc(aspen, order, STEP, &frame),
                     -ASPEN_ENOMEM);
    assert_int_equal(aspen_frames_free_count(aspen), before);
    int error = aspen_frame_alloc(aspen, order, STEP, &frame);
    assert_int_equal(error, mode == ASPEN_FAIL_ONCE ? 0 : -ASPEN_ENOMEM);
    if (!error)
        aspen_frame_put(aspen, frame);
    aspen_frame_put(aspen, first);
    assert_int_equal(aspen->failpoints.counts.crossings, 3);
    assert_int_equal(aspen->failpoints.counts.by_step[STEP], 3);
    bare_assert_frames(aspen);
}

static void
test_failpoints(void **unused)
{
    (void)unused;
    struct aspen *aspen = bare_create(4096, false);

    for (unsigned order = 0; order < 8; order++) {
        check_failpoint(aspen, order, ASPEN_FAIL_ONCE);
        check_failpoint(aspen, order, ASPEN_FAIL_ONWARD);
    }
    bare_destroy(aspen);
}

/* ---- References -------------------------------------------------------- */

static void
release_all(struct aspen *aspen, uint32_t *frames, unsigned count,
            unsigned batch)
{
    for (unsigned i = 0; i < count; i += batch)
        aspen_frames_release(aspen, frames + i,
                             count - i < batch ? count - i : batch, BOTH);
}

static void
test_release_in_bulk(void **unused)
{
    (void)unused;
    uint64_t state = unit_seed("test_frames", 1);
    enum { COUNT = 20000 };
    struct aspen *aspen = bare_create(COUNT + 100, false);
    uint32_t *fresh = zone_picture(aspen);
    uint32_t *frames = calloc(COUNT, sizeof(*frames));

    assert_non_null(frames);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < COUNT; i++) {
            frames[i] = bare_alloc(aspen, 0);
            aspen_frame_at(aspen, frames[i])->counts += ASPEN_FRAME_MAP;
        }
        if (round == 1)
            shuffle(frames, COUNT, &state);
        release_all(aspen, frames, COUNT, round == 2 ? 7 : 128);
        assert_int_equal(aspen_frames_free_count(aspen), COUNT + 99);
        bare_assert_frames(aspen);
    }
    free(frames);
    assert_picture(aspen, fresh);
    bare_destroy(aspen);
}

/* Shared frames stay, a frame may come twice, blocks go as blocks. */
static void
test_release_mixed(void **unused)
{
    (void)unused;
    struct aspen *aspen = bare_create(2048, false);
    uint32_t shared = bare_alloc(aspen, 0);
    uint32_t twice = bare_alloc(aspen, 0);
    uint32_t block = bare_alloc(aspen, 9);
    uint32_t plain = bare_alloc(aspen, 0);
    struct aspen_frame *table = aspen_frame_at(aspen, 0);

    table[shared].counts += ASPEN_FRAME_REF + 2 * ASPEN_FRAME_MAP;
    table[twice].counts += ASPEN_FRAME_REF + 2 * ASPEN_FRAME_MAP;
    table[block].counts += ASPEN_FRAME_MAP;
    table[plain].counts += ASPEN_FRAME_MAP;
    uint32_t batch[] = {twice, shared, block, plain, twice};
    uint64_t before = aspen_frames_free_count(aspen);
    aspen_frames_release(aspen, batch, 5, BOTH);
    assert_int_equal(aspen_frames_free_count(aspen), before + 1 + 512 + 1);
    assert_int_equal(table[shared].counts, BOTH);
    assert_true(aspen_frame_is_zero(&table[block]));
    bare_assert_frames(aspen);

    batch[0] = shared;
    aspen_frames_release(aspen, batch, 1, BOTH);
    bare_assert_frames(aspen);
    bare_destroy(aspen);
}

static void
test_get_put(void **unused)
{
    (void)unused;
    struct aspen *aspen = bare_create(64, false);
    uint32_t frame = bare_alloc(aspen, 0);

    aspen_frame_get(aspen_frame_at(aspen, frame));
    aspen_frame_put(aspen, frame);
    assert_int_equal(aspen_frame_references(aspen_frame_at(aspen, frame)), 1);
    aspen_frame_set(aspen_frame_at(aspen, frame), ASPEN_FRAME_ANON, aspen,
                    12345, 0);
    assert_int_equal(aspen_frame_offset(aspen_frame_at(aspen, frame)), 12345);
    assert_int_equal(aspen_frame_type(aspen_frame_at(aspen, frame)),
                     ASPEN_FRAME_ANON);
    aspen_frame_put(aspen, frame);
    assert_true(aspen_frame_is_zero(aspen_frame_at(aspen, frame)));
    bare_destroy(aspen);
}

static void
bug_put_twice(void *argument)
{
    struct aspen *aspen = argument;
    uint32_t frame = bare_alloc(aspen, 0);
    aspen_frame_put(aspen, frame);
    aspen_frame_put(aspen, frame);
}

static void
bug_give_part_twice(void *argument)
{
    struct aspen *aspen = argument;
    uint32_t frame = 5;
    aspen_zone_give_singles_locked(&aspen->zone, &frame, 1);
}

static void
bug_give_block_twice(void *argument)
{
    struct aspen *aspen = argument;
    uint32_t frame = 128;
    aspen_zone_give_singles_locked(&aspen->zone, &frame, 1);
}

static void
bug_leak(void *argument)
{
    struct aspen *aspen = argument;
    (void)bare_alloc(aspen, 3);
    aspen_frames_destroy(aspen);
}

static void
test_bugs_are_stopped(void **unused)
{
    (void)unused;
    struct aspen *aspen = bare_create(256, false);

    assert_int_equal(aspen_chunk_at(&aspen->banks, 2)->listed, 1 + 7);
    assert_true(unit_panics(bug_put_twice, aspen));
    assert_true(unit_panics(bug_give_part_twice, aspen));
    assert_true(unit_panics(bug_give_block_twice, aspen));
    assert_true(unit_panics(bug_leak, aspen));
    bare_destroy(aspen);
}

/* ---- Contents ---------------------------------------------------------- */

static void
test_contents(void **unused)
{
    (void)unused;
    struct aspen *aspen = bare_create(64, true);
    uint32_t a = bare_alloc(aspen, 0);
    uint32_t b = bare_alloc(aspen, 0);
    unsigned char *pa = aspen_frame_pointer(aspen, a);
    unsigned char *pb = aspen_frame_pointer(aspen, b);

    memset(pa, 0x5a, ASPEN_PAGE_SIZE);
    assert_int_equal(aspen_frame_copy(aspen, b, a), 0);
    assert_memory_equal(pa, pb, ASPEN_PAGE_SIZE);
    assert_int_equal(aspen_frame_zero(aspen, a), 0);
    for (unsigned i = 0; i < ASPEN_PAGE_SIZE; i++)
        assert_int_equal(pa[i], 0);
    aspen_frame_put(aspen, a);
    aspen_frame_put(aspen, b);
    bare_destroy(aspen);
}

static void
test_contents_refused(void **unused)
{
    (void)unused;
    struct aspen *aspen = bare_create(64, false);
    uint32_t a = bare_alloc(aspen, 0);

    assert_int_equal(aspen_frame_zero(aspen, a), -ASPEN_EOPNOTSUPP);
    assert_int_equal(aspen_frame_copy(aspen, a, 0), -ASPEN_EOPNOTSUPP);
    aspen_frame_put(aspen, a);
    bare_destroy(aspen);
}

/* ---- Threads ----------------------------------------------------------- */

#define THREADS 4

struct locking {
    struct aspen_frame *frame;
    unsigned long counter; /* frame lock */
};

static void *
lock_many_times(void *argument)
{
    struct locking *locking = argument;

    for (unsigned i = 0; i < 20000; i++) {
        aspen_frame_lock(locking->frame);
        unsigned long counter = locking->counter;
        if (i % 512 == 0)
            sched_yield();
        locking->counter = counter + 1;
        aspen_frame_unlock(locking->frame);
    }
    return NULL;
}

static void
test_frame_lock(void **unused)
{
    (void)unused;
    struct aspen *aspen = bare_create(64, false);
    uint32_t frame = bare_alloc(aspen, 0);
    struct locking locking = {aspen_frame_at(aspen, frame), 0};
    uint64_t index = locking.frame->index;

    assert_true(aspen_frame_trylock(locking.frame));
    assert_false(aspen_frame_trylock(locking.frame));
    aspen_frame_unlock(locking.frame);
    unit_run_threads(THREADS, lock_many_times, &locking);
    assert_int_equal(locking.counter, THREADS * 20000);
    assert_int_equal(locking.frame->index, index);
    aspen_frame_put(aspen, frame);
    bare_destroy(aspen);
}

static void *
allocate_and_free(void *argument)
{
    struct aspen *aspen = argument;
    uint64_t state = (uint64_t)(uintptr_t)&state | 1;
    uint32_t held[64];
    unsigned count = 0;

    for (unsigned i = 0; i < 30000; i++) {
        if (count < 64 && unit_random(&state) % 2) {
            unsigned order = unit_random(&state) % 16 ? 0 : 3;
            if (!aspen_frame_alloc(aspen, order, STEP, &held[count]))
                count++;
        } else if (count > 40) {
            aspen_frames_release(aspen, held, count, ASPEN_FRAME_REF);
            count = 0;
        } else if (count) {
            aspen_frame_put(aspen, held[--count]);
        }
    }
    if (count)
        aspen_frames_release(aspen, held, count, ASPEN_FRAME_REF);
    return NULL;
}

/* Few enough frames that they run out and caches are drained. */
static void
test_threads(void **unused)
{
    (void)unused;
    struct aspen *aspen = bare_create(320, false);
    uint32_t *fresh = zone_picture(aspen);

    unit_run_threads(THREADS, allocate_and_free, aspen);
    assert_int_equal(aspen_frames_free_count(aspen), 319);
    bare_assert_frames(aspen);
    assert_picture(aspen, fresh);
    bare_destroy(aspen);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_largest_run),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_large_machine_is_cheap),
        cmocka_unit_test(test_random_against_model),
        cmocka_unit_test(test_exhaustion),
        cmocka_unit_test(test_caches_are_drained_for_blocks),
        cmocka_unit_test(test_other_caches_are_asked),
        cmocka_unit_test(test_cache_spills_the_oldest),
        cmocka_unit_test(test_failpoints),
        cmocka_unit_test(test_release_in_bulk),
        cmocka_unit_test(test_release_mixed),
        cmocka_unit_test(test_get_put),
        cmocka_unit_test(test_bugs_are_stopped),
        cmocka_unit_test(test_contents),
        cmocka_unit_test(test_contents_refused),
        cmocka_unit_test(test_frame_lock),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
