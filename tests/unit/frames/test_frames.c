/* SPDX-License-Identifier: MIT */
/*
 * test_frames.c - the frame allocator against a model, at its limits, with
 * failpoints, from several threads, and its validator against planted
 * corruptions of each kind.
 *
 * ASPEN_SEED=N replays a random run.
 */
#include <sched.h>

#include "unit.h"

#include "frames/frames.h"
#include "frames/zone.h"

#include "aspen_posix.h"

#define STEP ASPEN_STEP_FRAME
#define BOTH (ASPEN_FRAME_REF + ASPEN_FRAME_MAP)

/* ---- Helpers ----------------------------------------------------------- */

/* A machine that has frames and nothing else. */
static struct aspen *
machine_create(uint32_t frames, bool memory)
{
    struct aspen *aspen = aspen_port_memory_alloc(sizeof(*aspen));
    assert_non_null(aspen);
    aspen->config.frames = frames;
    aspen->config.tables_only = !memory;
    if (memory) {
        aspen->config.direct_map = aspen_posix_direct_map_create(frames);
        assert_non_null(aspen->config.direct_map);
    }
    assert_int_equal(aspen_frames_init(aspen), 0);
    return aspen;
}

static void
machine_destroy(struct aspen *aspen)
{
    aspen_frames_destroy(aspen);
    if (aspen->config.direct_map)
        aspen_posix_direct_map_destroy(aspen->config.direct_map,
                                       aspen->config.frames);
    aspen_port_memory_free(aspen, sizeof(*aspen));
}

static void
assert_checks(struct aspen *aspen)
{
    uint32_t where = 0;
    const char *wrong = aspen_frames_check(aspen, &where);
    if (wrong)
        fail_msg("%s at frame %u", wrong, (unsigned)where);
}

static void
assert_wrong(struct aspen *aspen, const char *expected)
{
    uint32_t where = 0;
    const char *wrong = aspen_frames_check(aspen, &where);
    assert_non_null(wrong);
    assert_string_equal(wrong, expected);
}

static uint32_t
alloc(struct aspen *aspen, unsigned order)
{
    uint32_t frame = ASPEN_NO_FRAME;
    assert_int_equal(aspen_frame_alloc(aspen, order, STEP, &frame), 0);
    return frame;
}

/* What is free, as a picture that two moments can be compared by. */
static uint32_t *
zone_picture(struct aspen *aspen)
{
    uint32_t count = aspen->zone.chunk_count;
    uint32_t *picture = calloc(count, sizeof(*picture));
    assert_non_null(picture);
    for (uint32_t i = 0; i < count; i++)
        picture[i] = aspen->zone.chunks[i].listed;
    return picture;
}

/* Everything has merged again to what a fresh machine has. */
static void
assert_picture(struct aspen *aspen, uint32_t *fresh)
{
    aspen_frames_drain(aspen);
    assert_checks(aspen);
    uint32_t *now = zone_picture(aspen);
    assert_memory_equal(now, fresh, aspen->zone.chunk_count * sizeof(*now));
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
        struct aspen *aspen = machine_create(sizes[i], false);
        assert_checks(aspen);
        assert_int_equal(aspen_frames_free_count(aspen), sizes[i] - 1);
        assert_int_equal(aspen_frame_type(&aspen->frames[0]), ASPEN_FRAME_ZERO);
        machine_destroy(aspen);
    }
}

/* 256 GiB worth of frames: nothing but the heads of lists is touched. */
static void
test_large_machine_is_cheap(void **unused)
{
    (void)unused;
    struct aspen *aspen = machine_create(1u << 26, false);
    uint32_t block = alloc(aspen, ASPEN_ORDER_MAX);
    assert_int_equal(block % (1u << ASPEN_ORDER_MAX), 0);
    uint32_t frame = alloc(aspen, 0);
    aspen_frame_put(aspen, frame);
    aspen_frame_put(aspen, block);
    machine_destroy(aspen);
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
    assert_int_equal(aspen_frame_references(&model->aspen->frames[frame]), 1);
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
        assert_checks(model->aspen);
    assert_int_equal(aspen_frames_free_count(model->aspen), model->free_frames);
}

static void
test_random_against_model(void **unused)
{
    (void)unused;
    uint64_t state = unit_seed("test_frames", 1);
    uint32_t frames = (1u << 19) + 77777;
    struct aspen *aspen = machine_create(frames, false);
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
    machine_destroy(aspen);
}

/* ---- Limits ------------------------------------------------------------ */

