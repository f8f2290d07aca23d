/* SPDX-License-Identifier: MIT */
/* brk: the end of the heap goes up and down, and what stops it. */
#include "helper.h"
#include "internal.h"

#define AT(page) ((uint64_t)(page)*PAGE)

static int
setup(void **state)
{
    struct aspen_layout layout;

    helper_space_setup(state);
    struct helper_space *s = *state;
    aspen_layout_read(s->mm, &layout);
    layout.data_start = AT(0x1000);
    layout.data_end = AT(0x1004);
    layout.brk_start = layout.brk = AT(0x1010);
    assert_int_equal(aspen_layout_set(s->mm, &layout), 0);
    return 0;
}

static void
expect(struct helper_space *s, uint64_t brk, int error)
{
    struct aspen_layout before, after;
    uint64_t now = 1;

    aspen_layout_read(s->mm, &before);
    assert_int_equal(aspen_brk(s->mm, brk, &now), error);
    assert_int_equal(now, error ? before.brk : brk);
    aspen_layout_read(s->mm, &after);
    assert_int_equal(after.brk, now);
}

static void
test_moves(void **state)
{
    struct helper_space *s = *state;

    expect(s, AT(0x1010) + 100, 0);
    helper_assert_space(
        s->mm, "  vma  0x1010000-0x1011000 rw- private  anon  account\n");
    expect(s, AT(0x1011), 0); /* the same page */
    expect(s, AT(0x1018) - 1, 0);
    helper_assert_space(
        s->mm, "  vma  0x1010000-0x1018000 rw- private  anon  account\n");
    helper_put(&s->helper, s->mm, AT(0x1016), 6);
    expect(s, AT(0x1016), 0);
    helper_assert_space(
        s->mm, "  vma  0x1010000-0x1016000 rw- private  anon 1  account\n");
    expect(s, AT(0x1018), 0);
    assert_int_equal(helper_get(&s->helper, s->mm, AT(0x1016)), 0);
    expect(s, AT(0x1010), 0);
    helper_assert_space(s->mm, "");
    expect(s, AT(0x1010) - 1, -ASPEN_ENOMEM);
    expect(s, 0, -ASPEN_ENOMEM);
    expect(s, UINT64_MAX, -ASPEN_ENOMEM);
}

static void
test_in_the_way(void **state)
{
    struct helper_space *s = *state;

    helper_map(s->mm, AT(0x1020), 1, R);
    expect(s, AT(0x101f), 0); /* a page stays free */
    expect(s, AT(0x101f) + 1, -ASPEN_ENOMEM);
    expect(s, AT(0x1020), -ASPEN_ENOMEM);
    expect(s, AT(0x1040), -ASPEN_ENOMEM);
    helper_unmap(s->mm, AT(0x1020), 1);
    helper_map(s->mm, AT(0x1200), 1, RW | ASPEN_VM_GROWSDOWN);
    expect(s, AT(0x10ff), 0);
    expect(s, AT(0x1100), -ASPEN_ENOMEM);
    helper_unmap(s->mm, AT(0x1010), 0x1000);
    expect(s, AT(0x1010), -ASPEN_ENOMEM); /* somebody took it away */
}

static void
test_limits(void **state)
{
    struct helper_space *s = *state;

    /* Heap and data together. */
    assert_int_equal(aspen_limit_set(s->mm, ASPEN_LIMIT_DATA, AT(10)), 0);
    expect(s, AT(0x1010 + 7), -ASPEN_ENOMEM);
    expect(s, AT(0x1010 + 6), 0);
    assert_int_equal(aspen_limit_set(s->mm, ASPEN_LIMIT_DATA, ASPEN_UNLIMITED),
                     0);
    assert_int_equal(aspen_limit_set(s->mm, ASPEN_LIMIT_AS, AT(8)), 0);
    expect(s, AT(0x1010 + 9), -ASPEN_ENOMEM);
    expect(s, AT(0x1010 + 8), 0);
}

static void
test_locked(void **state)
{
    struct helper_space *s = *state;

    assert_int_equal(aspen_mlockall(s->mm, ASPEN_MCL_FUTURE), 0);
    expect(s, AT(0x1013), 0);
    assert_int_equal(helper_counters(s->mm).locked_pages, 3);
    assert_int_equal(helper_counters(s->mm).anon_pages, 3);
    assert_int_equal(aspen_limit_set(s->mm, ASPEN_LIMIT_MEMLOCK, AT(4)), 0);
    expect(s, AT(0x1015), -ASPEN_EAGAIN);
    expect(s, AT(0x1014), 0);
}

/* What lies just below the heap is none of it. */
static void
test_below(void **state)
{
    struct helper_space *s = *state;

    helper_map(s->mm, AT(0x100e), 2, RW);
    expect(s, AT(0x1012), 0);
    assert_int_equal(helper_counters(s->mm).vmas, 2);
    expect(s, AT(0x1014), 0);
    assert_int_equal(helper_counters(s->mm).vmas, 2);
}

/* The layout of a new space has no heap: it would begin at 0. */
static void
test_fresh(void **state)
{
    struct helper_space *s = *state;
    struct aspen_mm *mm = helper_mm(&s->helper);
    uint64_t now = 1;

    assert_int_equal(aspen_brk(mm, 0, &now), 0);
    assert_int_equal(now, 0);
    now = 1;
    assert_int_equal(aspen_brk(mm, AT(0x1010), &now), -ASPEN_EPERM);
    assert_int_equal(now, 0);
    helper_assert_space(mm, "");
    assert_int_equal(aspen_brk(mm, UINT64_MAX, &now), -ASPEN_ENOMEM);
    assert_int_equal(aspen_privileges_set(mm, ASPEN_PRIVILEGE_SYS_RAWIO), 0);
    assert_int_equal(aspen_brk(mm, AT(2), &now), 0);
    assert_int_equal(now, AT(2));
    aspen_mm_put(mm);
}

/* Up to the end of all addresses, and no further. */
static void
test_top(void **state)
{
    struct helper_space *s = *state;
    uint64_t top = s->mm->address_limit;
    struct aspen_layout layout;

    aspen_layout_read(s->mm, &layout);
    layout.brk_start = layout.brk = top - 2 * PAGE;
    assert_int_equal(aspen_layout_set(s->mm, &layout), 0);
    expect(s, top + 1, -ASPEN_ENOMEM);
    expect(s, top, 0);
    helper_put(&s->helper, s->mm, top - PAGE, 1);
    expect(s, top - PAGE, 0);
}

int
main(void)
{
#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, setup, helper_space_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_moves),  TEST(test_in_the_way), TEST(test_limits),
        TEST(test_locked), TEST(test_below),      TEST(test_fresh),
        TEST(test_top),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
