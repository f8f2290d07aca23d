/* SPDX-License-Identifier: MIT */
/*
 * What a child gets of a mapping (minherit): each value, alone and after each
 * other; what refuses it; pages that fork copies at once, each step failing.
 */
#include "helper.h"

#define AT (16 * MIB)

static struct aspen_mm *
fork_of(struct aspen_mm *mm)
{
    struct aspen_mm *child;

    assert_int_equal(aspen_fork(mm, &child), 0);
    return child;
}

static int
inherit(struct helper_space *s, uint64_t address, uint64_t pages,
        enum aspen_inherit value)
{
    return aspen_minherit(s->mm, address, pages * PAGE, value);
}

/* ---- What the child has ------------------------------------------------ */

static void
check_child(struct helper_space *s, enum aspen_inherit value)
{
    struct aspen_mm *child = fork_of(s->mm);
    uint8_t byte;

    helper_assert_valid(&s->helper);
    switch (value) {
    case ASPEN_INHERIT_NONE:
        assert_int_equal(helper_read(&s->helper, child, AT, &byte, 1),
                         -ASPEN_EFAULT);
        break;
    case ASPEN_INHERIT_ZERO:
        assert_int_equal(helper_get(&s->helper, child, AT), 0);
        break;
    case ASPEN_INHERIT_COPY_NOW:
        assert_true(helper_can_write(child, AT));
        assert_true(helper_can_write(s->mm, AT));
        assert_int_not_equal(helper_frame(child, AT), helper_frame(s->mm, AT));
        assert_int_equal(helper_get(&s->helper, child, AT), 7);
        break;
    default:
        assert_false(helper_can_write(child, AT));
        assert_int_equal(helper_frame(child, AT), helper_frame(s->mm, AT));
        assert_int_equal(helper_get(&s->helper, child, AT), 7);
        break;
    }
    if (value != ASPEN_INHERIT_NONE) {
        helper_put(&s->helper, child, AT, 9);
        helper_assert_valid(&s->helper);
    }
    assert_int_equal(helper_get(&s->helper, s->mm, AT), 7);
    /* The child goes on with the same. */
    if (value == ASPEN_INHERIT_COPY_NOW) {
        struct aspen_mm *grandchild = fork_of(child);
        assert_true(helper_can_write(grandchild, AT));
        assert_int_equal(helper_get(&s->helper, grandchild, AT), 9);
        aspen_mm_put(grandchild);
    }
    aspen_mm_put(child);
    helper_put(&s->helper, s->mm, AT, 7);
}

static void
test_each_value_after_each(void **state)
{
    static const enum aspen_inherit values[] = {
        ASPEN_INHERIT_COPY, ASPEN_INHERIT_NONE, ASPEN_INHERIT_ZERO,
        ASPEN_INHERIT_COPY_NOW};
    struct helper_space *s = *state;

    helper_map(s->mm, AT, 4, RW);
    helper_put(&s->helper, s->mm, AT, 7);
    for (unsigned before = 0; before < 4; before++)
        for (unsigned after = 0; after < 4; after++) {
            assert_int_equal(inherit(s, AT, 4, values[before]), 0);
            assert_int_equal(inherit(s, AT, 4, values[after]), 0);
            check_child(s, values[after]);
        }
}

/* Of a mapping's pages those that are in memory are copied; a private copy of a
 * file's page is, the file's own is shared; the page of zeroes is nobody's. */
