/* SPDX-License-Identifier: MIT */
/*
 * Pages of shared memory go to swap and come back: by every way to them, in
 * several spaces, with private copies, cut off, asked about; what stays; and
 * devices that fail.
 */
#include "device.h"
#include "helper.h"
#include "shared_scene.h"

#include <aspen/calls/advise.h>

#include <pthread.h>

/* ---- There and back ---------------------------------------------------- */

static void
comes_back_by_faults(void **state)
{
    (void)state;
    scene_begin(4096, NULL, 4 * PAGES);
    scene_object(PAGES);
    uint64_t free_before = scene_counts().frames_free;
    assert_int_equal(scene_counts().shmem_pages, PAGES);
    page_out(scene.at, PAGES);
    assert_int_equal(scene_counts().shmem_pages, 0);
    assert_int_equal(scene_counts().anon_pages, 0);
    assert_int_equal(scene_counts().swapped_out, PAGES);
    assert_int_equal(scene_slots(), PAGES);
    assert_int_equal(helper_counters(scene.mm).shmem_pages, 0);
    assert_int_equal(scene_counts().frames_free, free_before + PAGES);
    helper_assert_valid(scene.h);
    uint64_t major = scene_counts().major_faults;
    assert_contents();
    assert_true(scene_counts().major_faults > major);
    assert_int_equal(scene_slots(), 0);
    assert_int_equal(scene_counts().shmem_pages, PAGES);
    assert_int_equal(scene_counts().swapped_in, PAGES);
    helper_assert_valid(scene.h);
    /* Faults are in order: 1, 2, 4, 8 and so on came at a time. */
    assert_int_equal(scene.device.transfers, 2 + 3 + 5);
    assert_int_equal(scene_counts().swap_ra_hit, scene_counts().swap_ra);
    /* And out once more: what is back is dirty. */
    put(scene.mm, scene.at, 1);
    page_out(scene.at, PAGES);
    assert_int_equal(scene_counts().swapped_out, 2 * PAGES);
    assert_contents();
    scene_end();
}

static void
comes_back_by_bytes(void **state)
{
    uint64_t done, number;
    (void)state;

    scene_swapped();
    for (uint64_t i = 0; i < PAGES; i++) {
        assert_int_equal(aspen_object_read(scene.object, i * PAGE, &number,
                                           sizeof(number), &done),
                         0);
        assert_int_equal(number, i + 1);
    }
    page_out(scene.at, PAGES); /* nobody maps it: nothing leaves */
    assert_int_equal(scene_slots(), 0);
    scene_reclaim();
    assert_int_equal(scene_slots(), PAGES);
    number = 77;
    assert_int_equal(aspen_object_write(scene.object, 3 * PAGE, &number,
                                        sizeof(number), &done),
                     0);
    assert_int_equal(scene_slots(), PAGES - 1);
    assert_int_equal(get(scene.mm, scene.at + 3 * PAGE), 77);
    put(scene.mm, scene.at + 3 * PAGE, 4);
    assert_contents();
    scene_end();
}

/* In one space alone, or in several: all see the same. */
static void
is_seen_by_all(void **state)
{
    struct aspen_mm *child;
    (void)state;

    scene_swapped();
    assert_int_equal(aspen_fork(scene.mm, &child), 0);
    assert_int_equal(get(child, scene.at + 5 * PAGE), 6);
    put(child, scene.at + 5 * PAGE, 600);
    assert_int_equal(get(scene.mm, scene.at + 5 * PAGE), 600);
    scene_reclaim();
    assert_int_equal(scene_slots(), PAGES);
    put(scene.mm, scene.at + 5 * PAGE, 6);
    assert_int_equal(get(child, scene.at + 5 * PAGE), 6);
    helper_assert_valid(scene.h);
    aspen_mm_put(child);
    assert_contents();
    scene_end();
}

/* Read through a private mapping, then written there: a copy of its own, which
 * leaves as any anonymous page. */