static void
test_exhaustion(void **unused)
{
    (void)unused;
    uint64_t state = unit_seed("test_frames", 1);
    uint32_t frames = 5000;
    struct aspen *aspen = machine_create(frames, false);
    uint32_t *fresh = zone_picture(aspen);
    uint32_t *got = calloc(frames, sizeof(*got));
    uint32_t count = 0;
    uint32_t none;

    assert_non_null(got);
    while (!aspen_frame_alloc(aspen, 0, STEP, &got[count]))
        count++;
    assert_int_equal(count, frames - 1);
    assert_int_equal(aspen_frames_free_count(aspen), 0);
    assert_checks(aspen);
    for (unsigned order = 0; order <= ASPEN_ORDER_MAX; order++)
        assert_int_equal(aspen_frame_alloc(aspen, order, STEP, &none),
                         -ASPEN_ENOMEM);
    shuffle(got, count, &state);
    for (uint32_t i = 0; i < count; i++)
        aspen_frame_put(aspen, got[i]);
    assert_int_equal(aspen_frames_free_count(aspen), frames - 1);
    assert_picture(aspen, fresh);
    free(got);
    machine_destroy(aspen);
}

/* Frames that rest in CPU caches are found when nothing else is left. */
static void
test_caches_are_drained_for_blocks(void **unused)
{
    (void)unused;
    struct aspen *aspen = machine_create(128, false);
    uint32_t got[127];

    for (unsigned i = 0; i < 127; i++)
        got[i] = alloc(aspen, 0);
    for (unsigned i = 0; i < 127; i++)
        aspen_frame_put(aspen, got[i]);
    assert_int_equal(aspen->zone.free_frames, 0);
    uint32_t block = alloc(aspen, 6);
    assert_int_equal(block, 64);
    assert_checks(aspen);
    aspen_frame_put(aspen, block);
    machine_destroy(aspen);
}

static void
ask_other_cache(unsigned cpu)
{
    struct aspen *aspen = machine_create(64, false);
    struct aspen_frame_cache *cache = &aspen->frame_caches[cpu];

    cache->count = aspen_zone_take_singles_locked(&aspen->zone, cache->frames,
                                                  ASPEN_FRAME_CACHE_BATCH);
    assert_int_equal(cache->count, 63);
    uint32_t frame = alloc(aspen, 0);
    assert_int_equal(cache->count, 62);
    aspen_frame_put(aspen, frame);
    aspen_frame_put(aspen, alloc(aspen, 5));
    assert_int_equal(cache->count, 0);
    assert_checks(aspen);
    machine_destroy(aspen);
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
    struct aspen *aspen = machine_create(4096, false);
    uint32_t got[2000];

    for (unsigned i = 0; i < 2000; i++)
        got[i] = alloc(aspen, 0);
    for (unsigned i = 0; i < 2000; i++)
        aspen_frame_put(aspen, got[i]);
    assert_checks(aspen);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(alloc(aspen, 0), got[1999 - i]);
    aspen_frames_release(aspen, got + 1900, 100, ASPEN_FRAME_REF);
    machine_destroy(aspen);
}

static void
check_failpoint(struct aspen *aspen, unsigned order, enum aspen_fail_mode mode)
{
    uint32_t frame;

    memset(&aspen->failpoints, 0, sizeof(aspen->failpoints));
    aspen->failpoints.counting = true;
    aspen->failpoints.plan.mode = mode;
    aspen->failpoints.plan.number = 2;
    uint32_t first = alloc(aspen, order);
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
    assert_checks(aspen);
}

static void
test_failpoints(void **unused)
{
    (void)unused;
    struct aspen *aspen = machine_create(4096, false);

    for (unsigned order = 0; order < 8; order++) {
        check_failpoint(aspen, order, ASPEN_FAIL_ONCE);
        check_failpoint(aspen, order, ASPEN_FAIL_ONWARD);
    }
    machine_destroy(aspen);
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
    struct aspen *aspen = machine_create(COUNT + 100, false);
    uint32_t *fresh = zone_picture(aspen);
    uint32_t *frames = calloc(COUNT, sizeof(*frames));

    assert_non_null(frames);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < COUNT; i++) {
            frames[i] = alloc(aspen, 0);
            aspen->frames[frames[i]].counts += ASPEN_FRAME_MAP;
        }
        if (round == 1)
            shuffle(frames, COUNT, &state);
        release_all(aspen, frames, COUNT, round == 2 ? 7 : 128);
        assert_int_equal(aspen_frames_free_count(aspen), COUNT + 99);
        assert_checks(aspen);
    }
    free(frames);
    assert_picture(aspen, fresh);
    machine_destroy(aspen);
}

