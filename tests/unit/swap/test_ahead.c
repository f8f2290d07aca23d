/* SPDX-License-Identifier: MIT */
/*
 * What comes from swap beside the page that is needed: by order of accesses,
 * by slots, by MADV_WILLNEED; how much, what is found of it, and what goes when
 * memory is short.
 */
#include "failing.h"
#include "helper.h"
#include "slots.h"

#include "internal.h"

#include <aspen/calls/advise.h>

#define PAGES 64u
#define SLOTS 256u

static struct {
    unsigned char slots[SLOTS][PAGE];
    unsigned transfers; /* that read */
    unsigned reads;     /* pages */
    unsigned most;      /* pages at a time */
    unsigned writes;
    uint32_t bad_slot; /* cannot be read; SLOTS: none */
    bool several_fail; /* transfers of more than one page */
} device;

static int
transfer(void *context, const struct aspen_swap_io *io)
{
    (void)context;
    if (io->write) {
        device.writes += io->pages;
    } else {
        device.transfers++;
        device.reads += io->pages;
        if (io->pages > device.most)
            device.most = io->pages;
        if ((io->slot <= device.bad_slot &&
             device.bad_slot < io->slot + io->pages) ||
            (device.several_fail && io->pages > 1))
            return -ASPEN_EIO;
    }
    return slots_transfer(device.slots, io);
}

struct scene {
    struct helper_space s;
    struct helper *h;
    struct aspen *aspen;
    struct aspen_mm *mm;
    uint64_t at;
};

/* PAGES pages in swap, in order; page i begins with i + 1. */
static void
begin(struct scene *scene, uint32_t ahead, unsigned flags)
{
    static const struct aspen_swap_ops ops = {.transfer = transfer};
    struct aspen_swap_args args = {.pages = SLOTS, .ops = &ops, .flags = flags};
    struct aspen_config config = helper_config(512);

    config.swap_ahead_pages = ahead;
    memset(&device, 0, sizeof(device));
    device.bad_slot = SLOTS;
    helper_space_create(&scene->s, &config);
    scene->h = &scene->s.helper;
    scene->aspen = scene->h->aspen;
    scene->mm = scene->s.mm;
    assert_int_equal(aspen_swap_add(scene->aspen, &args, &(unsigned){0}), 0);
    scene->at = helper_map(scene->mm, 0, PAGES, RW);
    for (unsigned i = 0; i < PAGES; i++)
        helper_put(scene->h, scene->mm, scene->at + i * PAGE, (uint8_t)(i + 1));
    assert_int_equal(
        aspen_madvise(scene->mm, scene->at, PAGES * PAGE, ASPEN_MADV_PAGEOUT),
        0);
    assert_int_equal(helper_counters(scene->mm).swap_pages, PAGES);
}

static void
end(struct scene *scene)
{
    helper_assert_valid(scene->h);
    helper_space_destroy(&scene->s);
}

static void
read_page(struct scene *scene, unsigned i)
{
    assert_int_equal(helper_get(scene->h, scene->mm, scene->at + i * PAGE),
                     i + 1);
}

static void
read_all(struct scene *scene)
{
    for (unsigned i = 0; i < PAGES; i++)
        read_page(scene, i);
}

static int
willneed(struct scene *scene)
{
    return aspen_madvise(scene->mm, scene->at, PAGES * PAGE,
                         ASPEN_MADV_WILLNEED);
}

/* ---- Faults -------------------------------------------------------------- */

/* The window opens, up to what was said. */
static void
test_in_order(void **state)
{
    struct scene scene;
    (void)state;

    begin(&scene, 8, 0);
    read_all(&scene);
    struct aspen_counters counts = helper_counts(scene.aspen);
    print_message("%u transfers, %u read ahead, %u found\n", device.transfers,
                  (unsigned)counts.swap_ra, (unsigned)counts.swap_ra_hit);
    assert_int_equal(device.reads, PAGES);
    assert_int_equal(device.most, 8);
    assert_in_range(device.transfers, PAGES / 8, PAGES / 8 + 4);
    assert_int_equal(counts.swap_ra, PAGES - device.transfers);
    assert_int_equal(counts.swap_ra_hit, counts.swap_ra);
    assert_int_equal(counts.swap_slots_used, 0);
    end(&scene);
}

