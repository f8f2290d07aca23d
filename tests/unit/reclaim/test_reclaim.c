/* SPDX-License-Identifier: MIT */
/*
 * Which pages of files leave when memory is asked for, mapped or not, and which
 * stay; what they leave behind; every step failing.
 */
#include "beside.h"
#include "failing.h"
#include "helper.h"

#include "frames/lru.h"
#include "object/page_cache.h"

#define BASE  ((uint64_t)0x10000000)
#define PAGES 16u
#define ALL   UINT64_MAX

static const struct aspen_pager_ops pager = {.read = helper_pager_read,
                                             .write = helper_pager_write};
static const struct aspen_pager_ops read_only = {.read = helper_pager_read};
static const struct aspen_pager_ops write_only = {.write = helper_pager_write};

static struct aspen_object *
file(struct helper *h)
{
    return helper_object(h, ASPEN_OBJECT_FILE, PAGES, &pager, NULL);
}

/* Bit n: page n is in the cache. */
static unsigned
cached(struct aspen_object *object)
{
    unsigned pages = 0;
    uint32_t frame;

    for (unsigned i = 0; i < PAGES; i++)
        if (!aspen_object_find_page(object, i, &frame)) {
            pages |= 1u << i;
            aspen_frame_put(object->aspen, frame);
        }
    return pages;
}

static void
read_page(struct aspen_object *object, uint64_t page)
{
    uint8_t byte;
    uint64_t done;

    assert_int_equal(aspen_object_read(object, page * PAGE, &byte, 1, &done),
                     0);
    assert_int_equal(byte, (uint8_t)(page + 1));
}

static void
read_all(struct aspen_object *object)
{
    for (uint64_t i = 0; i < PAGES; i++)
        read_page(object, i);
}

static void
touch(struct aspen_mm *mm, uint64_t address)
{
    assert_int_equal(beside_touch(mm, address), 0);
}

static struct aspen_counters
counters(struct helper_space *s)
{
    return helper_counts(s->helper.aspen);
}

/* ---- What leaves --------------------------------------------------------- */

static void
test_unmapped(void **state)
{
    struct helper_space *s = *state;
    struct aspen_object *o = file(&s->helper);

    assert_int_equal(aspen_reclaim(s->helper.aspen, ALL), 0);
    uint64_t before = counters(s).frames_free;
    read_all(o);
    assert_int_equal(counters(s).inactive_file, PAGES);
    assert_int_equal(aspen_reclaim(s->helper.aspen, ALL), PAGES);
    assert_int_equal(cached(o), 0);
    assert_int_equal(counters(s).frames_free, before);
    assert_int_equal(counters(s).reclaimed, PAGES);
    assert_int_equal(counters(s).shadows, PAGES);
    assert_int_equal(counters(s).inactive_file, 0);
    helper_assert_valid(&s->helper);
    read_all(o);
    assert_int_equal(counters(s).shadows, 0);
    assert_int_equal(cached(o), 0xffff);
    aspen_object_put(o);
}

/* Shared and private, in two spaces; a private copy stays. */
static void
test_mapped(void **state)
{
    struct helper_space *s = *state;
    struct aspen_object *o = file(&s->helper);
    struct aspen_mm *child;

    uint64_t shared =
        helper_map_object(s->mm, 0, PAGES, RW | ASPEN_VM_SHARED, o, 0);
    uint64_t private = helper_map_object(s->mm, 0, PAGES, RW, o, 0);
    for (unsigned i = 0; i < PAGES; i++) {
        touch(s->mm, shared + i * PAGE);
        touch(s->mm, private + i * PAGE);
    }
    helper_put(&s->helper, s->mm, private, 77);
    assert_int_equal(aspen_fork(s->mm, &child), 0);
    touch(child, shared + PAGE);
    assert_int_equal(aspen_reclaim(s->helper.aspen, ALL), PAGES);
    assert_int_equal(cached(o), 0);
    struct aspen_mm_counters rss = helper_counters(s->mm);
    assert_int_equal(rss.file_pages, 0);
    assert_int_equal(rss.anon_pages, 1);
    helper_assert_valid(&s->helper);
    assert_int_equal(helper_get(&s->helper, s->mm, private), 77);
    assert_int_equal(helper_get(&s->helper, child, private), 77);
    assert_int_equal(helper_get(&s->helper, child, private + PAGE), 2);
    assert_int_equal(helper_get(&s->helper, s->mm, shared + PAGE), 2);
    helper_assert_valid(&s->helper);
    aspen_mm_put(child);
    aspen_object_put(o);
}

