/* SPDX-License-Identifier: MIT */
/* Exec: a new space is filled unseen, then takes the place of the old one. */
#include "helper.h"
#include "internal.h"

#define AT(page) ((uint64_t)(page)*PAGE)

static int
setup(void **state)
{
    helper_space_setup(state);
    struct helper_space *e = *state;
    helper_map(e->mm, AT(16), 4, RW);
    helper_put(&e->helper, e->mm, AT(17), 42);
    return 0;
}

static struct aspen_mm *
prepare(struct helper_space *e)
{
    struct aspen_mm *next;

    assert_int_equal(aspen_exec_prepare(e->mm, &next), 0);
    assert_int_equal(aspen_mm_state(next), ASPEN_MM_BUILDING);
    assert_int_equal(e->helper.aspen->registry_count, 1);
    return next;
}

/* As a loader does: code, data, heap, a stack with arguments. */
static void
load(struct helper_space *e, struct aspen_mm *next)
{
    struct aspen_layout layout;
    uint64_t done;

    helper_map(next, AT(1000), 4, RW);
    assert_int_equal(
        aspen_write_memory(next, AT(1000) + 5, "code", 5, 0, &done), 0);
    assert_int_equal(aspen_mprotect(next, AT(1000), AT(2), RX, ASPEN_PKEY_SAME),
                     0);
    aspen_layout_read(next, &layout);
    layout.brk_start = layout.brk = AT(2000);
    assert_int_equal(aspen_layout_set(next, &layout), 0);
    assert_int_equal(aspen_brk(next, AT(2003), NULL), 0);
    helper_put(&e->helper, next, AT(2001), 7);
    helper_map(next, AT(5000), 2, RW);
    helper_put(&e->helper, next, AT(5000), 9);
    assert_int_equal(helper_remap(next, AT(5000), AT(2), AT(2),
                                  ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED,
                                  AT(6000)),
                     0);
}

static void
assert_invalid(struct helper_space *e, const char *check)
{
    struct aspen_finding finding;

    assert_int_equal(aspen_validate(e->helper.aspen, &finding), 1);
    assert_string_equal(finding.check, check);
}

static void
check_loaded(struct helper_space *e, struct aspen_mm *mm)
{
    helper_assert_space(
        mm, "  vma  0x3e8000-0x3ea000 r-x private  anon 2  account\n"
            "  vma  0x3ea000-0x3ec000 rw- private  anon 2  account\n"
            "  vma  0x7d0000-0x7d3000 rw- private  anon 3  account\n"
            "  vma  0x1770000-0x1772000 rw- private  anon 4 from 0x1388000  "
            "account\n");
    assert_int_equal(helper_get(&e->helper, mm, AT(1000) + 6), 'o');
    assert_int_equal(helper_get(&e->helper, mm, AT(2001)), 7);
    assert_int_equal(helper_get(&e->helper, mm, AT(6000)), 9);
}

static void
test_takes_over(void **state)
{
    struct helper_space *e = *state;
    struct aspen_mm *next = prepare(e);

    load(e, next);
    helper_assert_space(
        e->mm, "  vma  0x10000-0x14000 rw- private  anon 1  account\n");
    aspen_exec_commit(e->mm, next);
    e->mm = next;
    assert_int_equal(aspen_mm_state(next), ASPEN_MM_LIVE);
    assert_int_equal(e->helper.aspen->registry_count, 1);
    check_loaded(e, next);
}

static void
test_given_up(void **state)
{
    struct helper_space *e = *state;
    struct helper_state before;

    helper_state_take(&e->helper, e->mm, &before);
    struct aspen_mm *next = prepare(e);
    load(e, next);
    aspen_exec_abort(next);
    helper_assert_state(&e->helper, e->mm, &before);
    aspen_exec_abort(prepare(e)); /* with nothing in it */
    helper_assert_state(&e->helper, e->mm, &before);
    assert_int_equal(helper_get(&e->helper, e->mm, AT(17)), 42);
}

