/* SPDX-License-Identifier: MIT */
/*
 * The top of user space by configuration: all calls and walks keep to it,
 * wherever it cuts the tables.
 */
#include "helper.h"

#include "space/mm.h"

#define FIXED ASPEN_MAP_FIXED

/* For programs of 32 bits, and others that share no edge with a table. */
static const uint64_t tops[] = {
    4 * GIB,
    4 * GIB - PAGE,
    3 * GIB,
    GIB + 7 * PAGE,
    GIB + 256 * MIB,
    256 * GIB,
    512 * GIB + PAGE,
    ASPEN_ADDRESS_LIMIT - GIB - PAGE,
    ASPEN_ADDRESS_LIMIT,
};

static uint64_t
create(struct helper_space *s, uint64_t top)
{
    struct aspen_config config = helper_config(1024);

    config.address_limit = top;
    helper_space_create(s, &config);
    assert_int_equal(s->mm->address_limit, top);
    return top;
}

static int
map_at(struct helper_space *s, uint64_t address, uint64_t bytes, unsigned flags)
{
    uint64_t got;

    int error = helper_try_map(s->mm, address, bytes, RW, flags, &got);
    if (!error && flags & FIXED)
        assert_int_equal(got, address);
    return error;
}

/* What calls answer at the top, just there and just above. */
static void
calls_end_there(void **state)
{
    (void)state;
    for (size_t i = 0; i < ASPEN_ARRAY_SIZE(tops); i++) {
        if (tops[i] > ASPEN_ADDRESS_LIMIT)
            continue;
        struct helper_space s;
        uint64_t top = create(&s, tops[i]);
        struct aspen_import_vma import = {
            .start = top, .end = top + PAGE, .vm_flags = R | MAY};
        uint32_t frame;

        assert_int_equal(map_at(&s, top - PAGE, PAGE, FIXED), 0);
        assert_int_equal(map_at(&s, top, PAGE, FIXED), -ASPEN_ENOMEM);
        assert_int_equal(map_at(&s, top - PAGE, 2 * PAGE, FIXED),
                         -ASPEN_ENOMEM);
        helper_put(&s.helper, s.mm, top - PAGE, 7);
        assert_int_equal(helper_get(&s.helper, s.mm, top - 1), 0);
        assert_int_equal(aspen_fault(s.mm, top, ASPEN_ACCESS_READ),
                         -ASPEN_EFAULT);
        assert_int_equal(aspen_translate(s.mm, top, ASPEN_ACCESS_READ, &frame),
                         -ASPEN_EFAULT);
        assert_int_equal(aspen_munmap(s.mm, top - PAGE, 2 * PAGE),
                         -ASPEN_EINVAL);
        assert_int_equal(aspen_mprotect(s.mm, top, PAGE, R, -1), -ASPEN_ENOMEM);
        assert_int_equal(helper_remap(s.mm, top - PAGE, PAGE, 2 * PAGE, 0, 0),
                         -ASPEN_ENOMEM);
        assert_int_equal(helper_remap(s.mm, top - PAGE, PAGE, PAGE,
                                      ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED,
                                      top),
                         -ASPEN_EINVAL);
        assert_int_equal(aspen_import_vma(s.mm, &import), -ASPEN_EINVAL);
        helper_space_destroy(&s);
    }
}

/* Its pages are walked to by fork, and by who takes them away; the tables at
 * the edge go with the last page. */