static void
has_private_copies(void **state)
{
    (void)state;
    scene_swapped();
    uint64_t own = helper_map_object(scene.mm, 0, PAGES, RW, scene.object, 0);
    assert_int_equal(get(scene.mm, own + 2 * PAGE), 3);
    put(scene.mm, own + 2 * PAGE, 33); /* from memory */
    put(scene.mm, own + 9 * PAGE, 99); /* from swap */
    scene_reclaim();
    assert_int_equal(helper_counters(scene.mm).swap_pages, 2);
    assert_int_equal(scene_slots(), PAGES + 2);
    helper_assert_valid(scene.h);
    assert_int_equal(get(scene.mm, own + 2 * PAGE), 33);
    assert_int_equal(get(scene.mm, own + 9 * PAGE), 99);
    assert_int_equal(get(scene.mm, own + 10 * PAGE), 11);
    assert_contents();
    scene_end();
}

/* As a MAP_SHARED | MAP_ANONYMOUS, and populated. */
static void
is_shared_zeroes(void **state)
{
    (void)state;
    scene_swapped();
    uint64_t at = helper_map(scene.mm, 0, 10, SHARED);
    for (uint64_t i = 0; i < 10; i++)
        put(scene.mm, at + i * PAGE, 100 + i);
    page_out(at, 10);
    assert_int_equal(scene_slots(), PAGES + 10);
    assert_int_equal(
        aspen_madvise(scene.mm, at, 10 * PAGE, ASPEN_MADV_POPULATE_WRITE), 0);
    assert_int_equal(scene_slots(), PAGES);
    for (uint64_t i = 0; i < 10; i++) {
        assert_true(helper_can_write(scene.mm, at + i * PAGE));
        assert_int_equal(get(scene.mm, at + i * PAGE), 100 + i);
    }
    page_out(at, 10);
    helper_unmap(scene.mm, at, 10);
    assert_int_equal(scene_slots(), PAGES);
    scene_end();
}

static void
last_reference_frees(void **state)
{
    (void)state;
    scene_swapped();
    (void)get(scene.mm, scene.at + 7 * PAGE);
    helper_unmap(scene.mm, scene.at, PAGES);
    assert_int_equal(scene_slots(), PAGES - 1);
    aspen_object_put(scene.object);
    scene.object = NULL;
    assert_int_equal(scene_slots(), 0);
    scene_end();
}

/* ---- Cut off ----------------------------------------------------------- */

static void
is_truncated(void **state)
{
    (void)state;
    scene_swapped();
    (void)get(scene.mm, scene.at + 20 * PAGE);
    assert_int_equal(aspen_object_resize(scene.object, 10 * PAGE), 0);
    assert_int_equal(scene_slots(), 10);
    helper_assert_valid(scene.h);
    /* The last page in part: it comes back, and what is cut off is zeroed. */
    assert_int_equal(aspen_object_resize(scene.object, 4 * PAGE + 100), 0);
    assert_int_equal(scene_slots(), 4);
    assert_int_equal(aspen_object_resize(scene.object, PAGES * PAGE), 0);
    assert_int_equal(byte_at(4 * PAGE), 5);
    assert_int_equal(byte_at(5 * PAGE - 1), 0);
    assert_int_equal(byte_at(5 * PAGE), 0);
    assert_int_equal(byte_at(20 * PAGE), 0);
    assert_page(3);
    scene_end();
}

static void
is_punched(void **state)
{
    (void)state;
    scene_swapped();
    assert_int_equal(aspen_object_punch(scene.object, 3 * PAGE + 4, 5 * PAGE),
                     0);
    assert_int_equal(scene_slots(), PAGES - 6);
    helper_assert_valid(scene.h);
    assert_int_equal(byte_at(3 * PAGE), 4);
    assert_int_equal(byte_at(4 * PAGE - 1), 0);
    assert_int_equal(byte_at(5 * PAGE), 0);
    assert_int_equal(byte_at(8 * PAGE), 0);
    assert_int_equal(byte_at(9 * PAGE - 1), 0xff);
    assert_page(2);
    assert_page(9);
    /* Inside one page. */
    assert_int_equal(aspen_object_punch(scene.object, 30 * PAGE + 8, 8), 0);
    assert_page(30);
    scene_end();
}