/* What was accessed since it came, and once more, outlives what was not. */
static void
test_accessed_stays(void **state)
{
    struct helper_space *s = *state;
    struct aspen_object *o = file(&s->helper);

    uint64_t at = helper_map_object(s->mm, 0, PAGES, R | ASPEN_VM_SHARED, o, 0);
    beside_load(false); /* what it caches it has accessed */
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < PAGES; i++)
            if (!round || i == 5)
                touch(s->mm, at + i * PAGE);
            else if (i == 9) /* by a call */
                read_page(o, i);
        /* None has to leave: it only looks. */
        aspen_reclaim(s->helper.aspen, round ? 1 : 0);
    }
    assert_true(aspen_reclaim(s->helper.aspen, 10) >= 10);
    assert_int_equal(cached(o) & (1u << 5 | 1u << 9), 1u << 5 | 1u << 9);
    beside_load(true);
    aspen_object_put(o);
}

/* A page that comes back before others need its place is active at once. */
static void
test_comes_back(void **state)
{
    struct helper_space *s = *state;
    struct aspen_object *o = file(&s->helper);

    read_all(o);
    while (cached(o) & 1)
        assert_true(aspen_reclaim(s->helper.aspen, 1) > 0);
    assert_int_equal(counters(s).refaults, 0);
    read_page(o, 0);
    assert_int_equal(counters(s).refaults, 1);
    assert_int_equal(counters(s).active_file, 1);
    /* Not when more have left since than there are. */
    assert_true(aspen_reclaim(s->helper.aspen, ALL) > 0);
    read_page(o, 1);
    assert_int_equal(counters(s).refaults, 1);
    assert_int_equal(counters(s).inactive_file, 1);
    helper_assert_valid(&s->helper);
    aspen_object_put(o);
}

/* ---- What stays -------------------------------------------------------- */

static void
test_stays(void **state)
{
    struct helper_space *s = *state;
    struct aspen *aspen = s->helper.aspen;
    struct aspen_object *o = file(&s->helper);
    uint32_t pinned, held;
    uint64_t done;

    read_all(o);
    for (unsigned i = 0; i < 3; i++)
        helper_map_object(s->mm, BASE + i * MIB, 1,
                          (i == 2 ? RW : R) | ASPEN_VM_SHARED, o, 1 + 2 * i);
    assert_int_equal(aspen_mlock(s->mm, BASE, PAGE, 0), 0);
    assert_int_equal(aspen_pin_range(s->mm, BASE + MIB, PAGE, 0, &pinned), 0);
    helper_put(&s->helper, s->mm, BASE + 2 * MIB, 99);
    assert_int_equal(aspen_object_write(o, 7 * PAGE, "\10", 1, &done), 0);
    assert_int_equal(aspen_object_find_page(o, 9, &held), 0);
    assert_int_equal(aspen_reclaim(aspen, ALL), PAGES - 3);
    assert_int_equal(cached(o), 1u << 1 | 1u << 3 | 1u << 9);
    assert_int_equal(counters(s).unevictable, 2);
    assert_true(helper_can_read(s->mm, BASE));
    helper_unpin(s->mm, &pinned, 1, 0);
    aspen_frame_put(aspen, held);
    helper_assert_valid(&s->helper);
    aspen_object_put(o);
}

