/* SPDX-License-Identifier: MIT */
#include "shared_scene.h"

#include <aspen/calls/advise.h>

struct shared_scene scene;

void
scene_begin(uint32_t frames, const struct device *device, uint32_t slots)
{
    struct aspen_config config = helper_config(frames);

    memset(&scene, 0, sizeof(scene));
    config.overcommit = ASPEN_OVERCOMMIT_ALWAYS;
    helper_space_create(&scene.s, &config);
    scene.h = &scene.s.helper;
    scene.aspen = scene.h->aspen;
    scene.mm = scene.s.mm;
    if (device)
        scene.device = *device;
    device_add(&scene.device, scene.aspen, slots, ASPEN_SWAP_CHECKSUM);
}

void
scene_object(unsigned pages)
{
    scene.object =
        helper_object(scene.h, ASPEN_OBJECT_SHMEM, pages, NULL, NULL);
    scene.at = helper_map_object(scene.mm, 0, pages, SHARED, scene.object, 0);
    for (uint64_t i = 0; i < pages; i++) {
        put(scene.mm, scene.at + i * PAGE, i + 1);
        helper_put(scene.h, scene.mm, scene.at + (i + 1) * PAGE - 1, 0xff);
    }
}

void
scene_swapped(void)
{
    scene_begin(4096, NULL, 4 * PAGES);
    scene_object(PAGES);
    page_out(scene.at, PAGES);
    assert_int_equal(scene_slots(), PAGES);
}

void
scene_end(void)
{
    helper_assert_valid(scene.h);
    if (scene.object)
        aspen_object_put(scene.object);
    helper_space_destroy(&scene.s);
    device_free(&scene.device);
}

struct aspen_counters
scene_counts(void)
{
    return helper_counts(scene.aspen);
}

uint64_t
scene_slots(void)
{
    return scene_counts().swap_slots_used;
}

void
page_out(uint64_t at, uint64_t pages)
{
    assert_int_equal(
        aspen_madvise(scene.mm, at, pages * PAGE, ASPEN_MADV_PAGEOUT), 0);
}

void
scene_reclaim(void)
{
    for (unsigned i = 0; i < 8; i++)
        aspen_reclaim(scene.aspen, 8 * PAGES);
}

void
put(struct aspen_mm *mm, uint64_t at, uint64_t number)
{
    assert_int_equal(helper_write(scene.h, mm, at, &number, sizeof(number)), 0);
}

uint64_t
get(struct aspen_mm *mm, uint64_t at)
{
    uint64_t number = UINT64_MAX;

    assert_int_equal(helper_read(scene.h, mm, at, &number, sizeof(number)), 0);
    return number;
}

uint8_t
byte_at(uint64_t offset)
{
    uint8_t byte = 0x55;
    uint64_t done;

    assert_int_equal(aspen_object_read(scene.object, offset, &byte, 1, &done),
                     0);
    assert_int_equal(done, 1);
    return byte;
}

void
assert_page(uint64_t page)
{
    assert_int_equal(get(scene.mm, scene.at + page * PAGE), page + 1);
    assert_int_equal(
        helper_get(scene.h, scene.mm, scene.at + (page + 1) * PAGE - 1), 0xff);
}

void
assert_contents(void)
{
    for (uint64_t i = 0; i < PAGES; i++)
        assert_page(i);
}