/* vfork: the child runs in the parent's space until it is in its own. */
static void
test_vfork(void **state)
{
    struct helper_space *e = *state;
    struct aspen_mm *child = e->mm;

    aspen_mm_get(child);
    helper_put(&e->helper, child, AT(18), 43);
    struct aspen_mm *next = prepare(e);
    load(e, next);
    aspen_exec_commit(child, next);
    child = next;

    assert_int_equal(e->helper.aspen->registry_count, 2);
    assert_int_equal(aspen_mm_state(e->mm), ASPEN_MM_LIVE);
    helper_assert_space(
        e->mm, "  vma  0x10000-0x14000 rw- private  anon 1  account\n");
    assert_int_equal(helper_get(&e->helper, e->mm, AT(17)), 42);
    assert_int_equal(helper_get(&e->helper, e->mm, AT(18)), 43);
    helper_assert_valid(&e->helper);
    aspen_mm_put(child);
    assert_int_equal(helper_get(&e->helper, e->mm, AT(17)), 42);
}

/* A vfork child whose exec fails exits, and the parent goes on. */
static void
test_vfork_given_up(void **state)
{
    struct helper_space *e = *state;

    aspen_mm_get(e->mm);
    aspen_exec_abort(prepare(e));
    aspen_mm_put(e->mm);
    assert_int_equal(helper_get(&e->helper, e->mm, AT(17)), 42);
}

/* Nobody can reach it yet, but the validator has to: it is charged, and holds
 * frames, an object, swap slots of its own. */
static void
test_valid_while_built(void **state)
{
    struct helper_space *e = *state;
    struct aspen_mm *next = prepare(e);
    struct aspen_mm *second = prepare(e);

    helper_assert_valid(&e->helper);
    load(e, next);
    helper_map(next, AT(9000), 4, RW | ASPEN_VM_SHARED);
    helper_put(&e->helper, next, AT(9001), 1);
    helper_assert_valid(&e->helper);
    load(e, second);
    helper_assert_valid(&e->helper);
    next->map_count++;
    assert_invalid(e, "mm.map_count");
    next->map_count--;
    aspen_exec_abort(second);
    helper_assert_valid(&e->helper);
    aspen_exec_commit(e->mm, next);
    e->mm = next;
}

static void
test_inherits(void **state)
{
    struct helper_space *e = *state;

    assert_int_equal(aspen_limit_set(e->mm, ASPEN_LIMIT_STACK, AT(99)), 0);
    assert_int_equal(aspen_privileges_set(e->mm, ASPEN_PRIVILEGE_IPC_LOCK), 0);
    assert_int_equal(aspen_mlockall(e->mm, ASPEN_MCL_FUTURE), 0);
    struct aspen_mm *next = prepare(e);
    assert_int_equal(aspen_limit(next, ASPEN_LIMIT_STACK), AT(99));
    assert_int_equal(aspen_privileges(next), ASPEN_PRIVILEGE_IPC_LOCK);
    helper_map(next, AT(16), 4, RW);
    assert_int_equal(helper_counters(next).locked_pages, 0);
    aspen_exec_abort(next);
}

/* Nobody runs in what goes: its tables and pages wait for no grace period. */
static void
test_goes_at_once(void **state)
{
    struct helper_space *e = *state;
    struct aspen_mm *mm = helper_mm(&e->helper);
    struct aspen_mm *child;
    struct aspen_counters before, after;

    helper_map(mm, AT(16), 4, RW);
    helper_put(&e->helper, mm, AT(17), 42);
    assert_int_equal(aspen_fork(mm, &child), 0);
    before = helper_counts(e->helper.aspen);
    aspen_port_rcu_read_lock(); /* what waits for readers waits for us */
    aspen_mm_put(child);
    aspen_mm_put(mm);
    aspen_counters_read(e->helper.aspen, &after);
    aspen_port_rcu_read_unlock();
    assert_int_equal(after.tables_waiting, 0);
    assert_true(after.frames_free > before.frames_free);
    assert_int_equal(after.mms, 1);
}

#define TEST(name)                                                             \
    cmocka_unit_test_setup_teardown(name, setup, helper_space_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_takes_over),
        TEST(test_given_up),
        TEST(test_vfork),
        TEST(test_vfork_given_up),
        TEST(test_valid_while_built),
        TEST(test_inherits),
        TEST(test_goes_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