/* ---- Asked about -------------------------------------------------------- */

static unsigned
resident(void)
{
    uint8_t vector[PAGES];
    unsigned sum = 0;

    assert_int_equal(aspen_mincore(scene.mm, scene.at, PAGES * PAGE, vector),
                     0);
    for (unsigned i = 0; i < PAGES; i++)
        sum += vector[i];
    return sum;
}

static void
is_read_ahead(void **state)
{
    (void)state;
    scene_swapped();
    assert_int_equal(resident(), 0);
    assert_int_equal(aspen_fault(scene.mm, scene.at,
                                 ASPEN_ACCESS_READ | ASPEN_ACCESS_NOWAIT),
                     -ASPEN_EAGAIN);
    uint32_t transfers = scene.device.transfers;
    assert_int_equal(
        aspen_madvise(scene.mm, scene.at, PAGES * PAGE, ASPEN_MADV_WILLNEED),
        0);
    assert_int_equal(resident(), PAGES); /* the swap cache counts */
    assert_int_equal(scene.device.transfers, transfers + 2);
    assert_int_equal(scene_slots(), PAGES);
    helper_assert_valid(scene.h);
    assert_contents();
    assert_int_equal(scene.device.transfers, transfers + 2);
    assert_int_equal(scene_slots(), 0);
    /* Unless they leave again before they are needed; not written again. */
    page_out(scene.at, PAGES);
    assert_int_equal(
        aspen_madvise(scene.mm, scene.at, PAGES * PAGE, ASPEN_MADV_WILLNEED),
        0);
    uint64_t written = scene_counts().swapped_out;
    scene_reclaim();
    assert_int_equal(scene_counts().swapped_out, written);
    assert_int_equal(resident(), 0);
    assert_contents();
    scene_end();
}

/* Of the first or the second mapping in smaps. */
static unsigned
smaps_of(const char *label, unsigned mapping)
{
    char *text = helper_smaps(scene.mm);
    char *at = text;
    unsigned kilobytes = 0;

    for (unsigned i = 0; i <= mapping; i++) {
        at = strstr(at, label);
        assert_non_null(at);
        at += strlen(label);
    }
    assert_int_equal(sscanf(at, "%u kB", &kilobytes), 1);
    free(text);
    return kilobytes;
}

static void
is_in_smaps(void **state)
{
    (void)state;
    scene_swapped();
    (void)get(scene.mm, scene.at);
    assert_int_equal(smaps_of("\nSwap:", 0), (PAGES - 1) * 4);
    assert_int_equal(smaps_of("\nSwapPss:", 0), 0);
    assert_int_equal(
        smaps_of("\nShared_Dirty:", 0) + smaps_of("\nPrivate_Dirty:", 0), 4);
    helper_unmap(scene.mm, scene.at, 10);
    assert_int_equal(smaps_of("\nSwap:", 0), (PAGES - 10) * 4);
    /* Private: what is behind copies is not its own. */
    uint64_t own =
        helper_map_object(scene.mm, 64 * MIB, PAGES, RW, scene.object, 0);
    put(scene.mm, own + 20 * PAGE, 1);
    page_out(own + 20 * PAGE, 1);
    scene_reclaim();
    unsigned first = smaps_of("\nSwap:", 0), second = smaps_of("\nSwap:", 1);
    assert_int_equal(first + second, (PAGES + PAGES - 10) * 4);
    assert_int_equal(smaps_of("\nSwapPss:", 0) + smaps_of("\nSwapPss:", 1), 4);
    scene_end();
}

/* Asked in the middle of a call: a thread takes out of memory all that it can.
 */
static void *
take_all(void *unused)
{
    (void)unused;
    scene_reclaim();
    return NULL;
}

static int
meanwhile(void)
{
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, take_all, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    return 0;
}

static int
resize_meanwhile(void *context, uint64_t size_bytes)
{
    (void)context;
    (void)size_bytes;
    return meanwhile();
}

static int
punch_meanwhile(void *context, uint64_t offset_bytes, uint64_t length_bytes)
{
    (void)context;
    (void)offset_bytes;
    (void)length_bytes;
    return meanwhile();
}