/* Without a hit it closes, and is not opened. */
static void
test_out_of_order(void **state)
{
    struct scene scene;
    (void)state;

    begin(&scene, 8, 0);
    for (unsigned i = 0; i < 9; i++) /* 0; 1, 2; 3 to 6; 7 to 14 */
        read_page(&scene, i);
    assert_int_equal(device.transfers, 4);
    assert_int_equal(device.reads, 15);
    read_page(&scene, 24); /* the last was found: to 31 */
    read_page(&scene, 40); /* to 43 */
    read_page(&scene, 52); /* and 53 */
    read_page(&scene, 60);
    read_page(&scene, 34);
    assert_int_equal(device.transfers, 4 + 5);
    assert_int_equal(device.reads, 15 + 8 + 4 + 2 + 1 + 1);
    helper_assert_valid(scene.h);
    read_all(&scene);
    end(&scene);
}

static void
test_advised(void **state)
{
    struct scene scene;
    (void)state;

    begin(&scene, 8, 0);
    assert_int_equal(
        aspen_madvise(scene.mm, scene.at, PAGES * PAGE, ASPEN_MADV_RANDOM), 0);
    read_all(&scene);
    assert_int_equal(device.transfers, PAGES);
    end(&scene);
    begin(&scene, 8, 0);
    assert_int_equal(
        aspen_madvise(scene.mm, scene.at, PAGES * PAGE, ASPEN_MADV_SEQUENTIAL),
        0);
    read_all(&scene);
    assert_int_equal(device.transfers, PAGES / 8);
    end(&scene);
}

static void
test_bounded(void **state)
{
    struct scene scene;
    (void)state;

    for (uint32_t most = 0; most <= 32; most += 16) {
        begin(&scene, most, 0);
        read_all(&scene);
        assert_int_equal(device.most, most ? most : 1);
        end(&scene);
    }
}

/* Not those of other mappings, whose slots stand between; by slots all. */
static void
test_by_slot(void **state)
{
    struct scene scene;
    (void)state;

    for (unsigned rotating = 0; rotating < 2; rotating++) {
        begin(&scene, 8, rotating ? ASPEN_SWAP_ROTATING : 0);
        uint64_t a = helper_map(scene.mm, 0, 16, RW);
        uint64_t b = helper_map(scene.mm, 0, 16, RW);
        for (unsigned i = 0; i < 16; i++) {
            helper_put(scene.h, scene.mm, a + i * PAGE, 100);
            helper_put(scene.h, scene.mm, b + i * PAGE, 101);
            assert_int_equal(
                aspen_madvise(scene.mm, a + i * PAGE, PAGE, ASPEN_MADV_PAGEOUT),
                0);
            assert_int_equal(
                aspen_madvise(scene.mm, b + i * PAGE, PAGE, ASPEN_MADV_PAGEOUT),
                0);
        }
        for (unsigned i = 0; i < 16; i++)
            assert_int_equal(helper_get(scene.h, scene.mm, a + i * PAGE), 100);
        assert_int_equal(helper_counts(scene.aspen).swap_ra > 0, rotating);
        helper_assert_valid(scene.h);
        for (unsigned i = 0; i < 16; i++)
            assert_int_equal(helper_get(scene.h, scene.mm, b + i * PAGE), 101);
        end(&scene);
    }
}

/* ---- WILLNEED ------------------------------------------------------------ */

