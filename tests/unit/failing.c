/* SPDX-License-Identifier: MIT */
#include "failing.h"

#include <inttypes.h>

/* Run with a plan. Returns the error; *counts gets what was crossed. */
static int
run_planned(struct aspen *aspen, int (*run)(void *context), void *context,
            const struct aspen_failpoint_plan *plan,
            struct aspen_failpoint_counts *counts)
{
    assert_int_equal(aspen_failpoints_set(aspen, plan), 0);
    int error = run(context);
    aspen_failpoints_read(aspen, counts);
    assert_int_equal(aspen_failpoints_set(aspen, NULL), 0);
    return error;
}

/* Whether the call has an n-th step. */
static bool
fail_one(const struct helper_failing *failing, enum aspen_fail_mode mode,
         uint64_t number)
{
    struct helper *helper = failing->helper;
    struct aspen_failpoint_plan plan = {.mode = mode, .number = number};
    struct aspen_failpoint_counts counts;
    struct helper_state before;

    failing->setup(failing->context);
    struct aspen_mm *mm = failing->mm ? *failing->mm : NULL;
    helper_state_take(helper, mm, &before);
    int error = run_planned(helper->aspen, failing->run, failing->context,
                            &plan, &counts);
    bool failed = counts.failed > 0;
    if (failed != (error != 0))
        fail_msg("%s: step %" PRIu64 " %s: %" PRIu64 " failed, error %s",
                 failing->name, number,
                 mode == ASPEN_FAIL_ONCE ? "once" : "onward", counts.failed,
                 aspen_error_name(error));
    if (failed) {
        if (!failing->progressive)
            helper_assert_state_at(helper, mm, &before, failing->cached,
                                   __FILE__, __LINE__);
        helper_assert_valid(helper);
        assert_int_equal(failing->run(failing->context), 0);
    }
    helper_assert_valid(helper);
    if (failing->done)
        failing->done(failing->context);
    failing->teardown(failing->context);
    return failed;
}

uint64_t
helper_fail_every_step(const struct helper_failing *failing)
{
    const enum aspen_fail_mode modes[] = {ASPEN_FAIL_ONCE, ASPEN_FAIL_ONWARD};
    uint64_t total = 0;

    for (size_t i = 0; i < 2; i++) {
        uint64_t number = 1;
        while (fail_one(failing, modes[i], number))
            number++;
        assert_true(number > 1);
        total += number - 1;
    }
    print_message("%s: %" PRIu64 " failures\n", failing->name, total);
    return total;
}

uint64_t
helper_failed_steps(const struct helper_failing *failing, enum aspen_step step)
{
    struct aspen_failpoint_plan plan = {.mode = ASPEN_FAIL_NEVER};
    struct aspen_failpoint_counts counts;

    failing->setup(failing->context);
    assert_int_equal(run_planned(failing->helper->aspen, failing->run,
                                 failing->context, &plan, &counts),
                     0);
    failing->teardown(failing->context);
    return counts.by_step[step];
}

/* ---- Parts of calls ---------------------------------------------------- */

/* Returns the number of crossings. */
static uint64_t
fail_each(const struct helper_part *part, enum aspen_fail_mode mode)
{
    struct aspen_counters before = helper_counts(part->aspen);

    for (uint64_t n = 1;; n++) {
        struct aspen_failpoint_plan plan = {.mode = mode, .number = n};
        struct aspen_failpoint_counts counts;
        int error =
            run_planned(part->aspen, part->run, part->context, &plan, &counts);
        if (counts.failed) {
            assert_true(error < 0);
            helper_assert_counts(part->aspen, &before);
            error = part->run(part->context);
        }
        assert_int_equal(error, 0);
        part->undo(part->context);
        helper_assert_counts(part->aspen, &before);
        if (!counts.failed)
            return n - 1;
    }
}

void
helper_fail_part(const struct helper_part *part, const char *name,
                 uint64_t at_least)
{
    uint64_t once = fail_each(part, ASPEN_FAIL_ONCE);
    uint64_t onward = fail_each(part, ASPEN_FAIL_ONWARD);

    assert_int_equal(once, onward);
    assert_true(once >= at_least);
    print_message("%s: failed at each of %" PRIu64
                  " crossings, once and onward\n",
                  name, once);
}