static void
walks_reach_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < ASPEN_ARRAY_SIZE(tops); i++) {
        if (tops[i] > ASPEN_ADDRESS_LIMIT)
            continue;
        struct helper_space s;
        uint64_t top = create(&s, tops[i]);
        struct aspen_mm *child;

        assert_int_equal(map_at(&s, top - 2 * PAGE, 2 * PAGE, FIXED), 0);
        helper_put(&s.helper, s.mm, top - PAGE, 7);
        assert_int_equal(aspen_fork(s.mm, &child), 0);
        assert_int_equal(helper_get(&s.helper, child, top - PAGE), 7);
        helper_put(&s.helper, child, top - PAGE, 8);
        assert_int_equal(helper_get(&s.helper, s.mm, top - PAGE), 7);
        helper_assert_valid(&s.helper);
        assert_int_equal(child->address_limit, top);
        aspen_mm_put(child);
        assert_int_equal(aspen_munmap(s.mm, top - 2 * PAGE, 2 * PAGE), 0);
        assert_int_equal(helper_counters(s.mm).page_tables, 0);
        helper_space_destroy(&s);
    }
}

/* Without a hint, with one, with each flag of place, in both directions. */
static void
places_are_below(void **state)
{
    static const unsigned flags[] = {0, ASPEN_MAP_32BIT, ASPEN_MAP_ABOVE4G};

    (void)state;
    for (size_t i = 0; i < ASPEN_ARRAY_SIZE(tops); i++) {
        if (tops[i] > ASPEN_ADDRESS_LIMIT)
            continue;
        struct helper_space s;
        uint64_t top = create(&s, tops[i]);
        struct aspen_layout layout;

        for (unsigned n = 0; n < 2 * ASPEN_ARRAY_SIZE(flags); n++) {
            uint64_t hints[] = {0, top - PAGE, top, UINT64_MAX - PAGE};
            aspen_layout_read(s.mm, &layout);
            layout.bottom_up = n & 1;
            assert_int_equal(aspen_layout_set(s.mm, &layout), 0);
            for (size_t h = 0; h < ASPEN_ARRAY_SIZE(hints); h++) {
                uint64_t a = 0;
                int error = helper_try_map(s.mm, hints[h], 2 * MIB, RW,
                                           flags[n / 2], &a);
                bool none =
                    flags[n / 2] == ASPEN_MAP_32BIT && top < GIB + 64 * MIB;
                assert_int_equal(error, none ? -ASPEN_ENOMEM : 0);
                if (!error)
                    assert_true(a + 2 * MIB <= top);
            }
        }
        helper_assert_valid(&s.helper);
        helper_space_destroy(&s);
    }
}

/* One mapping of all there is, and no more. */
static void
all_of_it(void **state)
{
    struct helper_space s;
    uint64_t top = create(&s, GIB);
    uint64_t lowest = aspen_mm_lowest(s.mm), a;

    (void)state;
    assert_int_equal(helper_try_map(s.mm, 0, top - lowest + PAGE, R, 0, &a),
                     -ASPEN_ENOMEM);
    assert_int_equal(helper_try_map(s.mm, 0, top - lowest, R, 0, &a), 0);
    assert_int_equal(a, lowest);
    assert_int_equal(map_at(&s, 0, PAGE, 0), -ASPEN_ENOMEM);
    helper_space_destroy(&s);
}

/* The area of mappings, with a stack as large as may be and all chance. */
static void
layouts(void **state)
{
    struct aspen_layout_choice choice = {.random_bytes = UINT64_MAX};
    struct aspen_layout layout;

    (void)state;
    for (size_t i = 0; i < ASPEN_ARRAY_SIZE(tops); i++) {
        if (tops[i] > ASPEN_ADDRESS_LIMIT)
            continue;
        struct helper_space s;
        uint64_t top = create(&s, tops[i]);
        uint64_t window = aspen_mm_window(s.mm);

        aspen_layout_read(s.mm, &layout);
        assert_int_equal(layout.mmap_base, window);
        for (choice.flags = 0; choice.flags <= ASPEN_LAYOUT_CHOICE_FLAGS;
             choice.flags++) {
            aspen_layout_read(s.mm, &layout);
            assert_int_equal(aspen_layout_choose(s.mm, &choice, &layout), 0);
            assert_true(layout.mmap_base > window / 32 &&
                        layout.mmap_base < window);
            assert_true(layout.mmap_bottom < window / 2);
            assert_int_equal(aspen_layout_set(s.mm, &layout), 0);
            layout.brk = layout.brk_start = top;
            assert_int_equal(aspen_layout_set(s.mm, &layout), -ASPEN_EINVAL);
            layout.brk = layout.brk_start = 0;
            layout.mmap_base = top;
            assert_int_equal(aspen_layout_set(s.mm, &layout), 0);
        }
        helper_space_destroy(&s);
    }
}