static void
test_kinds_of_pages(void **state)
{
    static const struct aspen_pager_ops pager = {.read = helper_pager_read};
    struct helper_space *s = *state;
    struct aspen_object *file =
        helper_object(&s->helper, ASPEN_OBJECT_FILE, 4, &pager, NULL);
    uint8_t byte;

    helper_map_object(s->mm, AT, 4, RW | ASPEN_VM_COPYONFORK, file, 0);
    helper_map(s->mm, AT + 8 * PAGE, 4, RW | ASPEN_VM_COPYONFORK);
    helper_put(&s->helper, s->mm, AT, 7);
    assert_int_equal(helper_read(&s->helper, s->mm, AT + PAGE, &byte, 1), 0);
    assert_int_equal(helper_read(&s->helper, s->mm, AT + 8 * PAGE, &byte, 1),
                     0);
    helper_put(&s->helper, s->mm, AT + 9 * PAGE, 8);
    /* Shared by an earlier fork, so read-only here; the child's is its own. */
    struct aspen_mm *sibling;
    assert_int_equal(
        aspen_minherit(s->mm, AT + 8 * PAGE, 4 * PAGE, ASPEN_INHERIT_COPY), 0);
    sibling = fork_of(s->mm);
    assert_int_equal(
        aspen_minherit(s->mm, AT + 8 * PAGE, 4 * PAGE, ASPEN_INHERIT_COPY_NOW),
        0);

    uint64_t pages = helper_counts(s->helper.aspen).anon_pages;
    struct aspen_mm *child = fork_of(s->mm);
    assert_int_equal(helper_counts(s->helper.aspen).anon_pages, pages + 2);
    helper_assert_valid(&s->helper);
    assert_int_equal(helper_get(&s->helper, child, AT), 7);
    assert_true(helper_can_write(child, AT));
    assert_int_equal(helper_get(&s->helper, child, AT + PAGE), 2);
    assert_int_equal(helper_frame(child, AT + PAGE),
                     helper_frame(s->mm, AT + PAGE));
    assert_true(helper_can_write(child, AT + 9 * PAGE));
    assert_int_equal(helper_frame(sibling, AT + 9 * PAGE),
                     helper_frame(s->mm, AT + 9 * PAGE));
    assert_int_equal(helper_get(&s->helper, child, AT + 9 * PAGE), 8);
    aspen_mm_put(child);
    aspen_mm_put(sibling);
    aspen_object_put(file);
}

/* ---- The call ---------------------------------------------------------- */

static void
test_splits_and_merges(void **state)
{
    struct helper_space *s = *state;

    helper_map(s->mm, AT, 8, RW);
    helper_map(s->mm, AT + 16 * PAGE, 4, RW);
    /* Over a hole, and to whole pages. */
    assert_int_equal(aspen_minherit(s->mm, AT + 6 * PAGE + 1, 11 * PAGE - 2,
                                    ASPEN_INHERIT_COPY_NOW),
                     0);
    helper_assert_space(
        s->mm, "  vma  0x1000000-0x1006000 rw- private  anon  account\n"
               "  vma  0x1006000-0x1008000 rw- private  anon  account "
               "copyonfork\n"
               "  vma  0x1010000-0x1011000 rw- private  anon  account "
               "copyonfork\n"
               "  vma  0x1011000-0x1014000 rw- private  anon  account\n");
    assert_int_equal(aspen_minherit(s->mm, AT, 64 * PAGE, ASPEN_INHERIT_COPY),
                     0);
    helper_assert_space(
        s->mm, "  vma  0x1000000-0x1008000 rw- private  anon  account\n"
               "  vma  0x1010000-0x1014000 rw- private  anon  account\n");
    /* smaps has no letters for it. */
    char *plain = helper_smaps(s->mm);
    assert_int_equal(inherit(s, AT, 8, ASPEN_INHERIT_COPY_NOW), 0);
    char *flagged = helper_smaps(s->mm);
    assert_string_equal(plain, flagged);
    free(plain);
    free(flagged);
}