/* A page that is to be zeroed in part stays until it has been. */
static void
edge_stays_meanwhile(void **state)
{
    static const struct aspen_pager_ops pager = {.resize = resize_meanwhile,
                                                 .punch = punch_meanwhile};
    uint8_t ones[4 * PAGE];
    uint64_t done;
    (void)state;

    memset(ones, 1, sizeof(ones));
    scene_begin(4096, NULL, 4 * PAGES);
    scene.object = helper_object(scene.h, ASPEN_OBJECT_SHMEM, 4, &pager, NULL);
    assert_int_equal(
        aspen_object_write(scene.object, 0, ones, sizeof(ones), &done), 0);
    assert_int_equal(aspen_object_punch(scene.object, 100, 2 * PAGE), 0);
    assert_int_equal(scene_slots(), 1);
    assert_int_equal(byte_at(99), 1);
    assert_int_equal(byte_at(100), 0);
    assert_int_equal(byte_at(2 * PAGE + 99), 0);
    assert_int_equal(byte_at(2 * PAGE + 100), 1);
    assert_int_equal(aspen_object_resize(scene.object, 3 * PAGE + 7), 0);
    assert_int_equal(aspen_object_resize(scene.object, 4 * PAGE), 0);
    assert_int_equal(byte_at(3 * PAGE + 6), 1);
    assert_int_equal(byte_at(3 * PAGE + 7), 0);
    scene_end();
}

/* ---- What stays --------------------------------------------------------- */

static void
locked_and_held_stay(void **state)
{
    uint32_t pinned[4];
    (void)state;

    scene_begin(4096, NULL, 4 * PAGES);
    scene_object(PAGES);
    assert_int_equal(aspen_mlock(scene.mm, scene.at, 4 * PAGE, 0), 0);
    assert_int_equal(aspen_pin_range(scene.mm, scene.at + 4 * PAGE, 4 * PAGE,
                                     ASPEN_PIN_WRITE, pinned),
                     0);
    scene_reclaim();
    assert_int_equal(scene_slots(), PAGES - 8);
    assert_int_equal(scene_counts().unevictable, 8);
    helper_assert_valid(scene.h);
    assert_int_equal(aspen_object_deny_writable(scene.object), -ASPEN_EBUSY);
    helper_unpin(scene.mm, pinned, 4, ASPEN_PIN_WRITE);
    assert_int_equal(aspen_munlock(scene.mm, scene.at, 4 * PAGE), 0);
    scene_reclaim();
    assert_int_equal(scene_slots(), PAGES);
    assert_int_equal(scene_counts().unevictable, 0);
    /* Sealed: pages in swap are nobody's. */
    helper_unmap(scene.mm, scene.at, PAGES);
    assert_int_equal(aspen_object_deny_writable(scene.object), 0);
    assert_int_equal(byte_at(7 * PAGE), 8);
    assert_int_equal(aspen_object_allow_writable(scene.object), 0);
    scene_end();
}

/* What its embedder could read again, or wants to hear of, is not swapped. */
static void
with_a_pager_stays(void **state)
{
    static const struct aspen_pager_ops pager = {.read = helper_pager_read};
    (void)state;

    scene_swapped();
    struct aspen_object *object =
        helper_object(scene.h, ASPEN_OBJECT_SHMEM, 4, &pager, NULL);
    uint64_t at = helper_map_object(scene.mm, 0, 4, SHARED, object, 0);
    aspen_object_put(object);
    assert_int_equal(helper_get(scene.h, scene.mm, at), 1);
    page_out(at, 4);
    scene_reclaim();
    assert_true(helper_can_read(scene.mm, at));
    assert_int_equal(scene_slots(), PAGES);
    scene_end();
}

static void
without_a_slot_stays(void **state)
{
    (void)state;
    scene_begin(4096, NULL, 4 * PAGES);
    scene_object(6 * PAGES);
    scene_reclaim();
    assert_int_equal(scene_slots(), 4 * PAGES);
    assert_int_equal(scene_counts().unevictable, 2 * PAGES);
    helper_assert_valid(scene.h);
    for (uint64_t i = 0; i < 6 * PAGES; i++)
        assert_page(i);
    scene_end();
}