/* A driver's frame at the same offset: nobody could bring it back. */
static void
test_raw_stays(void **state)
{
    struct helper_space *s = *state;
    struct aspen_object *o = file(&s->helper);
    struct aspen_translation to;

    uint64_t at = helper_map_object(s->mm, 0, PAGES, R | ASPEN_VM_SHARED, o, 0);
    uint64_t raw = helper_map_object(
        s->mm, 0, PAGES, RW | ASPEN_VM_SHARED | ASPEN_VM_MIXEDMAP, o, 0);
    assert_int_equal(aspen_insert_raw(s->mm, raw, 0x50000, 0), 0);
    assert_int_equal(aspen_fault(s->mm, at, ASPEN_ACCESS_READ), 0);
    assert_int_equal(aspen_reclaim(s->helper.aspen, ALL), 1);
    assert_int_equal(cached(o), 0);
    assert_int_equal(aspen_mmu_translate(s->mm, raw, &to), 0);
    assert_int_equal(to.number, 0x50000);
    helper_assert_valid(&s->helper);
    aspen_object_put(o);
}

static void
test_stay_no_more(void **state)
{
    struct helper_space *s = *state;
    struct aspen *aspen = s->helper.aspen;
    struct aspen_object *o = file(&s->helper);
    uint32_t pinned;

    uint64_t at = helper_map_object(s->mm, 0, 4, R | ASPEN_VM_SHARED, o, 0);
    assert_int_equal(aspen_mlock(s->mm, at, PAGE, 0), 0);
    assert_int_equal(aspen_pin_range(s->mm, at + PAGE, PAGE, 0, &pinned), 0);
    assert_int_equal(aspen_reclaim(aspen, ALL), 0);
    assert_int_equal(counters(s).unevictable, 2);
    helper_assert_valid(&s->helper);
    assert_int_equal(aspen_munlock(s->mm, at, PAGE), 0);
    helper_unpin(s->mm, &pinned, 1, 0);
    assert_int_equal(aspen_reclaim(aspen, ALL), 2); /* it looks again */
    assert_int_equal(counters(s).unevictable, 0);
    helper_assert_valid(&s->helper);
    aspen_object_put(o);
}

/* What cannot be read again is on no list, or could not be written. */
static void
test_others(void **state)
{
    struct helper_space *s = *state;
    struct helper *h = &s->helper;
    struct aspen_object *stay[] = {
        helper_object(h, ASPEN_OBJECT_SHMEM, PAGES, NULL, NULL),
        helper_object(h, ASPEN_OBJECT_SHMEM, PAGES, &pager, NULL),
        helper_object(h, ASPEN_OBJECT_FILE, PAGES, NULL, NULL),
        helper_object(h, ASPEN_OBJECT_FILE, PAGES, &write_only, NULL),
        helper_object(h, ASPEN_OBJECT_FILE, PAGES, &read_only, NULL),
    };
    char bytes[PAGES * PAGE];
    uint64_t done;

    for (unsigned i = 0; i < 5; i++) {
        memset(bytes, 3, sizeof(bytes));
        assert_int_equal(
            aspen_object_write(stay[i], 0, bytes, sizeof(bytes), &done), 0);
        assert_int_equal(aspen_reclaim(h->aspen, ALL), 0);
        assert_int_equal(cached(stay[i]), 0xffff);
        assert_int_equal(counters(s).unevictable, i == 4 ? PAGES : 0);
        assert_int_equal(counters(s).inactive_file, 0);
        helper_assert_valid(h);
        aspen_object_put(stay[i]);
    }
}

/* ---- Shadows ----------------------------------------------------------- */

