/* SPDX-License-Identifier: MIT */
/*
 * A swap area goes: from every space, with pages that are shared, locked away
 * by PROT_NONE, or cannot be read; interrupted; without memory; beside threads
 * that go on.
 */
#define _GNU_SOURCE
#include "device.h"
#include "failing.h"
#include "helper.h"

#include "base/atomic.h"
#include "machine/swap_map.h"

#include <aspen/calls/advise.h>

#define PAGES 40u

struct scene {
    struct helper_space s;
    struct helper *h;
    struct aspen *aspen;
    struct aspen_mm *mm;
    struct device device;
    uint64_t at;
};

static void
page_out(const struct scene *scene, struct aspen_mm *mm)
{
    assert_int_equal(
        aspen_madvise(mm, scene->at, PAGES * PAGE, ASPEN_MADV_PAGEOUT), 0);
}

static uint64_t
swapped(struct aspen_mm *mm)
{
    return helper_counters(mm).swap_pages;
}

/* Pages of which number i begins with i, in swap. */
static void
begin(struct scene *scene, uint32_t frames)
{
    struct aspen_config config = helper_config(frames);

    memset(scene, 0, sizeof(*scene));
    config.overcommit = ASPEN_OVERCOMMIT_ALWAYS;
    helper_space_create(&scene->s, &config);
    scene->h = &scene->s.helper;
    scene->aspen = scene->h->aspen;
    scene->mm = scene->s.mm;
    device_add(&scene->device, scene->aspen, 256, ASPEN_SWAP_CHECKSUM);
    scene->at = helper_map(scene->mm, 0, PAGES, RW);
    for (uint64_t i = 0; i < PAGES; i++)
        assert_int_equal(helper_write(scene->h, scene->mm, scene->at + i * PAGE,
                                      &i, sizeof(i)),
                         0);
    page_out(scene, scene->mm);
    assert_int_equal(swapped(scene->mm), PAGES);
}

static void
end(struct scene *scene)
{
    helper_assert_valid(scene->h);
    helper_space_destroy(&scene->s);
    device_free(&scene->device);
}

static void
assert_contents(struct scene *scene, struct aspen_mm *mm)
{
    for (uint64_t i = 0; i < PAGES; i++) {
        uint64_t found = ~i;
        assert_int_equal(helper_read(scene->h, mm, scene->at + i * PAGE, &found,
                                     sizeof(found)),
                         0);
        assert_int_equal(found, i);
    }
}

static void
test_comes_back(void **state)
{
    struct scene scene;
    unsigned type;
    (void)state;

    begin(&scene, 4096);
    assert_int_equal(aspen_swap_remove(scene.aspen, scene.device.type), 0);
    assert_int_equal(swapped(scene.mm), 0);
    assert_int_equal(helper_counters(scene.mm).anon_pages, PAGES);
    assert_int_equal(aspen_swap_references(scene.aspen, 0, 0), -1);
    assert_false(aspen_swap_has_room(scene.aspen, 0));
    helper_assert_valid(scene.h);
    assert_contents(&scene, scene.mm);
    /* It is gone; its number is free. */
    assert_int_equal(aspen_swap_remove(scene.aspen, scene.device.type),
                     -ASPEN_EINVAL);
    assert_int_equal(aspen_swap_remove(scene.aspen, ASPEN_SWAP_AREAS),
                     -ASPEN_EINVAL);
    page_out(&scene, scene.mm);
    assert_int_equal(swapped(scene.mm), 0);
    assert_int_equal(aspen_swap_area_add(scene.aspen, 3, &type), 0);
    assert_int_equal(type, scene.device.type);
    end(&scene);
}

/* Relatives, of which one has some pages back, and memory nobody may access. */
static void
test_every_space(void **state)
{
    struct scene scene;
    struct aspen_mm *child, *grandchild;
    (void)state;

    begin(&scene, 4096);
    assert_int_equal(aspen_fork(scene.mm, &child), 0);
    assert_int_equal(aspen_fork(child, &grandchild), 0);
    (void)helper_get(scene.h, child, scene.at + 3 * PAGE);
    assert_int_equal(
        aspen_mprotect(child, scene.at, PAGES * PAGE, 0, ASPEN_PKEY_SAME), 0);
    assert_int_equal(aspen_swap_remove(scene.aspen, scene.device.type), 0);
    /* Each is read once: the child's; then 1, 2, 4, 8 four times. */
    assert_int_equal(scene.device.transfers, 2 + 8);
    assert_int_equal(swapped(scene.mm), 0);
    assert_int_equal(swapped(child), 0);
    assert_int_equal(swapped(grandchild), 0);
    helper_assert_valid(scene.h);
    assert_int_equal(aspen_fault(child, scene.at, ASPEN_ACCESS_READ),
                     -ASPEN_EACCES);
    assert_int_equal(
        aspen_mprotect(child, scene.at, PAGES * PAGE, RW, ASPEN_PKEY_SAME), 0);
    assert_contents(&scene, scene.mm);
    assert_contents(&scene, child);
    assert_contents(&scene, grandchild);
    helper_put(scene.h, child, scene.at, 99);
    assert_contents(&scene, grandchild);
    aspen_mm_put(child);
    aspen_mm_put(grandchild);
    end(&scene);
}

