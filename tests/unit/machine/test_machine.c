/* SPDX-License-Identifier: MIT */
/*
 * A machine: made whole or not at all, refused while in use; its failpoints;
 * and the life of an mm outside of fork and exit.
 */
#define _GNU_SOURCE
#include "failing.h"
#include "helper.h"

#include "space/mm.h"

/* ---- The machine ------------------------------------------------------- */

static void
config_has_defaults(void **state)
{
    struct aspen_config config;
    (void)state;
    memset(&config, 0xff, sizeof(config));
    aspen_config_init(&config);
    assert_int_equal(config.overcommit, ASPEN_OVERCOMMIT_GUESS);
    assert_int_equal(config.overcommit_percent, 50);
    assert_int_equal(config.map_count_max, 65530);
    assert_int_equal(config.mmap_min_address, 65536);
    assert_int_equal(config.mmap_min_fixed, 65536);
    assert_int_equal(config.stack_guard_pages, 256);
    assert_int_equal(config.admin_reserve_pages, 0);
    assert_int_equal(config.flags, 0);
    assert_null(config.hooks.arch);
}

static void
assert_refused(const struct aspen_config *config)
{
    struct aspen *aspen = (void *)config;
    assert_int_equal(aspen_create(config, &aspen), -ASPEN_EINVAL);
    assert_ptr_equal(aspen, config);
}

static void
bracket(void *context, struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    (void)context;
    (void)mm;
    (void)start;
    (void)end;
}

static bool
was_young(void *context, struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    bracket(context, mm, start, end);
    return false;
}

static void
create_checks_each_field(void **state)
{
    static const struct aspen_userfault_ops no_prepare;
    static const struct aspen_notifier_ops half = {.invalidate_start = bracket};
    static const struct aspen_notifier_ops half_young = {.clear_young =
                                                             was_young};
    struct aspen_config good = helper_config(64);
    struct aspen_config bad;
    (void)state;

    bad = good, bad.frames = 63, assert_refused(&bad);
    bad = good, bad.frames = 0, assert_refused(&bad);
    bad = good, bad.flags = ASPEN_CONFIG_FLAGS + 1, assert_refused(&bad);
    bad = good, bad.overcommit = (enum aspen_overcommit)3, assert_refused(&bad);
    bad = good, bad.map_count_max = 0, assert_refused(&bad);
    bad = good, bad.semantics = (enum aspen_semantics)9, assert_refused(&bad);
    bad = good, bad.reclaim_policy = (enum aspen_reclaim_policy)2;
    assert_refused(&bad);
    bad = good, bad.mmap_min_address = 5, assert_refused(&bad);
    bad = good, bad.huge_placement = (enum aspen_huge_placement)4,
    assert_refused(&bad);
    bad = good, bad.call_limit = UINT64_MAX, assert_refused(&bad);
    bad = good, bad.call_limit = (UINT64_C(1) << 56) + 1, assert_refused(&bad);
    bad = good, bad.frames = UINT32_MAX, assert_refused(&bad);
    bad = good, bad.direct_map = NULL, assert_refused(&bad);
    bad = good, bad.call_limit = (UINT64_C(1) << 56) + PAGE;
    assert_refused(&bad);
    bad = good, bad.call_limit = -PAGE, assert_refused(&bad);
    bad = good, bad.mmap_min_address = -PAGE, assert_refused(&bad);
    bad = good, bad.mmap_min_address = UINT64_C(1) << 56, assert_refused(&bad);
    bad = good, bad.address_limit = PAGE + 1, assert_refused(&bad);
    bad = good, bad.address_limit = -PAGE, assert_refused(&bad);
    bad = good, bad.address_limit = ASPEN_ADDRESS_LIMIT + PAGE;
    assert_refused(&bad);
    bad = good, bad.address_limit = bad.mmap_min_address, assert_refused(&bad);
    /* Not a whole entry; user space; no address; nothing is left for it. */
    bad = good, bad.kernel_start = HELPER_KERNEL_START + PAGE;
    assert_refused(&bad);
    bad = good, bad.kernel_start = 512 * GIB, assert_refused(&bad);
    bad = good, bad.kernel_start = 1ull << 47, assert_refused(&bad);
    bad = good, bad.kernel_start = UINT64_MAX, assert_refused(&bad);
    if (!HELPER_KERNEL_START) {
        bad = good, bad.kernel_start = -(512 * GIB);
        assert_refused(&bad);
    }
    bad = good, bad.hooks.userfault = &no_prepare, assert_refused(&bad);
    bad = good, bad.hooks.notifier = &half, assert_refused(&bad);
    bad = good, bad.hooks.notifier = &half_young, assert_refused(&bad);
    helper_machine_destroy(helper_machine_from(&good));
}

