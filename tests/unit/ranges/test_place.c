/* SPDX-License-Identifier: MIT */
/* Where mmap places what has no address of its own. */
#include "helper.h"

#include "space/mm.h"

#define AT(page) ((uint64_t)(page)*PAGE)

static void
test_places(void **state)
{
    struct helper_space *s = *state;
    struct aspen_mm *mm = s->mm;
    uint64_t a;

    mm->layout.mmap_base = AT(0x1000);
    /* Top down, the highest gap that is large enough. */
    assert_int_equal(helper_map(mm, 0, 16, R), AT(0xff0));
    assert_int_equal(helper_map(mm, 0, 16, RW), AT(0xfe0));
    helper_unmap(mm, AT(0xff4), 4);
    assert_int_equal(helper_map(mm, 0, 5, RX), AT(0xfdb));
    assert_int_equal(helper_map(mm, 0, 4, RX), AT(0xff4));

    /* A hint is taken when it is free, rounded down; else it is searched. */
    assert_int_equal(helper_try_map(mm, AT(0x800) + 5, PAGE, R, 0, &a), 0);
    assert_int_equal(a, AT(0x800));
    assert_int_equal(helper_try_map(mm, AT(0x800), PAGE, RW, 0, &a), 0);
    assert_int_equal(a, AT(0xfda));
    assert_int_equal(helper_try_map(mm, AT(0x2000), PAGE, R, 0, &a), 0);
    assert_int_equal(a, AT(0x2000));
    assert_int_equal(helper_try_map(mm, 5000, PAGE, R, 0, &a), 0);
    assert_int_equal(a, AT(16));

    /* Nothing is left below the base: from the bottom up. */
    assert_int_equal(helper_try_map(mm, 0, AT(0xfff), R, 0, &a), 0);
    assert_int_equal(a, mm->layout.mmap_bottom);

    assert_int_equal(
        helper_try_map(mm, AT(0x7ff), AT(2), R, ASPEN_MAP_FIXED_NOREPLACE, &a),
        -ASPEN_EEXIST);
    assert_int_equal(
        helper_try_map(mm, AT(0x7fe), AT(2), RX, ASPEN_MAP_FIXED_NOREPLACE, &a),
        0);
    assert_int_equal(a, AT(0x7fe));
}

/* 256 pages stay free below what grows down, unless the place is fixed. */
static void
test_guard_gap(void **state)
{
    struct helper_space *s = *state;
    struct aspen_mm *mm = s->mm;
    uint64_t a;

    mm->layout.mmap_base = AT(0x2000);
    helper_map(mm, AT(0x1f00), 4, RW | ASPEN_VM_GROWSDOWN);
    helper_map(mm, AT(0x1f04), 0xf8, R);
    assert_int_equal(helper_map(mm, 0, 5, R), AT(0x1dfb));
    assert_int_equal(helper_map(mm, 0, 4, RW), AT(0x1ffc));
    assert_int_equal(helper_try_map(mm, AT(0x1e01), PAGE, RX, 0, &a), 0);
    assert_int_equal(a, AT(0x1dfa)); /* the hint lies in the gap */
    assert_int_equal(helper_map(mm, AT(0x1eff), 1, R), AT(0x1eff));
}

static void
test_windows(void **state)
{
    struct helper_space *s = *state;
    struct aspen_mm *mm = s->mm;
    const uint64_t gib = GIB / PAGE;
    uint64_t a;

    assert_int_equal(helper_try_map(mm, 0, AT(3), R, ASPEN_MAP_32BIT, &a), 0);
    assert_int_equal(a, GIB);
    helper_map(mm, AT(gib + 3), gib - 3 - 4, R);
    assert_int_equal(helper_try_map(mm, 0, AT(5), R, ASPEN_MAP_32BIT, &a),
                     -ASPEN_ENOMEM);
    assert_int_equal(helper_try_map(mm, 0, AT(4), R, ASPEN_MAP_32BIT, &a), 0);
    assert_int_equal(a, AT(2 * gib - 4));
    assert_int_equal(helper_try_map(mm, AT(900), PAGE, R, ASPEN_MAP_32BIT, &a),
                     0);
    assert_int_equal(a, AT(900));

    mm->layout.mmap_base = AT(4 * gib + 4);
    assert_int_equal(helper_try_map(mm, 0, AT(3), R, ASPEN_MAP_ABOVE4G, &a), 0);
    assert_int_equal(a, AT(4 * gib + 1));
    assert_int_equal(helper_try_map(mm, 0, AT(2), R, ASPEN_MAP_ABOVE4G, &a), 0);
    assert_int_equal(a, mm->layout.mmap_bottom);
    assert_int_equal(helper_try_map(mm, 0, AT(2), RX, 0, &a), 0);
    assert_int_equal(a, AT(4 * gib - 1));
}

