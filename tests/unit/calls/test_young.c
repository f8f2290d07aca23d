/* SPDX-License-Identifier: MIT */
/*
 * Pages that are in use: by a processor, by a second MMU (tests/mmu).
 */
#include "helper.h"

#include "beside.h"
#include "told.h"
#include "paging/table.h"

#define BASE  0x1000000ull
#define PAGES 1100u /* in three tables */

static uint64_t
young(struct aspen_mm *mm, uint64_t page, uint64_t pages, unsigned flags)
{
    uint64_t count = UINT64_MAX;

    assert_int_equal(
        aspen_young(mm, BASE + page * PAGE, pages * PAGE, flags, &count), 0);
    return count;
}

static void
access_page(struct aspen_mm *mm, uint64_t page, enum mmu_access access)
{
    char byte = 'b';

    assert_int_equal(beside_access(mm, BASE + page * PAGE, access, &byte, 1),
                     0);
}

static void
second_access(struct aspen_mm *mm, uint64_t page, enum mmu_access access)
{
    char byte = 'c';

    assert_int_equal(told_second(mm, BASE + page * PAGE, access, &byte, 1), 0);
}

static void
map_all(struct helper_space *s)
{
    uint64_t done;

    helper_map(s->mm, BASE, PAGES, RW);
    assert_int_equal(
        aspen_populate(s->mm, BASE, PAGES * PAGE, ASPEN_ACCESS_WRITE, &done),
        0);
}

static void
what_comes_is_young(void **state)
{
    struct helper_space *s = *state;

    assert_int_equal(young(s->mm, 0, PAGES, 0), 0);
    map_all(s);
    assert_int_equal(young(s->mm, 0, PAGES, 0), PAGES);
    assert_int_equal(young(s->mm, 3, 5, 0), 5);
    assert_int_equal(young(s->mm, PAGES - 1, 300, 0), 1);
    assert_int_equal(young(s->mm, 0, 0, ASPEN_YOUNG_CLEAR), 0);
}

/* A processor that has the page cached notes its next access, too. */
static void
an_access_counts_anew(void **state)
{
    struct helper_space *s = *state;

    map_all(s);
    access_page(s->mm, 5, MMU_READ);
    beside_load(false); /* nobody caches ahead, which is an access as well */
    assert_int_equal(young(s->mm, 1, PAGES, ASPEN_YOUNG_CLEAR), PAGES - 1);
    assert_int_equal(young(s->mm, 0, PAGES, 0), 1);
    access_page(s->mm, 5, MMU_READ);
    access_page(s->mm, 600, MMU_WRITE);
    assert_int_equal(young(s->mm, 1, PAGES, 0), 2);
    assert_int_equal(young(s->mm, 1, PAGES, ASPEN_YOUNG_CLEAR), 2);
    assert_int_equal(young(s->mm, 1, PAGES, 0), 0);
    beside_load(true);
}

/* It goes on with what it has, and says that it does. */
static void
so_does_one_of_the_second_mmu(void **state)
{
    struct helper_space *s = *state;

    map_all(s);
    beside_load(false);
    second_access(s->mm, 5, MMU_READ);
    second_access(s->mm, 1000, MMU_WRITE);
    assert_int_equal(young(s->mm, 0, PAGES, ASPEN_YOUNG_CLEAR), PAGES);
    assert_int_equal(young(s->mm, 0, PAGES, 0), 0);
    second_access(s->mm, 5, MMU_READ);
    second_access(s->mm, 1000, MMU_WRITE);
    assert_int_equal(young(s->mm, 5, 1, 0), 1);
    assert_int_equal(young(s->mm, 0, PAGES, 0), 2);
    assert_int_equal(aspen_madvise(s->mm, BASE, PAGES * PAGE, ASPEN_MADV_COLD),
                     0);
    assert_int_equal(young(s->mm, 0, PAGES, 0), 0);
    second_access(s->mm, 5, MMU_READ);
    assert_int_equal(young(s->mm, 0, PAGES, ASPEN_YOUNG_CLEAR), 1);
    beside_load(true);
}

/* Whoever fills itself by what is old comes by a fault first, which notes it.
 */
static void
what_is_old_is_not_translated(void **state)
{
    struct helper_space *s = *state;
    struct aspen_translation to;

    map_all(s);
    beside_load(false);
    assert_int_equal(aspen_mmu_translate(s->mm, BASE, &to), 0);
    assert_int_equal(young(s->mm, 0, 1, ASPEN_YOUNG_CLEAR), 1);
    assert_int_equal(aspen_mmu_translate(s->mm, BASE, &to), -ASPEN_EFAULT);
    assert_int_equal(aspen_fault(s->mm, BASE, ASPEN_ACCESS_READ), 0);
    assert_int_equal(aspen_mmu_translate(s->mm, BASE, &to), 0);
    assert_int_equal(young(s->mm, 0, 1, 0), 1);
    beside_load(true);
}

static void
a_huge_page_is_all_its_pages(void **state)
{
    struct helper_space *s = *state;
    const uint64_t at = 2 * MIB * 8;
    uint64_t done, count;
    struct aspen_import_pages pages = {
        .address = at,
        .count = 1,
        .kind = ASPEN_IMPORT_ANON,
        .level = 1,
    };

    helper_map(s->mm, at, 512, RW);
    assert_int_equal(aspen_import_pages(s->mm, &pages, &done), 0);
    beside_load(false);
    assert_int_equal(aspen_young(s->mm, at + PAGE, 3 * PAGE, 0, &count), 0);
    assert_int_equal(count, 3);
    assert_int_equal(
        aspen_young(s->mm, at + PAGE, 3 * PAGE, ASPEN_YOUNG_CLEAR, &count), 0);
    assert_int_equal(count, 3);
    assert_int_equal(aspen_young(s->mm, at, 512 * PAGE, 0, &count), 0);
    assert_int_equal(count, 0);
    beside_load(true);
}

static void
what_makes_no_sense_is_refused(void **state)
{
    struct helper_space *s = *state;
    uint64_t count = 77;

#define REFUSED(address, bytes, flags)                                         \
    assert_int_equal(aspen_young(s->mm, address, bytes, flags, &count),        \
                     -ASPEN_EINVAL)
    REFUSED(1, PAGE, 0);
    REFUSED(0, PAGE + 1, 0);
    REFUSED(0, PAGE, 2);
    REFUSED(ASPEN_ADDRESS_LIMIT, PAGE, 0);
    REFUSED(PAGE, -PAGE, 0);
    assert_int_equal(count, 77);
    assert_int_equal(aspen_young(s->mm, 0, ASPEN_ADDRESS_LIMIT, 0, &count), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        helper_space_test(what_comes_is_young),
        helper_space_test(an_access_counts_anew),
        helper_space_test(so_does_one_of_the_second_mmu),
        helper_space_test(what_is_old_is_not_translated),
        helper_space_test(a_huge_page_is_all_its_pages),
        helper_space_test(what_makes_no_sense_is_refused),
    };

#ifndef ASPEN_PORT_MMU_WRITES_ENTRIES
    beside_flags(MMU_FLAGS_FAULT);
#endif
    return cmocka_run_group_tests(tests, NULL, NULL);
}
