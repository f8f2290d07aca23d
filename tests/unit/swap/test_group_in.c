/* SPDX-License-Identifier: MIT */
/*
 * What comes back from swap for a group is charged once, and nothing of that
 * stays when it has gone: pages that are read beside others, an area that goes,
 * objects that are cut; also where the group has more than its `high`.
 */
#include "device.h"
#include "helper.h"

#include "internal.h"

#include <aspen/calls/advise.h>

#define BASE  ((uint64_t)0x10000000)
#define PAGES 20u

static struct {
    struct helper_space s;
    struct helper *h;
    struct aspen *aspen;
    struct aspen_mm *mm; /* in the group */
    struct aspen_group *group;
    struct device device;
} scene;

static struct aspen_group_counters
counts(void)
{
    struct aspen_group_counters counters;

    aspen_group_counters_read(scene.group, &counters);
    return counters;
}

static void
begin(void)
{
    memset(&scene, 0, sizeof(scene));
    helper_space_create(&scene.s, NULL);
    scene.h = &scene.s.helper;
    scene.aspen = scene.h->aspen;
    scene.mm = scene.s.mm;
    device_add(&scene.device, scene.aspen, 64, 0);
    assert_int_equal(aspen_group_create(scene.aspen, NULL, &scene.group), 0);
    assert_int_equal(aspen_group_enter(scene.mm, scene.group), 0);
}

/* Whoever is left in the group has left it by now: nothing holds it. */
static void
end(void)
{
    helper_assert_valid(scene.h);
    assert_int_equal(aspen_group_enter(scene.mm, NULL), 0);
    assert_int_equal(counts().pages, 0);
    assert_int_equal(counts().swap_pages, 0);
    aspen_group_put(scene.group);
    assert_int_equal(scene.aspen->groups.count, 0);
    helper_space_destroy(&scene.s);
    device_free(&scene.device);
}

static void
page_out(void)
{
    assert_int_equal(
        aspen_madvise(scene.mm, BASE, PAGES * PAGE, ASPEN_MADV_PAGEOUT), 0);
    assert_int_equal(counts().swap_pages, PAGES);
    assert_int_equal(counts().pages, 0);
}

static void
fill(void)
{
    for (unsigned i = 0; i < PAGES; i++)
        helper_put(scene.h, scene.mm, BASE + i * PAGE, (uint8_t)(i + 1));
}

/* ---- Read beside others -------------------------------------------------- */

/* The one behind is in the swap cache already, so that its frame is not used
 * for it, and those before are read. */
static void
test_beside_one_that_is_there(void **state)
{
    struct aspen_mm *child;
    (void)state;

    begin();
    helper_map(scene.mm, BASE, PAGES, RW);
    fill();
    page_out();
    assert_int_equal(aspen_fork(scene.mm, &child), 0);
    assert_int_equal(
        aspen_madvise(child, BASE, PAGES * PAGE, ASPEN_MADV_RANDOM), 0);
    assert_int_equal(helper_get(scene.h, child, BASE + 19 * PAGE), 20);
    assert_int_equal(counts().pages, 1);
    assert_int_equal(
        aspen_madvise(scene.mm, BASE, PAGES * PAGE, ASPEN_MADV_SEQUENTIAL), 0);
    assert_int_equal(helper_get(scene.h, scene.mm, BASE + 18 * PAGE), 19);
    uint64_t pages = counts().pages;
    assert_true(pages > 2);
    assert_int_equal(pages, helper_counts(scene.aspen).anon_pages);
    helper_assert_valid(scene.h);
    aspen_mm_put(child);
    end();
}

/* ---- More than `high` ---------------------------------------------------- */

/* Shared memory of the group, in swap; and no page of it may be in memory. */
static struct aspen_object *
begin_shared(void)
{
    begin();
    struct aspen_object *object =
        helper_object(scene.h, ASPEN_OBJECT_SHMEM, PAGES, NULL, NULL);
    helper_map_object(scene.mm, BASE, PAGES, RW | ASPEN_VM_SHARED, object, 0);
    fill();
    page_out();
    assert_int_equal(aspen_group_limit_set(scene.group, ASPEN_GROUP_HIGH, 0),
                     0);
    return object;
}