/* ---- Devices that fail -------------------------------------------------- */

static void
is_not_written(void **state)
{
    (void)state;
    scene_begin(4096, NULL, 4 * PAGES);
    scene_object(PAGES);
    scene.device.fails = 1000;
    page_out(scene.at, PAGES);
    assert_int_equal(resident(), PAGES);
    helper_assert_valid(scene.h);
    assert_contents();
    scene.device.fails = 0;
    page_out(scene.at, PAGES);
    assert_int_equal(resident(), 0);
    assert_contents();
    scene_end();
}

/* That page alone. */
static void
is_not_read(void **state)
{
    uint8_t bytes[PAGE];
    uint64_t done;
    (void)state;

    scene_swapped();
    scene.device.slots[7][100] ^= 1;
    assert_int_equal(
        aspen_fault(scene.mm, scene.at + 7 * PAGE, ASPEN_ACCESS_READ),
        -ASPEN_EIO);
    assert_int_equal(
        aspen_object_read(scene.object, 6 * PAGE + 8, bytes, PAGE, &done),
        -ASPEN_EIO);
    assert_int_equal(done, PAGE - 8);
    assert_int_equal(aspen_object_resize(scene.object, 7 * PAGE + 1),
                     -ASPEN_EIO);
    assert_int_equal(aspen_object_size(scene.object), PAGES * PAGE);
    assert_int_equal(aspen_object_punch(scene.object, 5 * PAGE, 2 * PAGE + 1),
                     -ASPEN_EIO);
    helper_assert_valid(scene.h);
    for (uint64_t i = 0; i < PAGES; i++)
        if (i != 7)
            assert_page(i);
    assert_int_equal(scene_slots(), 1);
    assert_int_equal(aspen_swap_remove(scene.aspen, scene.device.type),
                     -ASPEN_EIO);
    scene.device.slots[7][100] ^= 1;
    assert_int_equal(aspen_swap_remove(scene.aspen, scene.device.type), 0);
    assert_contents();
    scene_end();
}

/* ---- The area goes ------------------------------------------------------ */

static void
area_goes(void **state)
{
    (void)state;
    scene_swapped();
    struct aspen_object *other =
        helper_object(scene.h, ASPEN_OBJECT_SHMEM, 4, NULL, NULL);
    uint64_t done, number = 5;
    assert_int_equal(
        aspen_object_write(other, 2 * PAGE, &number, sizeof(number), &done), 0);
    scene_reclaim();
    assert_int_equal(scene_slots(), PAGES + 1);
    (void)get(scene.mm, scene.at + 3 * PAGE);
    assert_int_equal(aspen_swap_remove(scene.aspen, scene.device.type), 0);
    assert_int_equal(scene_counts().swap_slots, 0);
    assert_int_equal(scene_counts().shmem_pages, PAGES + 1);
    helper_assert_valid(scene.h);
    number = 0;
    assert_int_equal(
        aspen_object_read(other, 2 * PAGE, &number, sizeof(number), &done), 0);
    assert_int_equal(number, 5);
    aspen_object_put(other);
    assert_contents();
    scene_end();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back_by_faults),
        cmocka_unit_test(comes_back_by_bytes),
        cmocka_unit_test(is_seen_by_all),
        cmocka_unit_test(has_private_copies),
        cmocka_unit_test(is_shared_zeroes),
        cmocka_unit_test(last_reference_frees),
        cmocka_unit_test(is_truncated),
        cmocka_unit_test(is_punched),
        cmocka_unit_test(edge_stays_meanwhile),
        cmocka_unit_test(is_read_ahead),
        cmocka_unit_test(is_in_smaps),
        cmocka_unit_test(locked_and_held_stay),
        cmocka_unit_test(with_a_pager_stays),
        cmocka_unit_test(without_a_slot_stays),
        cmocka_unit_test(is_not_written),
        cmocka_unit_test(is_not_read),
        cmocka_unit_test(area_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