/* A space that exec is filling has not been published yet. */
static void
test_space_of_exec(void **state)
{
    struct scene scene;
    struct aspen_mm *next;
    (void)state;

    begin(&scene, 4096);
    assert_int_equal(aspen_exec_prepare(scene.mm, &next), 0);
    uint64_t at = helper_map(next, 0, 2, RW);
    helper_put(scene.h, next, at, 7);
    assert_int_equal(aspen_madvise(next, at, 2 * PAGE, ASPEN_MADV_PAGEOUT), 0);
    assert_int_equal(swapped(next), 1);
    assert_int_equal(aspen_swap_remove(scene.aspen, scene.device.type), 0);
    assert_int_equal(swapped(next), 0);
    assert_int_equal(helper_get(scene.h, next, at), 7);
    assert_contents(&scene, scene.mm);
    aspen_exec_abort(next);
    end(&scene);
}

/* What can be read comes back all the same; then the area is as before. */
static void
test_unreadable_page(void **state)
{
    struct scene scene;
    (void)state;

    begin(&scene, 4096);
    scene.device.slots[7][100] ^= 1;
    assert_int_equal(aspen_swap_remove(scene.aspen, scene.device.type),
                     -ASPEN_EIO);
    assert_int_equal(swapped(scene.mm), 1);
    helper_assert_valid(scene.h);
    page_out(&scene, scene.mm); /* it takes pages again */
    assert_int_equal(swapped(scene.mm), PAGES);
    scene.device.slots[7][100] ^= 1;
    assert_int_equal(aspen_swap_remove(scene.aspen, scene.device.type), 0);
    assert_contents(&scene, scene.mm);
    end(&scene);
}

/* There is less memory than pages, and no other area. */
static void
test_no_memory(void **state)
{
    struct scene scene;
    uint64_t more;
    (void)state;

    begin(&scene, 96);
    more = helper_map(scene.mm, 0, 100, RW);
    for (uint64_t i = 0; i < 100; i++)
        helper_put(scene.h, scene.mm, more + i * PAGE, (uint8_t)i);
    assert_int_equal(aspen_swap_remove(scene.aspen, scene.device.type),
                     -ASPEN_ENOMEM);
    assert_true(swapped(scene.mm) > 0);
    helper_assert_valid(scene.h);
    assert_contents(&scene, scene.mm);
    helper_unmap(scene.mm, more, 100);
    assert_int_equal(aspen_swap_remove(scene.aspen, scene.device.type), 0);
    assert_contents(&scene, scene.mm);
    end(&scene);
}

/* Pages go to another area to make room. */
static void
test_to_another_area(void **state)
{
    struct scene scene;
    struct device other = {0};
    uint64_t more;
    (void)state;

    begin(&scene, 96);
    more = helper_map(scene.mm, 0, 100, RW);
    for (uint64_t i = 0; i < 100; i++)
        helper_put(scene.h, scene.mm, more + i * PAGE, (uint8_t)i);
    device_add(&other, scene.aspen, 256, 0);
    assert_int_equal(aspen_swap_remove(scene.aspen, scene.device.type), 0);
    assert_true(swapped(scene.mm) > 0);
    helper_assert_valid(scene.h);
    assert_contents(&scene, scene.mm);
    for (uint64_t i = 0; i < 100; i++)
        assert_int_equal(helper_get(scene.h, scene.mm, more + i * PAGE), i);
    end(&scene);
    device_free(&other);
}

/* ---- Failing ----------------------------------------------------------- */

/* At each step, once and onward: the area is in use as before, or gone. */
static void
test_every_step(void **state)
{
    struct scene scene;
    unsigned failed = 0;
    (void)state;

    for (unsigned mode = ASPEN_FAIL_ONCE; mode <= ASPEN_FAIL_ONWARD; mode++)
        for (uint64_t n = 1; n <= 150; n += n < 12 ? 1 : 23) {
            struct aspen_failpoint_plan plan = {
                .mode = (enum aspen_fail_mode)mode, .number = n};
            begin(&scene, 4096);
            assert_int_equal(aspen_failpoints_set(scene.aspen, &plan), 0);
            int error = aspen_swap_remove(scene.aspen, scene.device.type);
            assert_int_equal(aspen_failpoints_set(scene.aspen, NULL), 0);
            failed += error != 0;
            helper_assert_valid(scene.h);
            if (error) {
                page_out(&scene, scene.mm);
                assert_int_equal(swapped(scene.mm), PAGES);
                assert_int_equal(
                    aspen_swap_remove(scene.aspen, scene.device.type), 0);
            }
            assert_int_equal(swapped(scene.mm), 0);
            assert_contents(&scene, scene.mm);
            end(&scene);
        }
    assert_true(failed > 20);
}