static void
a_fresh_machine_has_everything_free(void **state)
{
    struct aspen *aspen = helper_machine(256);
    struct aspen_counters counters = helper_counts(aspen);
    (void)state;

    assert_int_equal(counters.frames_total, 256);
    assert_int_equal(counters.frames_free, 255); /* all but the zero page */
    assert_int_equal(counters.frames_table, 0);
    assert_int_equal(counters.mms + counters.vmas + counters.objects, 0);
    assert_int_equal(counters.anon_vmas + counters.anon_vma_links, 0);
    assert_int_equal(counters.tree_nodes, 0);
    assert_int_equal(counters.committed_pages, 0);
    assert_int_equal(counters.commit_limit_pages, 128);
    helper_machine_destroy(aspen);
}

static void
destroy_refuses_while_in_use(void **state)
{
    struct aspen *aspen = helper_machine(256);
    struct aspen_mm *mm = helper_new_mm(aspen);
    (void)state;

    assert_int_equal(aspen_destroy(aspen), -ASPEN_EBUSY);
    helper_import(mm, MIB, 4, MAY_RW, NULL, 0); /* it still works */
    aspen_mm_put(mm);
    struct aspen_object *object =
        helper_new_object(aspen, ASPEN_OBJECT_FILE, PAGE);
    assert_int_equal(aspen_destroy(aspen), -ASPEN_EBUSY);
    aspen_object_put(object);
    helper_machine_destroy(aspen);
}

/* VMAs and tables that a live space gave back wait for a grace period. */
static void
destroy_waits_for_what_waits(void **state)
{
    struct aspen *aspen = helper_machine(4096);
    struct aspen_mm *mm = helper_new_mm(aspen);
    (void)state;

    for (unsigned i = 0; i < 200; i++)
        helper_import(mm, MIB + i * 2 * PAGE, 1, MAY_RW, NULL, 0);
    aspen_mm_put(mm);
    helper_machine_destroy(aspen);
}

static void
failpoints_are_planned_and_counted(void **state)
{
    struct aspen *aspen = helper_machine(256);
    struct aspen_failpoint_plan plan = {.mode = ASPEN_FAIL_ONCE, .number = 2};
    struct aspen_failpoint_counts counts;
    struct aspen_mm *mm = NULL;
    (void)state;

    assert_true(aspen_failpoints_available());
    assert_int_equal(aspen_failpoints_set(aspen, &plan), 0);
    assert_int_equal(aspen_mm_create(aspen, &mm), -ASPEN_ENOMEM);
    assert_null(mm);
    plan.number = 0;
    assert_int_equal(aspen_failpoints_set(aspen, &plan), -ASPEN_EINVAL);
    plan.number = 1;
    plan.mode = (enum aspen_fail_mode)3;
    assert_int_equal(aspen_failpoints_set(aspen, &plan), -ASPEN_EINVAL);

    aspen_failpoints_read(aspen, &counts); /* the old plan stood */
    assert_int_equal(counts.crossings, 2);
    assert_int_equal(counts.failed, 1);
    assert_int_equal(counts.by_step[ASPEN_STEP_MM], 1);
    assert_int_equal(counts.by_step[ASPEN_STEP_PAGE_TABLE], 1);
    assert_int_equal(aspen_failpoints_set(aspen, NULL), 0);
    aspen_failpoints_read(aspen, &counts);
    assert_int_equal(counts.crossings, 0);
    helper_machine_destroy(aspen);
}

static void
the_library_says_what_it_is(void **state)
{
    (void)state;
    assert_string_equal(aspen_version(), ASPEN_VERSION_STRING);
    assert_string_equal(aspen_build(), "test");
}

/* ---- An mm ------------------------------------------------------------- */

struct making {
    struct aspen *aspen;
    struct aspen_mm *mm;
};

static int
make_mm(void *context)
{
    struct making *making = context;
    return aspen_mm_create(making->aspen, &making->mm);
}

