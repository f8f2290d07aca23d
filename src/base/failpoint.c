/* SPDX-License-Identifier: MIT */
/*
 * failpoint.c - the gate itself (test build) and the names of its steps.
 *
 * I1  While a plan is set every crossing gets its own number, from 1 up, even
 *     when threads cross at the same time.
 * I2  crossings == the sum of by_step when no crossing is under way.
 *
 * Called by whatever can fail. First to break:
 * tests/unit/base/test_failpoint.c.
 */
#include "base/failpoint.h"

#include "base/assert.h"
#include "base/atomic.h"

const char *
aspen_step_name(enum aspen_step step)
{
    static const char *const names[ASPEN_STEP_KINDS] = {
        [ASPEN_STEP_MM] = "mm",
        [ASPEN_STEP_VMA] = "vma",
        [ASPEN_STEP_TREE_NODE] = "tree_node",
        [ASPEN_STEP_ANON_VMA] = "anon_vma",
        [ASPEN_STEP_PAGE_TABLE] = "page_table",
        [ASPEN_STEP_FRAME] = "frame",
        [ASPEN_STEP_CHARGE] = "charge",
        [ASPEN_STEP_HOOK] = "hook",
        [ASPEN_STEP_SWAP] = "swap",
        [ASPEN_STEP_INTERRUPT] = "interrupt",
        [ASPEN_STEP_OBJECT] = "object",
        [ASPEN_STEP_NAME] = "name",
        [ASPEN_STEP_GROUP] = "group",
        [ASPEN_STEP_USERFAULT] = "userfault",
        [ASPEN_STEP_GATHER] = "gather",
    };

    return (unsigned)step < ASPEN_STEP_KINDS ? names[step] : NULL;
}

bool
aspen_failpoints_available(void)
{
#ifdef ASPEN_TEST_BUILD
    return true;
#else
    return false;
#endif
}

#ifdef ASPEN_TEST_BUILD

static bool
plan_says_fail(const struct aspen_failpoint_plan *plan, uint64_t number)
{
    switch (plan->mode) {
    case ASPEN_FAIL_ONCE:
        return number == plan->number;
    case ASPEN_FAIL_ONWARD:
        return number >= plan->number;
    default:
        return false;
    }
}

bool
aspen_failpoint(struct aspen_failpoints *failpoints, enum aspen_step step)
{
    struct aspen_failpoint_counts *counts;
    uint64_t number;

    ASPEN_ASSERT((unsigned)step < ASPEN_STEP_KINDS);
    if (!failpoints || !failpoints->counting)
        return false;
    counts = &failpoints->counts;
    number = aspen_fetch_add_relaxed(&counts->crossings, 1) + 1;
    (void)aspen_fetch_add_relaxed(&counts->by_step[step], 1);
    if (failpoints->plan.observer)
        failpoints->plan.observer(failpoints->plan.observer_context, step,
                                  number);
    if (!plan_says_fail(&failpoints->plan, number))
        return false;
    (void)aspen_fetch_add_relaxed(&counts->failed, 1);
    return true;
}

#endif