/* What huge pages do to places. */
static void
test_huge_places(void **state)
{
    const uint64_t huge = 2 * MIB;
    struct helper_space *s = *state;
    struct aspen_object *object;
    struct aspen_mm *mm = s->mm;
    struct aspen_object_args args = {.kind = ASPEN_OBJECT_FILE,
                                     .size_bytes = GIB,
                                     .placement = ASPEN_PLACEMENT_HUGE};
    struct aspen_mmap_args map = {.length_bytes = huge, .vm_flags = R};
    uint64_t a;

    mm->layout.mmap_base = GIB + AT(5);
    assert_int_equal(helper_try_map(mm, 0, huge, R, 0, &a), 0);
    assert_int_equal(a, GIB - huge);
    assert_int_equal(helper_try_map(mm, 0, huge + PAGE, R, 0, &a), 0);
    assert_int_equal(a, GIB - 2 * huge - PAGE);
    assert_int_equal(helper_try_map(mm, 0, AT(4), R, 0, &a), 0);
    assert_int_equal(a, GIB + AT(1));
    /* A file's pages lie in it as they do in huge pages. */
    assert_int_equal(aspen_object_create(s->helper.aspen, &args, &object), 0);
    map.object = object;
    map.offset_bytes = AT(7);
    assert_int_equal(aspen_mmap(mm, &map, &a), 0); /* none fits inside */
    assert_int_equal(a, GIB - 3 * huge - PAGE);
    map.length_bytes = 2 * huge;
    assert_int_equal(aspen_mmap(mm, &map, &a), 0);
    assert_int_equal(a % huge, AT(7));
    assert_true(a > GIB - 7 * huge);
    aspen_object_put(object);
}

/* Shared memory looks for a place first and for a better one then. */
static void
test_huge_shared_places(void **state)
{
    const uint64_t huge = 2 * MIB;
    struct helper_space *s = *state;
    struct aspen_object *object;
    struct aspen_mm *mm = s->mm;
    struct aspen_object_args args = {.kind = ASPEN_OBJECT_SHMEM,
                                     .size_bytes = GIB,
                                     .placement = ASPEN_PLACEMENT_SHMEM_HUGE};
    struct aspen_mmap_args map = {.length_bytes = huge + PAGE,
                                  .vm_flags = R | ASPEN_VM_SHARED};
    uint64_t a;

    mm->layout.mmap_base = GIB + AT(5);
    assert_int_equal(aspen_object_create(s->helper.aspen, &args, &object), 0);
    map.object = object;
    assert_int_equal(aspen_mmap(mm, &map, &a), 0);
    assert_int_equal(a, GIB - huge);
    map.length_bytes = 2 * huge;
    map.offset_bytes = AT(9);
    assert_int_equal(aspen_mmap(mm, &map, &a), 0);
    assert_int_equal(a % huge, AT(9));
    map.address = 5 * huge + PAGE; /* a hint is taken as it is */
    assert_int_equal(aspen_mmap(mm, &map, &a), 0);
    assert_int_equal(a, 5 * huge + PAGE);
    map.address = 0;
    map.length_bytes = huge - PAGE;
    assert_int_equal(aspen_mmap(mm, &map, &a), 0);
    assert_int_not_equal(a % huge, AT(9));
    aspen_object_put(object);
}

static void
test_no_place(void **state)
{
    struct helper_space *s = *state;
    struct aspen_mm *mm = s->mm;
    uint64_t a;
    uint64_t half = mm->address_limit / 2 / PAGE;

    mm->layout.mmap_base = mm->address_limit;
    helper_map(mm, AT(half), 1, R);
    assert_int_equal(helper_try_map(mm, 0, AT(half) + PAGE, R, 0, &a),
                     -ASPEN_ENOMEM);
    assert_int_equal(helper_try_map(mm, 0, AT(half) - 16 * PAGE, R, 0, &a), 0);
    assert_int_equal(
        a, AT(half + 1) +
               (mm->address_limit / PAGE - half - 1 - (half - 16)) * PAGE);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        helper_space_test(test_places),
        helper_space_test(test_guard_gap),
        helper_space_test(test_windows),
        helper_space_test(test_huge_places),
        helper_space_test(test_huge_shared_places),
        helper_space_test(test_no_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