static void
test_willneed(void **state)
{
    struct scene scene;
    (void)state;

    begin(&scene, 8, 0);
    assert_int_equal(willneed(&scene), 0);
    assert_int_equal(device.reads, PAGES);
    assert_in_range(device.transfers, 2, 3);
    assert_int_equal(helper_counters(scene.mm).swap_pages, PAGES);
    helper_assert_valid(scene.h);
    assert_int_equal(willneed(&scene), 0); /* all are there */
    read_all(&scene);
    assert_int_equal(device.reads, PAGES);
    assert_int_equal(helper_counts(scene.aspen).swap_slots_used, 0);
    end(&scene);
}

/* They go as they came. */
static void
test_dropped(void **state)
{
    struct scene scene;
    (void)state;

    begin(&scene, 8, 0);
    uint64_t free = helper_counts(scene.aspen).frames_free;
    assert_int_equal(willneed(&scene), 0);
    assert_int_equal(helper_counts(scene.aspen).frames_free, free - PAGES);
    unsigned writes = device.writes;
    assert_int_equal(aspen_reclaim(scene.aspen, PAGES), PAGES);
    assert_int_equal(device.writes, writes);
    assert_int_equal(helper_counts(scene.aspen).frames_free, free);
    helper_assert_valid(scene.h);
    read_all(&scene);
    end(&scene);
}

/* Whatever fails nobody hears of it, and nothing is lost. */
static void
test_failing(void **state)
{
    struct scene scene;
    struct aspen_failpoint_counts counts = {.crossings = UINT64_MAX};
    (void)state;

    for (unsigned mode = ASPEN_FAIL_ONCE; mode <= ASPEN_FAIL_ONWARD; mode++)
        for (uint64_t n = 1; n <= aspen_min_u64(counts.crossings, 40); n++) {
            struct aspen_failpoint_plan plan = {
                .mode = (enum aspen_fail_mode)mode, .number = n};
            begin(&scene, 8, 0);
            assert_int_equal(aspen_failpoints_set(scene.aspen, &plan), 0);
            assert_int_equal(willneed(&scene), 0);
            aspen_failpoints_read(scene.aspen, &counts);
            assert_int_equal(aspen_failpoints_set(scene.aspen, NULL), 0);
            helper_assert_valid(scene.h);
            read_all(&scene);
            end(&scene);
        }
    assert_true(counts.crossings > 0);
}

/* ---- Devices that fail --------------------------------------------------- */

/* Who needs a page gets it, if that one can be read. */
static void
test_bad_neighbour(void **state)
{
    struct scene scene;
    (void)state;

    begin(&scene, 8, 0);
    device.several_fail = true;
    read_all(&scene);
    end(&scene);
    begin(&scene, 8, 0);
    device.bad_slot = 5;
    for (unsigned i = 0; i < PAGES; i++)
        if (i != 5)
            read_page(&scene, i);
    assert_int_equal(
        aspen_fault(scene.mm, scene.at + 5 * PAGE, ASPEN_ACCESS_READ),
        -ASPEN_EIO);
    helper_assert_valid(scene.h);
    device.bad_slot = SLOTS;
    read_page(&scene, 5);
    end(&scene);
}

/* ---- Memory that is short ------------------------------------------------ */

static void
test_memory_is_short(void **state)
{
    struct scene scene;
    (void)state;

    begin(&scene, 8, 0);
    aspen_store(&scene.aspen->zone.low, UINT64_MAX);
    read_all(&scene);
    assert_int_equal(device.transfers, PAGES);
    assert_int_equal(helper_counts(scene.aspen).swap_ra, 0);
    end(&scene);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_order),
        cmocka_unit_test(test_out_of_order),
        cmocka_unit_test(test_advised),
        cmocka_unit_test(test_bounded),
        cmocka_unit_test(test_by_slot),
        cmocka_unit_test(test_willneed),
        cmocka_unit_test(test_dropped),
        cmocka_unit_test(test_failing),
        cmocka_unit_test(test_bad_neighbour),
        cmocka_unit_test(test_memory_is_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