/* Where addresses have more bits than programs expect, only a hint above gets
 * one; searches end at the window, in both directions. */
static void
window_opens_by_a_hint(void **state)
{
    const uint64_t above = ASPEN_MAP_WINDOW + GIB;
    struct aspen_layout layout;
    struct helper_space s;
    uint64_t a;

    (void)state;
    if (ASPEN_ADDRESS_LIMIT == ASPEN_MAP_WINDOW)
        return;
    create(&s, ASPEN_ADDRESS_LIMIT);
    aspen_layout_read(s.mm, &layout);
    for (unsigned up = 0; up < 2; up++) {
        layout.bottom_up = up;
        assert_int_equal(aspen_layout_set(s.mm, &layout), 0);
        assert_int_equal(helper_try_map(s.mm, 0, PAGE, RW, 0, &a), 0);
        assert_true(a < ASPEN_MAP_WINDOW);
        assert_int_equal(helper_try_map(s.mm, above, PAGE, RW, 0, &a), 0);
        assert_int_equal(a, above);
        helper_put(&s.helper, s.mm, a, 7);
        /* it is taken: somewhere else, above as well if from the top down */
        assert_int_equal(helper_try_map(s.mm, above, PAGE, RW, 0, &a), 0);
        assert_true(a != above && (a > ASPEN_MAP_WINDOW) == !up);
        helper_unmap(s.mm, above, 1);
        /* half below, half above: not there */
        assert_int_equal(
            helper_try_map(s.mm, ASPEN_MAP_WINDOW - PAGE, 2 * PAGE, RW, 0, &a),
            0);
        assert_true(a + 2 * PAGE <= ASPEN_MAP_WINDOW);
    }
    helper_assert_valid(&s.helper);
    helper_space_destroy(&s);
}

/* A stack of 32 bits leaves 8 MiB, not 16 GiB, for chance. */
static void
small_stack(void **state)
{
    struct helper_space s;
    uint64_t top = create(&s, 4 * GIB);
    struct aspen_layout_choice choice = {.flags =
                                             ASPEN_LAYOUT_CHOICE_RANDOM_STACK};
    struct aspen_layout layout;

    (void)state;
    assert_int_equal(aspen_limit_set(s.mm, ASPEN_LIMIT_STACK, 256 * MIB), 0);
    assert_int_equal(aspen_layout_choose(s.mm, &choice, &layout), 0);
    assert_int_equal(layout.mmap_base,
                     top - 256 * MIB - 256 * PAGE - 0x7ff * PAGE);
    helper_space_destroy(&s);
}

/* Where calls may name more than there is. */
static void
call_limit_above(void **state)
{
    struct aspen_config config = helper_config(256);
    struct helper_space s;

    (void)state;
    config.address_limit = 4 * GIB;
    config.call_limit = 8 * GIB;
    helper_space_create(&s, &config);
    assert_int_equal(aspen_munmap(s.mm, 6 * GIB, PAGE), 0);
    assert_int_equal(aspen_munmap(s.mm, 8 * GIB, PAGE), -ASPEN_EINVAL);
    assert_int_equal(map_at(&s, 6 * GIB, PAGE, FIXED), -ASPEN_ENOMEM);
    helper_space_destroy(&s);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_end_there),
        cmocka_unit_test(walks_reach_it),
        cmocka_unit_test(places_are_below),
        cmocka_unit_test(all_of_it),
        cmocka_unit_test(layouts),
        cmocka_unit_test(small_stack),
        cmocka_unit_test(call_limit_above),
        cmocka_unit_test(window_opens_by_a_hint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