/* ---- Threads ----------------------------------------------------------- */

#define THREADS 4u
#define ROUNDS  600u

struct soak {
    struct scene *scene;
    uint32_t next; /* atomic, as the next two */
    uint32_t removed;
    uint32_t stayed;
};

static void
take_away(struct soak *soak)
{
    struct scene *scene = soak->scene;
    struct device *device = &scene->device;

    int error = aspen_swap_remove(scene->aspen, device->type);
    if (error) {
        assert_int_equal(error, -ASPEN_EBUSY);
        aspen_fetch_add(&soak->stayed, 1u);
        return;
    }
    aspen_fetch_add(&soak->removed, 1u);
    device_free(device); /* nobody reads it, nobody writes to it */
    device_add(device, scene->aspen, 256, ASPEN_SWAP_CHECKSUM);
}

static void
compare(struct soak *soak, struct aspen_mm *mm, uint64_t page)
{
    uint64_t found = ~page, done;

    assert_int_equal(aspen_read_memory(mm, soak->scene->at + page * PAGE,
                                       &found, sizeof(found), 0, &done),
                     0);
    assert_int_equal(found, page);
}

static void *
soak_thread(void *argument)
{
    struct soak *soak = argument;
    struct scene *scene = soak->scene;
    uint32_t number = aspen_fetch_add(&soak->next, 1u);
    uint64_t seed = number + 1;
    struct aspen_mm *child;

    for (unsigned i = 0; i < unit_rounds(ROUNDS); i++) {
        if (number == 0 && i % 8 == 0)
            take_away(soak);
        else if (i % 16 == 1 && !aspen_fork(scene->mm, &child)) {
            compare(soak, child, unit_below(&seed, PAGES));
            page_out(scene, child);
            aspen_mm_put(child);
        } else if (i % 4 == 2)
            page_out(scene, scene->mm);
        else
            compare(soak, scene->mm, unit_below(&seed, PAGES));
    }
    return NULL;
}

/* Slots that are counted alone lead to no page that could come back. */
/* What is charged has to be below the limit that there will be. */
static void
test_charge(void **state)
{
    struct aspen_config config = helper_config(1024);
    struct helper_space s;
    unsigned type;
    (void)state;

    config.overcommit = ASPEN_OVERCOMMIT_NEVER; /* of half of the RAM */
    helper_space_create(&s, &config);
    assert_int_equal(aspen_swap_area_add(s.helper.aspen, 256, &type), 0);
    uint64_t at = helper_map(s.mm, 0, 512, RW);
    assert_int_equal(aspen_swap_remove(s.helper.aspen, type), -ASPEN_ENOMEM);
    assert_int_equal(helper_counts(s.helper.aspen).swap_slots, 256);
    assert_int_equal(helper_counts(s.helper.aspen).committed_pages, 512);
    helper_assert_valid(&s.helper);
    helper_unmap(s.mm, at, 1);
    assert_int_equal(aspen_swap_remove(s.helper.aspen, type), 0);
    assert_int_equal(helper_counts(s.helper.aspen).swap_slots, 0);
    assert_int_equal(helper_counts(s.helper.aspen).committed_pages, 511);
    helper_space_destroy(&s);
}

static void
test_no_device(void **state)
{
    struct helper_space s;
    struct aspen_config config = helper_config(1024);
    unsigned area;
    (void)state;

    helper_space_create(&s, &config);
    assert_int_equal(aspen_swap_area_add(s.helper.aspen, 8, &area), 0);
    helper_import(s.mm, MIB, 1, MAY_RW, NULL, MIB / PAGE);
    assert_int_equal(helper_import_pages(s.mm, MIB, 1, ASPEN_IMPORT_SWAP, 0),
                     0);
    assert_int_equal(aspen_swap_remove(s.helper.aspen, area),
                     -ASPEN_EOPNOTSUPP);
    assert_int_equal(aspen_swap_used(s.helper.aspen, area), 1);
    helper_assert_valid(&s.helper);
    helper_unmap(s.mm, MIB, 1);
    assert_int_equal(aspen_swap_remove(s.helper.aspen, area), 0);
    assert_int_equal(aspen_swap_remove(s.helper.aspen, area), -ASPEN_EINVAL);
    helper_space_destroy(&s);
}

static void
test_threads(void **state)
{
    struct scene scene;
    struct soak soak = {.scene = &scene};
    (void)state;

    begin(&scene, 4096);
    unit_run_threads(THREADS, soak_thread, &soak);
    print_message("%u times removed, %u not\n", soak.removed, soak.stayed);
    assert_true(soak.removed > 0);
    assert_contents(&scene, scene.mm);
    end(&scene);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_comes_back),
        cmocka_unit_test(test_every_space),
        cmocka_unit_test(test_space_of_exec),
        cmocka_unit_test(test_unreadable_page),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_to_another_area),
        cmocka_unit_test(test_every_step),
        cmocka_unit_test(test_charge),
        cmocka_unit_test(test_no_device),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