static void
put_mm(void *context)
{
    aspen_mm_put(((struct making *)context)->mm);
}

static void
an_mm_is_made_whole_or_not_at_all(void **state)
{
    struct making making = {.aspen = helper_machine(256)};
    struct helper_part trial = {making.aspen, make_mm, put_mm, &making};
    (void)state;
    helper_fail_part(&trial, "mm_create", 2);
    helper_machine_destroy(making.aspen);
}

static void
an_mm_is_live_and_registered(void **state)
{
    struct aspen *aspen = helper_machine(256);
    struct aspen_mm *first = helper_new_mm(aspen);
    struct aspen_mm *second = helper_new_mm(aspen);
    (void)state;

    assert_int_equal(aspen_mm_state(first), ASPEN_MM_LIVE);
    assert_int_not_equal(aspen_mm_id(first), aspen_mm_id(second));
    assert_int_not_equal(aspen_mm_root(first), aspen_mm_root(second));
    assert_int_equal(helper_counts(aspen).mms_live, 2);
    aspen_mm_get(first);
    aspen_mm_put(first);
    assert_int_equal(aspen_mm_state(first), ASPEN_MM_LIVE);
    aspen_mm_put(first);
    assert_int_equal(helper_counts(aspen).mms_live, 1);
    aspen_mm_put(second);
    helper_machine_destroy(aspen);
}

/* A pointer keeps the structure, not the space. */
static void
the_gate_lets_only_whole_ones_pass(void **state)
{
    struct aspen *aspen = helper_machine(256);
    struct aspen_mm *mm = helper_new_mm(aspen);
    struct aspen_mm *building = NULL;
    (void)state;

    aspen_mm_hold(mm);
    assert_true(aspen_mm_get_live(mm));
    aspen_read_unlock(&mm->mmap_lock);
    assert_true(aspen_mm_get_if_alive(mm));
    aspen_mm_put(mm);
    aspen_mm_put(mm);
    assert_int_equal(aspen_mm_state(mm), ASPEN_MM_EMPTY);
    assert_false(aspen_mm_get_if_alive(mm));
    assert_false(aspen_mm_get_live(mm));
    aspen_mm_drop(mm);

    assert_int_equal(aspen_mm_alloc(aspen, NULL, &building), 0);
    assert_int_equal(aspen_mm_state(building), ASPEN_MM_BUILDING);
    assert_int_equal(helper_counts(aspen).mms_live, 0);
    assert_true(aspen_mm_get_live(building)); /* nobody builds it just now */
    aspen_read_unlock(&building->mmap_lock);
    aspen_store(&building->state, (uint32_t)ASPEN_MM_EMPTY);
    aspen_mm_put(building);
    helper_machine_destroy(aspen);
}

static void
the_swap_list_holds_it_once(void **state)
{
    struct aspen *aspen = helper_machine(256);
    struct aspen_mm *mm = helper_new_mm(aspen);
    (void)state;

    aspen_mm_swap_list_remove(mm);
    aspen_mm_swap_list_add(mm);
    aspen_mm_swap_list_add(mm);
    assert_int_equal(helper_counts(aspen).mms_swap_list, 1);
    aspen_mm_put(mm); /* the last user takes it off */
    assert_int_equal(helper_counts(aspen).mms_swap_list, 0);
    assert_true(aspen_list_is_empty(&aspen->swap_list));
    helper_machine_destroy(aspen);
}

static void
sizes_count_as_linux_counts_them(void **state)
{
    const uint64_t r = ASPEN_VM_READ, w = ASPEN_VM_WRITE, x = ASPEN_VM_EXEC;
    const uint64_t s = ASPEN_VM_SHARED, g = ASPEN_VM_GROWSDOWN;
    static const uint64_t none;
    struct aspen_mm mm;
    (void)state;
    const struct {
        uint64_t flags;
        const uint64_t *size;
    } rules[] = {
        {r | x, &mm.exec_pages},
        {r | x | s, &mm.exec_pages},
        {r | w, &mm.data_pages},
        {r | w | x, &mm.data_pages},
        {r | w | s, &none},
        {r, &none},
        {r | w | g, &mm.stack_pages},
        {r | x | g, &mm.stack_pages},
        {r | w | s | g, &mm.stack_pages},
    };

    for (unsigned i = 0; i < ASPEN_ARRAY_SIZE(rules); i++) {
        memset(&mm, 0, sizeof(mm));
        aspen_mm_account_vma(&mm, rules[i].flags, 5, true);
        assert_int_equal(mm.total_pages, 5);
        assert_int_equal(mm.exec_pages + mm.data_pages + mm.stack_pages,
                         rules[i].size == &none ? 0 : 5);
        assert_int_equal(*rules[i].size, rules[i].size == &none ? 0 : 5);
        aspen_mm_account_vma(&mm, rules[i].flags, 5, false);
        assert_int_equal(mm.total_pages + *rules[i].size, 0);
    }
}

