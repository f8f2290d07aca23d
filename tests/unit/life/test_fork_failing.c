/* SPDX-License-Identifier: MIT */
/*
 * Fork failing at every step, once and from there on: nothing is left of the
 * child, the parent is as it was, the next fork works; and whoever looks on
 * through rmap, registry or swap list meets only whole things.
 */
#include "fork_parent.h"
#include "helper.h"
#include <inttypes.h>

#define STEPS_MAX 4096

/* Of the machine, and of what its hooks and walkers saw. */
static void
assert_valid(struct fork_parent *parent)
{
    helper_assert_valid(&parent->helper);
    if (parent->events.broken)
        fail_msg("walker: %s", parent->events.broken);
    assert_int_equal(parent->events.brackets_started,
                     parent->events.brackets_ended);
}

static struct helper_state
look(struct fork_parent *parent)
{
    struct helper_state state;
    helper_state_take(&parent->helper, parent->mm, &state);
    return state;
}

static void
assert_same(struct fork_parent *parent, const struct helper_state *before)
{
    helper_assert_state(&parent->helper, parent->mm, before);
}

/* ---- Plans ------------------------------------------------------------- */

struct recording {
    struct fork_parent *parent;
    enum aspen_step steps[STEPS_MAX];
    uint64_t count;
};

static void
observe(void *context, enum aspen_step step, uint64_t number)
{
    struct recording *recording = context;
    if (number <= STEPS_MAX)
        recording->steps[number - 1] = step;
    recording->count = number;
    fork_walkers(recording->parent);
}

static void
plan(struct recording *recording, enum aspen_fail_mode mode, uint64_t number)
{
    struct aspen_failpoint_plan plan = {
        .mode = mode,
        .number = number,
        .observer = observe,
        .observer_context = recording,
    };
    assert_int_equal(
        aspen_failpoints_set(recording->parent->helper.aspen, &plan), 0);
}

static void
unplan(struct recording *recording)
{
    assert_int_equal(
        aspen_failpoints_set(recording->parent->helper.aspen, NULL), 0);
}

static struct aspen_mm *
fork_and_check(struct fork_parent *parent)
{
    struct aspen_mm *child = NULL;
    assert_int_equal(aspen_fork(parent->mm, &child), 0);
    assert_non_null(child);
    assert_int_equal(aspen_mm_state(child), ASPEN_MM_LIVE);
    assert_valid(parent);
    return child;
}

/* One fork that succeeds, with its crossings recorded. */
static void
record(struct recording *recording)
{
    struct aspen_mm *child = NULL;
    plan(recording, ASPEN_FAIL_NEVER, 0);
    assert_int_equal(aspen_fork(recording->parent->mm, &child), 0);
    unplan(recording);
    assert_true(recording->count <= STEPS_MAX);
    assert_valid(recording->parent);
    aspen_mm_put(child);
    assert_valid(recording->parent);
}

static int
expected_error(enum aspen_step step)
{
    return step == ASPEN_STEP_INTERRUPT ? -ASPEN_EINTR : -ASPEN_ENOMEM;
}

static void
fail_one(struct recording *recording, const enum aspen_step *steps, uint64_t n,
         enum aspen_fail_mode mode, const struct helper_state *before)
{
    struct fork_parent *parent = recording->parent;
    struct aspen_mm *untouched = (struct aspen_mm *)&untouched;
    struct aspen_mm *child = untouched;
    struct fork_events events = parent->events;

    plan(recording, mode, n);
    int error = aspen_fork(parent->mm, &child);
    struct aspen_failpoint_counts counts;
    aspen_failpoints_read(parent->helper.aspen, &counts);
    unplan(recording);

    assert_int_equal(error, expected_error(steps[n - 1]));
    assert_ptr_equal(child, untouched);
    /* Recovery passes no gate: the failing crossing was the last. */
    assert_int_equal(counts.crossings, n);
    assert_int_equal(counts.failed, 1);
    assert_same(parent, before);
    assert_valid(parent);
    assert_int_equal(parent->events.opened - events.opened,
                     parent->events.closed - events.closed);
    assert_int_equal(parent->events.begun - events.begun,
                     parent->events.ended - events.ended);
    assert_int_equal(parent->events.scanner_forks, events.scanner_forks);
    assert_int_equal(parent->events.userfault_committed,
                     events.userfault_committed);
    assert_int_equal(
        parent->events.userfault_aborted - events.userfault_aborted,
        parent->events.userfault_prepared != events.userfault_prepared);
    assert_int_equal(parent->events.arch_aborted - events.arch_aborted,
                     parent->events.arch_prepared - events.arch_prepared);