/* Shared frames stay, a frame may come twice, blocks go as blocks. */
static void
test_release_mixed(void **unused)
{
    (void)unused;
    struct aspen *aspen = machine_create(2048, false);
    uint32_t shared = alloc(aspen, 0);
    uint32_t twice = alloc(aspen, 0);
    uint32_t block = alloc(aspen, 9);
    uint32_t plain = alloc(aspen, 0);
    struct aspen_frame *table = aspen->frames;

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
    assert_checks(aspen);

    batch[0] = shared;
    aspen_frames_release(aspen, batch, 1, BOTH);
    assert_checks(aspen);
    machine_destroy(aspen);
}

static void
test_get_put(void **unused)
{
    (void)unused;
    struct aspen *aspen = machine_create(64, false);
    uint32_t frame = alloc(aspen, 0);

    aspen_frame_get(&aspen->frames[frame]);
    aspen_frame_put(aspen, frame);
    assert_int_equal(aspen_frame_references(&aspen->frames[frame]), 1);
    aspen_frame_set(&aspen->frames[frame], ASPEN_FRAME_ANON, aspen, 12345,
                    ASPEN_FRAME_UPTODATE);
    assert_int_equal(aspen_frame_offset(&aspen->frames[frame]), 12345);
    assert_int_equal(aspen_frame_type(&aspen->frames[frame]), ASPEN_FRAME_ANON);
    aspen_frame_put(aspen, frame);
    assert_true(aspen_frame_is_zero(&aspen->frames[frame]));
    machine_destroy(aspen);
}

static void
bug_put_twice(void *argument)
{
    struct aspen *aspen = argument;
    uint32_t frame = alloc(aspen, 0);
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
    (void)alloc(aspen, 3);
    aspen_frames_destroy(aspen);
}

static void
test_bugs_are_stopped(void **unused)
{
    (void)unused;
    struct aspen *aspen = machine_create(256, false);

    assert_int_equal(aspen->zone.chunks[2].listed, 1 + 7);
    assert_true(unit_panics(bug_put_twice, aspen));
    assert_true(unit_panics(bug_give_part_twice, aspen));
    assert_true(unit_panics(bug_give_block_twice, aspen));
    assert_true(unit_panics(bug_leak, aspen));
    machine_destroy(aspen);
}

/* ---- Contents ---------------------------------------------------------- */

static void
test_contents(void **unused)
{
    (void)unused;
    struct aspen *aspen = machine_create(64, true);
    uint32_t a = alloc(aspen, 0);
    uint32_t b = alloc(aspen, 0);
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
    machine_destroy(aspen);
}

static void
test_contents_refused(void **unused)
{
    (void)unused;
    struct aspen *aspen = machine_create(64, false);
    uint32_t a = alloc(aspen, 0);

    assert_int_equal(aspen_frame_zero(aspen, a), -ASPEN_EOPNOTSUPP);
    assert_int_equal(aspen_frame_copy(aspen, a, 0), -ASPEN_EOPNOTSUPP);
    aspen_frame_put(aspen, a);
    machine_destroy(aspen);
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
    struct aspen *aspen = machine_create(64, false);
    uint32_t frame = alloc(aspen, 0);
    struct locking locking = {&aspen->frames[frame], 0};
    uint64_t index = locking.frame->index;

    assert_true(aspen_frame_trylock(locking.frame));
    assert_false(aspen_frame_trylock(locking.frame));
    aspen_frame_unlock(locking.frame);
    unit_run_threads(THREADS, lock_many_times, &locking);
    assert_int_equal(locking.counter, THREADS * 20000);
    assert_int_equal(locking.frame->index, index);
    aspen_frame_put(aspen, frame);
    machine_destroy(aspen);
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
    struct aspen *aspen = machine_create(320, false);
    uint32_t *fresh = zone_picture(aspen);

    unit_run_threads(THREADS, allocate_and_free, aspen);
    assert_int_equal(aspen_frames_free_count(aspen), 319);
    assert_checks(aspen);
    assert_picture(aspen, fresh);
    machine_destroy(aspen);
}

/* ---- Planted corruptions ----------------------------------------------- */

/* A machine with something of everything. */
struct scene {
    struct aspen *aspen;
    struct aspen_frame_cache *cache;
    uint32_t single;
    uint32_t block;      /* order 3 */
    uint32_t free_block; /* order 11 */
};

