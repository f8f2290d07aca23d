/* SPDX-License-Identifier: MIT */
/* mlock, mlockall and mseal: mappings, counters, limits, and every step
 * failing. test_mmap_host.c compares mappings with the host. */
#include "helper.h"
#include "internal.h"

#define AT(page) ((uint64_t)(page)*PAGE)

static void
limit(struct helper_space *s, uint64_t pages)
{
    assert_int_equal(aspen_limit_set(s->mm, ASPEN_LIMIT_MEMLOCK, AT(pages)), 0);
}

/* ---- Ranges ------------------------------------------------------------ */

static void
test_range(void **state)
{
    struct helper_space *s = *state;

    helper_map(s->mm, AT(0x100), 8, RW);
    /* Rounded out: from inside page 102 to inside page 103. */
    assert_int_equal(aspen_mlock(s->mm, AT(0x102) + 100, PAGE, 0), 0);
    helper_assert_space(
        s->mm, "  vma  0x100000-0x102000 rw- private  anon 1  account\n"
               "  vma  0x102000-0x104000 rw- private  anon 1  account locked\n"
               "  vma  0x104000-0x108000 rw- private  anon 1  account\n");
    assert_int_equal(helper_counters(s->mm).locked_pages, 2);
    assert_int_equal(helper_counters(s->mm).anon_pages, 2); /* they have come */
    assert_int_equal(aspen_munlock(s->mm, AT(0x100), AT(8)), 0);
    helper_assert_space(
        s->mm, "  vma  0x100000-0x108000 rw- private  anon 1  account\n");
    assert_int_equal(helper_counters(s->mm).locked_pages, 0);
    assert_int_equal(aspen_mlock(s->mm, AT(0x100), AT(8), ASPEN_MLOCK_ONFAULT),
                     0);
    assert_int_equal(helper_counters(s->mm).anon_pages, 2); /* none has come */
    assert_int_equal(helper_counters(s->mm).locked_pages, 8);
    helper_unmap(s->mm, AT(0x104), 4);
    assert_int_equal(helper_counters(s->mm).locked_pages, 4);
}

static void
test_refused(void **state)
{
    struct helper_space *s = *state;
    struct helper_state before;

    helper_map(s->mm, AT(0x100), 2, RW);
    helper_map(s->mm, AT(0x103), 1, RW);
    helper_map(s->mm, AT(0x104), 1, 0);
    helper_state_take(&s->helper, s->mm, &before);
    assert_int_equal(aspen_mlock(s->mm, AT(0x100), AT(3), ASPEN_MLOCK_ONFAULT),
                     -ASPEN_ENOMEM);
    assert_int_equal(aspen_mlock(s->mm, AT(0x100), AT(3), 0), -ASPEN_ENOMEM);
    assert_int_equal(aspen_munlock(s->mm, AT(0x100), AT(3)), -ASPEN_ENOMEM);
    assert_int_equal(aspen_mlock(s->mm, AT(0x100), UINT64_MAX - AT(0x50),
                                 ASPEN_MLOCK_ONFAULT),
                     -ASPEN_EINVAL);
    assert_int_equal(
        aspen_mlock(s->mm, s->mm->address_limit, PAGE, ASPEN_MLOCK_ONFAULT),
        -ASPEN_ENOMEM);
    assert_int_equal(aspen_mlock(s->mm, AT(0x900), 0, ASPEN_MLOCK_ONFAULT), 0);
    assert_int_equal(aspen_mlock(s->mm, AT(0x100), PAGE, 2), -ASPEN_EINVAL);
    assert_int_equal(aspen_mlock(s->mm, AT(0x900), 0, 1u << 31), -ASPEN_EINVAL);
    assert_int_equal(aspen_mlockall(s->mm, 0), -ASPEN_EINVAL);
    assert_int_equal(aspen_mlockall(s->mm, 8), -ASPEN_EINVAL);
    assert_int_equal(aspen_mlockall(s->mm, ASPEN_MCL_ONFAULT), -ASPEN_EINVAL);
    helper_assert_state(&s->helper, s->mm, &before);
    /* No access: none of its pages can come, and Linux's flags would stay. */
    assert_int_equal(aspen_mlock(s->mm, AT(0x103), AT(2), 0), -ASPEN_ENOMEM);
    assert_int_equal(helper_counters(s->mm).locked_pages, 0);
    assert_int_equal(aspen_mlock(s->mm, AT(0x103), AT(2), ASPEN_MLOCK_ONFAULT),
                     0);
}

