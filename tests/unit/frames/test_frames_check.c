/* SPDX-License-Identifier: MIT */
/*
 * test_frames_check.c - the frame allocator's validator: one corruption of each
 * kind is planted, and found by its name.
 */
#include "bare_machine.h"
#include "unit.h"

#include "frames/frames.h"
#include "frames/zone.h"

static void
assert_wrong(struct aspen *aspen, const char *expected)
{
    uint32_t where = 0;
    const char *wrong = aspen_frames_check(aspen, &where);
    assert_non_null(wrong);
    assert_string_equal(wrong, expected);
}

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
    struct scene scene = {.aspen = bare_create(4096, false)};

    scene.single = bare_alloc(scene.aspen, 0);
    scene.block = bare_alloc(scene.aspen, 3);
    scene.cache = &scene.aspen->frame_caches[aspen_port_cpu()];
    assert_true(scene.cache->count > 2);
    scene.free_block = 2048;
    assert_int_equal(aspen_chunk_at(&scene.aspen->banks, 2048 / 64)->listed,
                     1 + 11);
    bare_assert_frames(scene.aspen);
    return scene;
}

static void
scene_destroy(struct scene *scene)
{
    bare_assert_frames(scene->aspen);
    aspen_frame_put(scene->aspen, scene->single);
    aspen_frame_put(scene->aspen, scene->block);
    bare_destroy(scene->aspen);
}

/* Plant, see it named, take it back. */
#define PLANT(scene, name, place, value)                                       \
    do {                                                                       \
        __typeof__(place) plant_old = (place);                                 \
        (place) = (value);                                                     \
        assert_wrong((scene).aspen, name);                                     \
        (place) = plant_old;                                                   \
        bare_assert_frames((scene).aspen);                                     \
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
    struct aspen_frame_chunk *chunk = aspen_chunk_at(zone->banks, part);
    struct aspen_frame_chunk *block =
        aspen_chunk_at(zone->banks, scene.free_block / 64);

    PLANT(scene, "frame.list", chunk->listed, chunk->listed + 1);
    PLANT(scene, "frame.list", chunk->listed, 0);
    PLANT(scene, "frame.list", chunk->previous, 3);
    PLANT(scene, "frame.list", chunk->next, part);
    PLANT(scene, "frame.list", chunk->next, 4096 / 64);
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
    struct aspen_frame_chunk *chunk = aspen_chunk_at(zone->banks, index);
    struct aspen_frame_chunk old = *chunk;
    uint32_t first = zone->lists[list];
    uint32_t used = zone->lists_used;

    chunk->next = first;
    chunk->previous = ASPEN_NO_FRAME;
    chunk->listed = 1 + list;
    if (first != ASPEN_NO_FRAME)
        aspen_chunk_at(zone->banks, first)->previous = index;
    zone->lists[list] = index;
    zone->lists_used |= 1u << list;
    zone->free_frames += (uint64_t)1 << list;
    assert_wrong(aspen, name);

    zone->free_frames -= (uint64_t)1 << list;
    zone->lists_used = used;
    zone->lists[list] = first;
    if (first != ASPEN_NO_FRAME)
        aspen_chunk_at(zone->banks, first)->previous = ASPEN_NO_FRAME;
    *chunk = old;
    bare_assert_frames(aspen);
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
    struct aspen *aspen = bare_create(512, false);
    uint32_t lower = bare_alloc(aspen, 7);
    uint32_t upper = bare_alloc(aspen, 7);

    assert_int_equal(lower, 128);
    assert_int_equal(upper, 256);
    assert_int_equal(aspen_chunk_at(&aspen->banks, 384 / 64)->listed, 1 + 7);
    assert_listed_wrong(aspen, upper / 64, 7, "frame.unmerged");
    aspen_frame_put(aspen, lower);
    aspen_frame_put(aspen, upper);
    bare_destroy(aspen);
}

/* One more frame in the cache, that has no business there. */
static void
plant_cached(struct scene *scene, const char *name, uint32_t frame)
{
    scene->cache->frames[scene->cache->count++] = frame;
    assert_wrong(scene->aspen, name);
    scene->cache->count--;
    bare_assert_frames(scene->aspen);
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
    struct aspen_frame *table = aspen_frame_at(aspen, 0);
    struct aspen_frame *single = &table[scene.single];
    struct aspen_frame old = *single;
    uint8_t *orders = aspen->banks.first->orders;

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
        cmocka_unit_test(test_corrupt_lists),
        cmocka_unit_test(test_corrupt_blocks),
        cmocka_unit_test(test_corrupt_unmerged),
        cmocka_unit_test(test_corrupt_caches),
        cmocka_unit_test(test_corrupt_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