static void
test_shadows_go(void **state)
{
    struct helper_space *s = *state;
    struct aspen *aspen = s->helper.aspen;
    struct aspen_object *o = file(&s->helper);

    read_all(o);
    assert_int_equal(aspen_reclaim(aspen, ALL), PAGES);
    assert_int_equal(counters(s).shadows, PAGES);
    assert_int_equal(aspen_object_punch(o, 0, PAGE), -ASPEN_EOPNOTSUPP);
    assert_int_equal(aspen_object_resize(o, 5 * PAGE), 0);
    assert_int_equal(counters(s).shadows, 5);
    helper_assert_valid(&s->helper);
    uint64_t dropped;
    read_page(o, 2);
    assert_int_equal(aspen_object_drop(o, 0, ALL, &dropped), 0);
    assert_int_equal(dropped, 1);
    assert_int_equal(counters(s).shadows, 4);
    helper_assert_valid(&s->helper);
    /* Over a part that has pages and shadows. */
    read_page(o, 1);
    read_page(o, 3);
    assert_int_equal(aspen_object_resize(o, 2 * PAGE), 0);
    assert_int_equal(counters(s).shadows, 1);
    assert_int_equal(cached(o), 2);
    helper_assert_valid(&s->helper);
    assert_int_equal(aspen_object_resize(o, 0), 0);
    assert_int_equal(counters(s).shadows, 0);
    aspen_object_put(o);
}

/* Many files, each read once: there are no more shadows than about twice as
 * many as frames. */
static void
test_shadows_are_bounded(void **state)
{
    (void)state;
    enum { FRAMES = 256, FILES = 4, LONG = 2048 };
    struct aspen_config config = helper_config(FRAMES);
    struct helper_space s;
    struct aspen_object *o[FILES];
    uint64_t most = 0;

    helper_space_create(&s, &config);
    for (unsigned i = 0; i < FILES; i++)
        o[i] = helper_object(&s.helper, ASPEN_OBJECT_FILE, LONG, &pager, NULL);
    for (uint64_t i = 0; i < FILES * LONG; i++) {
        if (counters(&s).frames_free < 64)
            assert_true(aspen_reclaim(s.helper.aspen, 32) > 0);
        read_page(o[i / LONG], i % LONG);
        if (counters(&s).shadows > most)
            most = counters(&s).shadows;
    }
    print_message("%u shadows at the most, of %u frames\n", (unsigned)most,
                  FRAMES);
    assert_in_range(most, FRAMES, 3 * FRAMES);
    helper_assert_valid(&s.helper);
    for (unsigned i = 0; i < FILES; i++)
        aspen_object_put(o[i]);
    assert_int_equal(counters(&s).shadows, 0);
    helper_space_destroy(&s);
}

/* ---- Every step fails --------------------------------------------------- */

/* Nothing of it can: with each step failing as many leave. */
static void
test_needs_no_memory(void **state)
{
    struct helper_space *s = *state;
    struct aspen_object *o = file(&s->helper);
    struct aspen_failpoint_plan plan = {.number = 1, .mode = ASPEN_FAIL_ONWARD};
    struct aspen_failpoint_counts counts;

    uint64_t at = helper_map_object(s->mm, 0, PAGES, R, o, 0);
    for (unsigned i = 0; i < PAGES; i++)
        touch(s->mm, at + i * PAGE);
    assert_int_equal(aspen_failpoints_set(s->helper.aspen, &plan), 0);
    assert_int_equal(aspen_reclaim(s->helper.aspen, ALL), PAGES);
    aspen_failpoints_read(s->helper.aspen, &counts);
    assert_int_equal(counts.crossings, 0);
    assert_int_equal(aspen_failpoints_set(s->helper.aspen, NULL), 0);
    aspen_object_put(o);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        helper_space_test(test_unmapped),
        helper_space_test(test_mapped),
        helper_space_test(test_accessed_stays),
        helper_space_test(test_comes_back),
        helper_space_test(test_stays),
        helper_space_test(test_raw_stays),
        helper_space_test(test_stay_no_more),
        helper_space_test(test_others),
        helper_space_test(test_shadows_go),
        cmocka_unit_test(test_shadows_are_bounded),
        helper_space_test(test_needs_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