static struct scene
scene_create(void)
{
    struct scene scene = {.aspen = machine_create(4096, false)};

    scene.single = alloc(scene.aspen, 0);
    scene.block = alloc(scene.aspen, 3);
    scene.cache = &scene.aspen->frame_caches[aspen_port_cpu()];
    assert_true(scene.cache->count > 2);
    scene.free_block = 2048;
    assert_int_equal(scene.aspen->zone.chunks[2048 / 64].listed, 1 + 11);
    assert_checks(scene.aspen);
    return scene;
}

static void
scene_destroy(struct scene *scene)
{
    assert_checks(scene->aspen);
    aspen_frame_put(scene->aspen, scene->single);
    aspen_frame_put(scene->aspen, scene->block);
    machine_destroy(scene->aspen);
}

/* Plant, see it named, take it back. */
#define PLANT(scene, name, place, value)                                       \
    do {                                                                       \
        __typeof__(place) plant_old = (place);                                 \
        (place) = (value);                                                     \
        assert_wrong((scene).aspen, name);                                     \
        (place) = plant_old;                                                   \
        assert_checks((scene).aspen);                                          \
    } while (0)

/* A chunk on one of the lists for parts of chunks. */
static uint32_t
part_chunk(struct aspen *aspen)
{
    for (unsigned list = 0; list < ASPEN_CHUNK_ORDER; list++)
        if (aspen->zone.lists[list] != ASPEN_NO_FRAME)
            return aspen->zone.lists[list];
    fail_msg("no chunk is partly free");
    return 0;
}

static void
test_corrupt_lists(void **unused)
{
    (void)unused;
    struct scene scene = scene_create();
    struct aspen_zone *zone = &scene.aspen->zone;
    uint32_t part = part_chunk(scene.aspen);
    struct aspen_frame_chunk *chunk = &zone->chunks[part];
    struct aspen_frame_chunk *block = &zone->chunks[scene.free_block / 64];

    PLANT(scene, "frame.list", chunk->listed, chunk->listed + 1);
    PLANT(scene, "frame.list", chunk->listed, 0);
    PLANT(scene, "frame.list", chunk->previous, 3);
    PLANT(scene, "frame.list", chunk->next, part);
    PLANT(scene, "frame.list", chunk->next, zone->chunk_count);
    PLANT(scene, "frame.list", chunk->free, 0x0101);
    PLANT(scene, "frame.list", chunk->free, 0);
    PLANT(scene, "frame.list", chunk->free, UINT64_MAX);
    PLANT(scene, "frame.list", block->free, 1);
    PLANT(scene, "frame.list", block[5].listed, 7);
    PLANT(scene, "frame.list", block[5].free, 4);
    PLANT(scene, "frame.list", zone->lists_used, 0);
    PLANT(scene, "frame.list", zone->lists_used, UINT32_MAX >> 1);
    PLANT(scene, "frame.list", zone->lists[8], 0);
    PLANT(scene, "frame.free_count", zone->free_frames, zone->free_frames + 1);
    scene_destroy(&scene);
}

/* Put a chunk on a list as if it belonged there; take it off again. */
static void
assert_listed_wrong(struct aspen *aspen, uint32_t index, unsigned list,
                    const char *name)
{
    struct aspen_zone *zone = &aspen->zone;
    struct aspen_frame_chunk *chunk = &zone->chunks[index];
    struct aspen_frame_chunk old = *chunk;
    uint32_t first = zone->lists[list];
    uint32_t used = zone->lists_used;

    chunk->next = first;
    chunk->previous = ASPEN_NO_FRAME;
    chunk->listed = 1 + list;
    if (first != ASPEN_NO_FRAME)
        zone->chunks[first].previous = index;
    zone->lists[list] = index;
    zone->lists_used |= 1u << list;
    zone->free_frames += (uint64_t)1 << list;
    assert_wrong(aspen, name);

    zone->free_frames -= (uint64_t)1 << list;
    zone->lists_used = used;
    zone->lists[list] = first;
    if (first != ASPEN_NO_FRAME)
        zone->chunks[first].previous = ASPEN_NO_FRAME;
    *chunk = old;
    assert_checks(aspen);
}