static void
end_shared(struct aspen_object *object)
{
    /* He who brought it back took pages out of it again, as others do. */
    assert_true(counts().events[ASPEN_GROUP_EVENT_HIGH] > 0);
    helper_assert_valid(scene.h);
    assert_int_equal(aspen_munmap(scene.mm, BASE, PAGES * PAGE), 0);
    aspen_object_put(object);
    end();
}

static void
test_area_goes(void **state)
{
    (void)state;
    struct aspen_object *object = begin_shared();
    assert_int_equal(aspen_swap_remove(scene.aspen, scene.device.type), 0);
    assert_int_equal(counts().swap_pages, 0);
    assert_int_equal(counts().pages, PAGES);
    end_shared(object);
}

/* The page at the edge stays until it is zeroed. */
static void
test_cut(void **state)
{
    (void)state;
    struct aspen_object *object = begin_shared();
    assert_int_equal(aspen_object_resize(object, 7 * PAGE + 8), 0);
    assert_int_equal(counts().pages + counts().swap_pages, 8);
    end_shared(object);
}

static void
test_punched(void **state)
{
    (void)state;
    struct aspen_object *object = begin_shared();
    assert_int_equal(aspen_object_punch(object, 3 * PAGE + 8, 5 * PAGE), 0);
    assert_int_equal(counts().pages + counts().swap_pages, PAGES - 4);
    end_shared(object);
}

/* So does who brings back what a space has, */
static void
test_area_goes_from_a_space(void **state)
{
    (void)state;
    begin();
    helper_map(scene.mm, BASE, PAGES, RW);
    fill();
    page_out();
    assert_int_equal(aspen_group_limit_set(scene.group, ASPEN_GROUP_HIGH, 0),
                     0);
    assert_int_equal(aspen_swap_remove(scene.aspen, scene.device.type), 0);
    assert_int_equal(counts().pages, PAGES);
    assert_true(counts().events[ASPEN_GROUP_EVENT_HIGH] > 0);
    end();
}

/* ... and who writes there for the program. */
static void
test_copied_into(void **state)
{
    static const char bytes[PAGES * PAGE];
    uint64_t done;
    (void)state;

    begin();
    helper_map(scene.mm, BASE, PAGES, RW);
    assert_int_equal(aspen_group_limit_set(scene.group, ASPEN_GROUP_HIGH, 1),
                     0);
    assert_int_equal(
        aspen_write_memory(scene.mm, BASE, bytes, sizeof(bytes), 0, &done), 0);
    assert_int_equal(counts().events[ASPEN_GROUP_EVENT_HIGH], 1);
    assert_in_range(counts().pages, 0, 1);
    end();
}

/* ---- No slot within `swap max` ------------------------------------------- */

static void
test_no_slot(void **state)
{
    (void)state;
    begin();
    helper_map(scene.mm, BASE, PAGES, RW);
    fill();
    assert_int_equal(
        aspen_group_limit_set(scene.group, ASPEN_GROUP_SWAP_MAX, 2), 0);
    assert_int_equal(
        aspen_madvise(scene.mm, BASE, 2 * PAGE, ASPEN_MADV_PAGEOUT), 0);
    assert_int_equal(counts().swap_pages, 2);
    assert_int_equal(counts().events[ASPEN_GROUP_EVENT_SWAP_MAX], 0);
    assert_int_equal(
        aspen_madvise(scene.mm, BASE, PAGES * PAGE, ASPEN_MADV_PAGEOUT), 0);
    assert_int_equal(counts().swap_pages, 2);
    assert_int_equal(counts().events[ASPEN_GROUP_EVENT_SWAP_MAX], PAGES - 2);
    end();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_beside_one_that_is_there),
        cmocka_unit_test(test_area_goes),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_punched),
        cmocka_unit_test(test_area_goes_from_a_space),
        cmocka_unit_test(test_copied_into),
        cmocka_unit_test(test_no_slot),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