static void
test_refused(void **state)
{
    struct helper_space *s = *state;
    struct aspen_object *shared =
        helper_object(&s->helper, ASPEN_OBJECT_SHMEM, 4, NULL, NULL);
    struct helper_state before;
    uint64_t at;

    helper_map(s->mm, AT, 4, RW);
    helper_map_object(s->mm, AT + 4 * PAGE, 4, RW | ASPEN_VM_SHARED, shared, 0);
    helper_map_object(s->mm, AT + 8 * PAGE, 4, RW, shared, 0);
    helper_map(s->mm, AT + 12 * PAGE, 1, R);
    assert_int_equal(aspen_mseal(s->mm, AT + 12 * PAGE, PAGE), 0);
    helper_state_take(&s->helper, s->mm, &before);

    assert_int_equal(inherit(s, AT, 4, (enum aspen_inherit)5), -ASPEN_EINVAL);
    assert_int_equal(aspen_minherit(s->mm, UINT64_MAX, PAGE, 0), -ASPEN_EINVAL);
    assert_int_equal(aspen_minherit(s->mm, AT, UINT64_MAX - AT, 0),
                     -ASPEN_EINVAL);
    assert_int_equal(aspen_minherit(s->mm, AT + 1, 0, ASPEN_INHERIT_NONE), 0);
    /* The first two mappings together: one refuses, so nothing changes. */
    assert_int_equal(inherit(s, AT, 8, ASPEN_INHERIT_COPY_NOW), -ASPEN_EACCES);
    assert_int_equal(inherit(s, AT, 8, ASPEN_INHERIT_SHARE), -ASPEN_EACCES);
    assert_int_equal(inherit(s, AT, 8, ASPEN_INHERIT_ZERO), -ASPEN_EACCES);
    assert_int_equal(inherit(s, AT + 4 * PAGE, 4, ASPEN_INHERIT_COPY),
                     -ASPEN_EACCES);
    assert_int_equal(inherit(s, AT + 8 * PAGE, 4, ASPEN_INHERIT_ZERO),
                     -ASPEN_EACCES);
    assert_int_equal(inherit(s, AT + 12 * PAGE, 1, ASPEN_INHERIT_NONE),
                     -ASPEN_EPERM);
    assert_int_equal(inherit(s, AT + 12 * PAGE, 1, ASPEN_INHERIT_ZERO),
                     -ASPEN_EPERM);
    assert_int_equal(helper_try_map(s->mm, 0, PAGE,
                                    RW | ASPEN_VM_SHARED | ASPEN_VM_COPYONFORK,
                                    0, &at),
                     -ASPEN_EINVAL);
    helper_assert_state(&s->helper, s->mm, &before);
    /* What they may have. */
    assert_int_equal(inherit(s, AT + 4 * PAGE, 4, ASPEN_INHERIT_NONE), 0);
    assert_int_equal(inherit(s, AT + 4 * PAGE, 4, ASPEN_INHERIT_SHARE), 0);
    assert_int_equal(inherit(s, AT + 8 * PAGE, 4, ASPEN_INHERIT_COPY_NOW), 0);
    aspen_object_put(shared);
}

/* ---- Failing ----------------------------------------------------------- */

/* Frames for copies are steps like all others. */
static void
test_every_step_fails(void **state)
{
    static const enum aspen_fail_mode modes[] = {ASPEN_FAIL_ONCE,
                                                 ASPEN_FAIL_ONWARD};
    struct helper_space *s = *state;
    struct aspen_failpoint_counts counts;
    struct helper_state before;
    struct aspen_mm *child;
    const struct aspen_failpoint_plan count = {.mode = ASPEN_FAIL_NEVER};

    helper_map(s->mm, AT, 3, RW | ASPEN_VM_COPYONFORK);
    helper_map(s->mm, AT + 8 * PAGE, 2, RW);
    for (unsigned page = 0; page < 3; page++)
        helper_put(&s->helper, s->mm, AT + page * PAGE, 7);
    helper_put(&s->helper, s->mm, AT + 8 * PAGE, 7);
    child = fork_of(s->mm); /* what the first one leaves behind, caches */
    aspen_mm_put(child);

    assert_int_equal(aspen_failpoints_set(s->helper.aspen, &count), 0);
    child = fork_of(s->mm);
    aspen_failpoints_read(s->helper.aspen, &counts);
    assert_int_equal(aspen_failpoints_set(s->helper.aspen, NULL), 0);
    aspen_mm_put(child);
    assert_int_equal(counts.by_step[ASPEN_STEP_FRAME], 3);

    helper_state_take(&s->helper, s->mm, &before);
    for (unsigned mode = 0; mode < 2; mode++)
        for (uint64_t step = 1; step <= counts.crossings; step++) {
            const struct aspen_failpoint_plan plan = {.mode = modes[mode],
                                                      .number = step};
            assert_int_equal(aspen_failpoints_set(s->helper.aspen, &plan), 0);
            int error = aspen_fork(s->mm, &child);
            assert_int_equal(aspen_failpoints_set(s->helper.aspen, NULL), 0);
            assert_int_not_equal(error, 0);
            assert_true(helper_can_write(s->mm, AT));
            helper_assert_state(&s->helper, s->mm, &before);
            helper_assert_valid(&s->helper);
        }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        helper_space_test(test_each_value_after_each),
        helper_space_test(test_kinds_of_pages),
        helper_space_test(test_splits_and_merges),
        helper_space_test(test_refused),
        helper_space_test(test_every_step_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