    aspen_mm_put(fork_and_check(parent));
    assert_same(parent, before);
}

static void
fail_everywhere(struct fork_parent *parent, const char *name)
{
    static struct recording recording;
    static enum aspen_step steps[STEPS_MAX];
    uint64_t rehearsals = 0;

    recording = (struct recording){.parent = parent};
    record(&recording);
    uint64_t count = recording.count;
    memcpy(steps, recording.steps, count * sizeof(*steps));
    struct helper_state before = look(parent);
    for (uint64_t n = 1; n <= count; n++) {
        fail_one(&recording, steps, n, ASPEN_FAIL_ONCE, &before);
        fail_one(&recording, steps, n, ASPEN_FAIL_ONWARD, &before);
        rehearsals += 2;
    }
    print_message("%s: %" PRIu64 " steps, %" PRIu64 " failing forks, %" PRIu64
                  " walks met a child %" PRIu64 " times\n",
                  name, count, rehearsals, parent->events.walks,
                  parent->events.children_met);
}

static void
test_rich(void **state)
{
    (void)state;
    struct fork_parent *parent = fork_parent_rich();
    fail_everywhere(parent, "rich");
    assert_true(parent->events.children_met > 0);
    fork_parent_free(parent);
}

static void
test_empty(void **state)
{
    (void)state;
    struct fork_parent *parent = fork_parent_empty();
    fail_everywhere(parent, "empty");
    fork_parent_free(parent);
}

static void
test_many(void **state)
{
    (void)state;
    struct fork_parent *parent = fork_parent_many(40);
    fail_everywhere(parent, "many");
    fork_parent_free(parent);
}

/* The parent's TLB is flushed when a fork fails, before its lock goes; what the
 * child had nobody has seen, and waits for nothing. */
static void
test_flush(void **state)
{
    (void)state;
    struct fork_parent *parent = fork_parent_many(3);
    struct aspen_mm_counters before;
    struct aspen_mm_counters after;
    struct aspen_counters counters;
    struct aspen_mm *child;

    (void)helper_counts(parent->helper.aspen);
    parent->events.arch_error = -ASPEN_ENOMEM;
    aspen_mm_counters_read(parent->mm, &before);
    assert_int_equal(aspen_fork(parent->mm, &child), -ASPEN_ENOMEM);
    aspen_mm_counters_read(parent->mm, &after);
    assert_true(after.tlb_flushes > before.tlb_flushes);
    aspen_counters_read(parent->helper.aspen, &counters);
    assert_int_equal(counters.tables_waiting, 0);
    fork_parent_free(parent);
}

/* Hooks that refuse: their error comes through unchanged. */
static void
test_hooks(void **state)
{
    (void)state;
    struct fork_parent *parent = fork_parent_rich();
    struct helper_state before = look(parent);
    uint64_t open = parent->events.opened;
    struct aspen_mm *child;
    int *errors[] = {&parent->events.init_error, &parent->events.open_error,
                     &parent->events.userfault_error,
                     &parent->events.arch_error};

    for (size_t i = 0; i < ASPEN_ARRAY_SIZE(errors); i++) {
        *errors[i] = -ASPEN_EPERM;
        assert_int_equal(aspen_fork(parent->mm, &child), -ASPEN_EPERM);
        *errors[i] = 0;
        assert_same(parent, &before);
        assert_valid(parent);
        aspen_mm_put(fork_and_check(parent));
    }
    assert_int_equal(parent->events.opened - parent->events.closed, open);
    fork_parent_free(parent);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty), cmocka_unit_test(test_many),
        cmocka_unit_test(test_rich),  cmocka_unit_test(test_flush),
        cmocka_unit_test(test_hooks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