static void
test_corrupt_blocks(void **unused)
{
    (void)unused;
    struct scene scene = scene_create();
    uint32_t inside = scene.free_block / 64 + 8;

    assert_listed_wrong(scene.aspen, inside + 1, 7, "frame.alignment");
    assert_listed_wrong(scene.aspen, inside, 12, "frame.alignment");
    assert_listed_wrong(scene.aspen, inside, 7, "frame.overlap");
    scene_destroy(&scene);
}

/*
 * Two buddies that are both free, on the list of their size. Of 512 frames
 * the upper 256 are one block, so taking 128 from it leaves its other half
 * listed.
 */
static void
test_corrupt_unmerged(void **unused)
{
    (void)unused;
    struct aspen *aspen = machine_create(512, false);
    uint32_t lower = alloc(aspen, 7);
    uint32_t upper = alloc(aspen, 7);

    assert_int_equal(lower, 128);
    assert_int_equal(upper, 256);
    assert_int_equal(aspen->zone.chunks[384 / 64].listed, 1 + 7);
    assert_listed_wrong(aspen, upper / 64, 7, "frame.unmerged");
    aspen_frame_put(aspen, lower);
    aspen_frame_put(aspen, upper);
    machine_destroy(aspen);
}

/* One more frame in the cache, that has no business there. */
static void
plant_cached(struct scene *scene, const char *name, uint32_t frame)
{
    scene->cache->frames[scene->cache->count++] = frame;
    assert_wrong(scene->aspen, name);
    scene->cache->count--;
    assert_checks(scene->aspen);
}

static void
test_corrupt_caches(void **unused)
{
    (void)unused;
    struct scene scene = scene_create();
    struct aspen_frame_cache *cache = scene.cache;

    PLANT(scene, "frame.cache", cache->count, ASPEN_FRAME_CACHE_SIZE + 1);
    PLANT(scene, "frame.cache", cache->frames[1], 0);
    PLANT(scene, "frame.cache", cache->frames[1], 4096);
    plant_cached(&scene, "frame.overlap", cache->frames[0]);
    plant_cached(&scene, "frame.overlap", scene.free_block + 3);
    plant_cached(&scene, "frame.overlap", scene.block + 1);
    plant_cached(&scene, "frame.not_zero", scene.single);
    PLANT(scene, "frame.lost", cache->count, cache->count - 1);
    scene_destroy(&scene);
}

static void
test_corrupt_frames(void **unused)
{
    (void)unused;
    struct scene scene = scene_create();
    struct aspen *aspen = scene.aspen;
    struct aspen_frame *table = aspen->frames;
    struct aspen_frame *single = &table[scene.single];
    struct aspen_frame old = *single;
    uint8_t *orders = aspen->orders;

    PLANT(scene, "frame.not_zero", table[scene.free_block].counts, 1);
    PLANT(scene, "frame.not_zero", table[scene.free_block + 9].previous, 1);
    PLANT(scene, "frame.not_zero", table[scene.block + 7].index, 1);
    PLANT(scene, "frame.not_zero", table[scene.cache->frames[0]].next, 1);
    PLANT(scene, "frame.zero_page", table[0].index, 0);
    PLANT(scene, "frame.zero_page", single->index,
          (uint64_t)ASPEN_FRAME_ZERO << ASPEN_FRAME_TYPE_SHIFT);
    PLANT(scene, "frame.type", single->index, 5);
    PLANT(scene, "frame.type", single->index, UINT64_MAX);
    PLANT(scene, "frame.references", single->counts, 0);
    PLANT(scene, "frame.references", single->counts, 1 + 2 * ASPEN_FRAME_MAP);
    PLANT(scene, "frame.order", orders[scene.block], 0);
    PLANT(scene, "frame.order", orders[scene.block], 19);
    PLANT(scene, "frame.order", orders[scene.block], 18);
    PLANT(scene, "frame.lost", orders[scene.block], 2);
    PLANT(scene, "frame.order", orders[scene.single], 1);
    PLANT(scene, "frame.order", orders[scene.block + 1], 1);
    PLANT(scene, "frame.order", orders[scene.free_block], 1);
    PLANT(scene, "frame.order", single->index,
          single->index | ASPEN_FRAME_HEAD);

    memset(single, 0, sizeof(*single));
    assert_wrong(aspen, "frame.lost");
    *single = old;
    scene_destroy(&scene);
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
        cmocka_unit_test(test_corrupt_lists),
        cmocka_unit_test(test_corrupt_blocks),
        cmocka_unit_test(test_corrupt_unmerged),
        cmocka_unit_test(test_corrupt_caches),
        cmocka_unit_test(test_corrupt_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
