/* SPDX-License-Identifier: MIT */
/*
 * A port without readers beside the caller calls RCU's callbacks back at once,
 * inside of aspen_port_rcu_defer(), whatever the core holds there: what is torn
 * down by each kind of call has to stand that. The test build panics where a
 * callback takes a lock that is held.
 *
 * The linker hands us the core's calls of that function.
 */
#include "helper.h"

#include "base/lock.h"

#define BASE ((uint64_t)0x10000000)
#define FAR  GIB /* a table of its own at each */

void
__wrap_aspen_port_rcu_defer(struct aspen_port_rcu_head *head,
                            void (*callback)(struct aspen_port_rcu_head *head));

static unsigned called;

void
__wrap_aspen_port_rcu_defer(struct aspen_port_rcu_head *head,
                            void (*callback)(struct aspen_port_rcu_head *head))
{
    called++;
    /* No spin lock is held. */
    aspen_lock_order_assert_outside(ASPEN_LOCK_TABLE_CHILD);
    callback(head);
}

static void
was_called(void)
{
    assert_true(called > 0);
    called = 0;
}

static void
tables_of_munmap(void **state)
{
    struct helper_space *s = *state;

    called = 0;
    for (unsigned i = 0; i < 8; i++) {
        helper_map(s->mm, BASE + i * FAR, 1, RW);
        helper_put(&s->helper, s->mm, BASE + i * FAR, 1);
    }
    assert_int_equal(aspen_munmap(s->mm, BASE, 8 * FAR), 0);
    was_called();
}

static void
nodes_of_a_tree(void **state)
{
    struct helper_space *s = *state;

    for (unsigned i = 0; i < 40000; i++)
        helper_map(s->mm, BASE + i * PAGE, 1, i % 2 ? R : RW);
    called = 0;
    helper_unmap(s->mm, BASE, 40000);
    was_called();
}

static void
a_child(void **state)
{
    struct helper_space *s = *state;
    struct aspen_mm *child;

    for (unsigned i = 0; i < 300; i++) {
        helper_map(s->mm, BASE + i * FAR, 1, RW);
        helper_put(&s->helper, s->mm, BASE + i * FAR, 1);
    }
    assert_int_equal(aspen_fork(s->mm, &child), 0);
    called = 0;
    for (unsigned i = 0; i < 300; i++)
        helper_unmap(child, BASE + i * FAR, 1);
    was_called();
    aspen_mm_put(child);
}

static void
a_move(void **state)
{
    struct helper_space *s = *state;
    struct aspen_mremap_args args = {
        .address = BASE,
        .old_bytes = 4 * MIB,
        .new_bytes = 4 * MIB,
        .flags = ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED,
        .new_address = BASE + 100 * GIB,
    };
    uint64_t address;

    helper_map(s->mm, BASE, 4 * MIB / PAGE, RW);
    helper_put(&s->helper, s->mm, BASE, 1);
    called = 0;
    assert_int_equal(aspen_mremap(s->mm, &args, &address), 0);
    was_called();
    assert_int_equal(helper_get(&s->helper, s->mm, address), 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        helper_space_test(tables_of_munmap),
        helper_space_test(nodes_of_a_tree),
        helper_space_test(a_child),
        helper_space_test(a_move),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