static void
cpus_are_told_apart(void **state)
{
    struct aspen *aspen = helper_machine(256);
    struct aspen_mm *mm = helper_new_mm(aspen);
    (void)state;

    assert_int_equal(aspen_mm_activate(mm, 0), 0);
    assert_int_equal(aspen_mm_activate(mm, ASPEN_PORT_CPUS - 1), 0);
    assert_int_equal(aspen_mm_deactivate(mm, 0), 0);
    assert_int_equal(aspen_mm_activate(mm, ASPEN_PORT_CPUS), -ASPEN_EINVAL);
    assert_int_equal(aspen_mm_activate(mm, UINT32_MAX), -ASPEN_EINVAL);
    assert_int_equal(aspen_mm_deactivate(mm, ASPEN_PORT_CPUS), -ASPEN_EINVAL);
    assert_int_equal(aspen_mm_deactivate(mm, UINT32_MAX), -ASPEN_EINVAL);
    assert_int_equal(mm->cpus[(ASPEN_PORT_CPUS - 1) / 64],
                     1ull << (ASPEN_PORT_CPUS - 1) % 64);
    assert_true(aspen_mm_is_active(mm, ASPEN_PORT_CPUS - 1));
    assert_false(aspen_mm_is_active(mm, ASPEN_PORT_CPUS - 2));
    assert_false(aspen_mm_is_active(mm, ASPEN_PORT_CPUS));
    assert_false(aspen_mm_is_active(mm, UINT32_MAX));
    assert_int_equal(aspen_mm_deactivate(mm, ASPEN_PORT_CPUS - 1), 0);
    aspen_mm_put(mm);
    helper_machine_destroy(aspen);
}

static void
a_write_lock_can_be_interrupted(void **state)
{
    struct aspen *aspen = helper_machine(256);
    struct aspen_mm *mm = helper_new_mm(aspen);
    struct aspen_failpoint_plan plan = {.mode = ASPEN_FAIL_ONCE, .number = 1};
    uint32_t sequence = mm->lock_sequence;
    (void)state;

    assert_int_equal(aspen_failpoints_set(aspen, &plan), 0);
    assert_int_equal(aspen_mm_write_lock_killable(mm, ASPEN_LOCK_MM),
                     -ASPEN_EINTR);
    assert_int_equal(aspen_mm_write_lock_killable(mm, ASPEN_LOCK_MM), 0);
    assert_int_equal(mm->lock_sequence, sequence);
    aspen_mm_write_unlock(mm);
    assert_int_equal(mm->lock_sequence, sequence + 1);
    assert_int_equal(aspen_failpoints_set(aspen, NULL), 0);
    assert_true(aspen_mm_get_live(mm)); /* nothing is locked */
    aspen_read_unlock(&mm->mmap_lock);
    aspen_mm_put(mm);
    helper_machine_destroy(aspen);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(config_has_defaults),
        cmocka_unit_test(create_checks_each_field),
        cmocka_unit_test(a_fresh_machine_has_everything_free),
        cmocka_unit_test(destroy_refuses_while_in_use),
        cmocka_unit_test(destroy_waits_for_what_waits),
        cmocka_unit_test(failpoints_are_planned_and_counted),
        cmocka_unit_test(the_library_says_what_it_is),
        cmocka_unit_test(an_mm_is_made_whole_or_not_at_all),
        cmocka_unit_test(an_mm_is_live_and_registered),
        cmocka_unit_test(the_gate_lets_only_whole_ones_pass),
        cmocka_unit_test(the_swap_list_holds_it_once),
        cmocka_unit_test(sizes_count_as_linux_counts_them),
        cmocka_unit_test(cpus_are_told_apart),
        cmocka_unit_test(a_write_lock_can_be_interrupted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