static void
test_limit(void **state)
{
    struct helper_space *s = *state;

    helper_map(s->mm, AT(0x100), 8, RW);
    limit(s, 4);
    assert_int_equal(aspen_mlock(s->mm, AT(0x100), AT(5), ASPEN_MLOCK_ONFAULT),
                     -ASPEN_ENOMEM);
    assert_int_equal(aspen_mlock(s->mm, AT(0x100), AT(4), ASPEN_MLOCK_ONFAULT),
                     0);
    /* What is locked already does not count twice. */
    assert_int_equal(aspen_mlock(s->mm, AT(0x101), AT(3), 0), 0);
    assert_int_equal(aspen_mlock(s->mm, AT(0x101), AT(4), ASPEN_MLOCK_ONFAULT),
                     -ASPEN_ENOMEM);
    assert_int_equal(aspen_mlockall(s->mm, ASPEN_MCL_CURRENT), -ASPEN_ENOMEM);
    limit(s, 0);
    assert_int_equal(aspen_mlock(s->mm, AT(0x100), PAGE, ASPEN_MLOCK_ONFAULT),
                     -ASPEN_EPERM);
    assert_int_equal(aspen_mlockall(s->mm, ASPEN_MCL_CURRENT), -ASPEN_EPERM);
    assert_int_equal(aspen_munlock(s->mm, AT(0x100), AT(8)), 0);
}

/* ---- All --------------------------------------------------------------- */

static void
test_all(void **state)
{
    struct helper_space *s = *state;

    helper_map(s->mm, AT(0x100), 2, RW);
    helper_map(s->mm, AT(0x200), 2, 0);
    helper_map(s->mm, AT(0x300), 2, R);
    assert_int_equal(aspen_mlockall(s->mm, ASPEN_MCL_CURRENT), 0);
    assert_int_equal(helper_counters(s->mm).locked_pages, 6);
    assert_int_equal(helper_counters(s->mm).anon_pages, 2);
    helper_map(s->mm, AT(0x400), 2, RW);
    assert_int_equal(helper_counters(s->mm).locked_pages, 6);
    assert_int_equal(aspen_munlockall(s->mm), 0);
    assert_int_equal(helper_counters(s->mm).locked_pages, 0);
    assert_int_equal(
        aspen_mlockall(s->mm, ASPEN_MCL_FUTURE | ASPEN_MCL_ONFAULT), 0);
    assert_int_equal(helper_counters(s->mm).locked_pages, 0);
    helper_map(s->mm, AT(0x500), 3, RW);
    assert_int_equal(helper_counters(s->mm).locked_pages, 3);
    assert_int_equal(aspen_munlockall(s->mm), 0);
    helper_map(s->mm, AT(0x600), 3, RW);
    assert_int_equal(helper_counters(s->mm).locked_pages, 0);
}

/* ---- Seals ------------------------------------------------------------- */

static void
test_seal(void **state)
{
    struct helper_space *s = *state;
    struct aspen_mmap_args args = {.address = AT(0x102),
                                   .length_bytes = PAGE,
                                   .vm_flags = RW,
                                   .flags = ASPEN_MAP_FIXED};
    uint64_t address;

    helper_map(s->mm, AT(0x100), 8, RW);
    assert_int_equal(aspen_mseal(s->mm, AT(0x100) + 1, PAGE), -ASPEN_EINVAL);
    assert_int_equal(aspen_mseal(s->mm, AT(0x100), UINT64_MAX), -ASPEN_EINVAL);
    assert_int_equal(aspen_mseal(s->mm, AT(0x106), AT(4)), -ASPEN_ENOMEM);
    assert_int_equal(aspen_mseal(s->mm, AT(0x100), 0), 0);
    assert_int_equal(s->mm->map_count, 1);
    assert_int_equal(aspen_mseal(s->mm, AT(0x102), AT(2)), 0);
    assert_int_equal(s->mm->map_count, 3);
    assert_int_equal(aspen_munmap(s->mm, AT(0x100), AT(3)), -ASPEN_EPERM);
    assert_int_equal(aspen_mmap(s->mm, &args, &address), -ASPEN_EPERM);
    assert_int_equal(aspen_mprotect(s->mm, AT(0x103), PAGE, R, ASPEN_PKEY_SAME),
                     -ASPEN_EPERM);
    helper_put(&s->helper, s->mm, AT(0x102), 1);
    assert_int_equal(aspen_mseal(s->mm, AT(0x100), AT(8)), 0);
    assert_int_equal(s->mm->map_count, 1);
    assert_int_equal(aspen_munmap(s->mm, AT(0x107), PAGE), -ASPEN_EPERM);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        helper_space_test(test_range), helper_space_test(test_refused),
        helper_space_test(test_limit), helper_space_test(test_all),
        helper_space_test(test_seal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
