/* SPDX-License-Identifier: MIT */
/*
 * failing_fork.c - one rehearsal: a fork that fails at one step, and everything
 * that has to hold afterwards:
 *
 *   child_empty       the fork answers the step's own error, hands out no
 *                     child, passes no further step (recovery cannot fail),
 *                     and no address space is left of it
 *   parent_unchanged  the parent is LIVE, its semantic hash and counters are
 *                     what they were, and the validator finds nothing in it
 *   nothing_left      every counter of the machine is what it was, and so is
 *                     what the parent shares (frame and map counts, swap
 *                     counts, sizes of reverse maps); hooks balance, nobody
 *                     optional was told; now and then the validator finds
 *                     nothing in the whole machine
 *   next_fork         a fork succeeds, with the same steps as the first one,
 *                     its child is valid, and nothing is left of it after its
 *                     exit either
 *
 * Called by the workers of rehearse. tests/tools/rehearse.sh breaks first.
 */
#define _GNU_SOURCE
#include "rehearse/failing_fork.h"
#include "common/counters.h"
#include "rehearse/swapped.h"

#include <aspen/error.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The whole machine is validated in at most one part in this many of time. */
#define WHOLE_PART 10u

#define SETTLE_TRIES  200u
#define SETTLE_NAP_NS 500000u

static const char *const mode_names[REHEARSAL_MODES] = {
    "once",
    "onward",
    "interrupt",
};

static const char *const promise_names[PROMISES] = {
    "child_empty",
    "parent_unchanged",
    "nothing_left",
    "next_fork",
};

/* One fork under a plan, as it went. */
struct attempt {
    struct rehearsal_stage *stage;
    uint64_t step;      /* that fails */
    uint64_t failed_ns; /* when it did */
    int result;
    struct aspen_mm *child;
    struct aspen_failpoint_counts counts;
};

/* One rehearsal while it is judged. */
struct judging {
    struct rehearsal_stage *stage;
    struct rehearsal_result *result;
    struct tool_error *error;
    struct machine_events before;
};

static void broke(struct judging *judging, enum rehearsal_promise promise,
                  const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void
broke(struct judging *judging, enum rehearsal_promise promise,
      const char *format, ...)
{
    char text[400];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (judging->result->held == HELD_ALL)
        tool_fail(judging->error, "%s: %s", promise_names[promise], text);
    judging->result->held &= ~(1u << promise);
}

/* --- forks --------------------------------------------------------------- */

static void
observe_kinds(void *context, enum aspen_step step, uint64_t number)
{
    struct rehearsal_stage *stage = context;

    if (number > stage->kinds_capacity) {
        uint64_t capacity = stage->kinds_capacity * 2 + 1024;
        uint8_t *kinds = realloc(stage->kinds, capacity);

        if (kinds == NULL) {
            stage->no_memory = true;
            return;
        }
        stage->kinds = kinds;
        stage->kinds_capacity = capacity;
    }
    stage->kinds[number - 1] = (uint8_t)step;
    stage->steps = number;
}

static void
observe_failing(void *context, enum aspen_step step, uint64_t number)
{
    struct attempt *attempt = context;

    (void)step;
    if (number == attempt->step)
        attempt->failed_ns = tool_now_ns();
}

static int
plan(struct rehearsal_stage *stage, enum aspen_fail_mode mode, uint64_t number,
     aspen_failpoint_observer *observer, void *context)
{
    struct aspen_failpoint_plan failing = {
        .mode = mode,
        .number = number,
        .observer = observer,
        .observer_context = context,
    };

    return aspen_failpoints_set(stage->machine.aspen, &failing);
}

/* A child pointer that nobody hands out: it has to stay what it was. */
static struct aspen_mm *
untouched(struct attempt *attempt)
{
    return (struct aspen_mm *)(void *)attempt;
}

/* A child's tables need room that the last child's may still wait to give. */
static void
await_frames(struct rehearsal_stage *stage)
{
    for (unsigned i = 0; i < SETTLE_TRIES * 20; i++) {
        struct aspen_counters now;

        aspen_counters_read(stage->machine.aspen, &now);
        if (now.tables_waiting == 0 || now.frames_free > 2 * now.frames_table)
            return;
        tool_sleep_until_ns(tool_now_ns() + SETTLE_NAP_NS);
    }
}

static void
fork_failing(struct attempt *attempt, enum rehearsal_mode mode)
{
    struct aspen *aspen = attempt->stage->machine.aspen;
    enum aspen_fail_mode fail =
        mode == REHEARSE_ONWARD ? ASPEN_FAIL_ONWARD : ASPEN_FAIL_ONCE;

    await_frames(attempt->stage);
    attempt->child = untouched(attempt);
    attempt->result =
        plan(attempt->stage, fail, attempt->step, observe_failing, attempt);
    if (attempt->result != 0)
        return;
    attempt->result = aspen_fork(attempt->stage->machine.mm, &attempt->child);
    if (attempt->failed_ns != 0)
        attempt->failed_ns = tool_now_ns() - attempt->failed_ns;
    aspen_failpoints_read(aspen, &attempt->counts);
    if (aspen_failpoints_set(aspen, NULL) != 0)
        attempt->result = -ASPEN_EINVAL;
}

/* --- judging ------------------------------------------------------------- */

static int
own_error(const struct rehearsal_stage *stage, uint64_t step)
{
    return stage->kinds[step - 1] == ASPEN_STEP_INTERRUPT ? -ASPEN_EINTR
                                                          : -ASPEN_ENOMEM;
}

static void
judge_child(struct judging *judging, const struct attempt *attempt)
{
    struct rehearsal_stage *stage = judging->stage;
    int wanted = own_error(stage, attempt->step);
    struct aspen_counters now;

    if (attempt->result != wanted)
        broke(judging, PROMISE_CHILD_EMPTY, "the fork answered %s, not %s",
              attempt->result == 0 ? "success"
                                   : aspen_error_name(attempt->result),
              aspen_error_name(wanted));
    if (attempt->result != 0 &&
        attempt->child != untouched((struct attempt *)(uintptr_t)attempt))
        broke(judging, PROMISE_CHILD_EMPTY, "a child was handed out");
    if (attempt->counts.crossings != attempt->step ||
        attempt->counts.failed != 1)
        broke(judging, PROMISE_CHILD_EMPTY,
              "%" PRIu64 " steps were passed and %" PRIu64
              " failed: recovery must not need any",
              attempt->counts.crossings, attempt->counts.failed);
    aspen_counters_read(stage->machine.aspen, &now);
    if (now.mms != stage->counters.mms ||
        now.mms_live != stage->counters.mms_live ||
        now.mms_swap_list != stage->counters.mms_swap_list)
        broke(judging, PROMISE_CHILD_EMPTY,
              "address spaces: %" PRIu64 " (%" PRIu64 " live, %" PRIu64
              " on the swap list), not %" PRIu64 " (%" PRIu64 ", %" PRIu64 ")",
              now.mms, now.mms_live, now.mms_swap_list, stage->counters.mms,
              stage->counters.mms_live, stage->counters.mms_swap_list);
}

static void
judge_answers(struct judging *judging, enum rehearsal_promise promise)
{
    const struct rehearsal_stage *stage = judging->stage;

    if (aspen_hash_mm(stage->machine.mm, ASPEN_HASH_SEMANTIC) !=
        stage->semantic_hash)
        broke(judging, promise, "the parent answers differently than before");
}

static void
judge_parent(struct judging *judging, enum rehearsal_promise promise)
{
    struct rehearsal_stage *stage = judging->stage;
    struct aspen_mm *mm = stage->machine.mm;
    struct aspen_mm_counters now;
    struct aspen_finding finding = {0};
    int found;

    aspen_mm_counters_read(mm, &now);
    now.tlb_flushes = 0;
    if (aspen_mm_state(mm) != ASPEN_MM_LIVE)
        broke(judging, promise, "the parent is not live any more");
    if (memcmp(&now, &stage->parent, sizeof(now)) != 0)
        broke(judging, promise, "the parent's counters have changed");
    judge_answers(judging, promise);
    found = aspen_validate_mm(mm, &finding);
    if (found == 1)
        broke(judging, promise, "%s: %s", finding.check, finding.text);
    else if (found != 0)
        stage->no_memory = true;
}

/* Counts of what the parent has, and others may have, too. */
static void
judge_shared(struct judging *judging, enum rehearsal_promise promise)
{
    if (aspen_hash_mm(judging->stage->machine.mm, ASPEN_HASH_COUNTS) !=
        judging->stage->counts_hash)
        broke(judging, promise,
              "reference, map or swap counts of what the parent holds have "
              "changed");
}

static void
judge_counters(struct judging *judging, enum rehearsal_promise promise)
{
    struct rehearsal_stage *stage = judging->stage;
    struct aspen_counters now;
    char text[100];

    counters_settle(stage->machine.aspen, &stage->counters, &now);
    if (counters_difference(&stage->counters, &now, text, sizeof(text)))
        broke(judging, promise, "%s", text);
}

static void
judge_hooks(struct judging *judging, bool forked)
{
    const struct machine_events *was = &judging->before;
    const struct machine_events *is = &judging->stage->machine.events;
    enum rehearsal_promise promise =
        forked ? PROMISE_NEXT_FORK : PROMISE_NOTHING_LEFT;
    uint64_t commits = is->arch_committed - was->arch_committed;
    uint64_t told = is->scanner_told - was->scanner_told;

    if (is->arch_prepared - was->arch_prepared !=
            commits + (is->arch_aborted - was->arch_aborted) ||
        commits != (forked ? 1 : 0))
        broke(judging, promise, "the architecture's hooks do not balance");
    if (is->userfault_forks - was->userfault_forks !=
            is->userfault_committed - was->userfault_committed +
                (is->userfault_aborted - was->userfault_aborted) ||
        (!forked && is->userfault_committed != was->userfault_committed))
        broke(judging, promise, "userfault's hooks do not balance");
    if (is->opened - was->opened != is->closed - was->closed ||
        is->released != was->released)
        broke(judging, promise, "opens and closes of objects do not balance");
    if (is->brackets_opened - was->brackets_opened !=
        is->brackets_closed - was->brackets_closed)
        broke(judging, promise, "notifier brackets do not balance");
    if (told != (forked ? 1 : 0))
        broke(judging, promise, "scanners were told %" PRIu64 " times", told);
}

static int
validate_whole(struct rehearsal_stage *stage, struct tool_error *error)
{
    struct aspen_finding finding = {0};
    uint64_t begun = tool_now_ns();
    int found = aspen_validate(stage->machine.aspen, &finding);

    stage->validated_ns = tool_now_ns();
    stage->validating_ns = stage->validated_ns - begun;
    if (found == 1)
        return tool_fail(error, "%s: %s", finding.check, finding.text);
    if (found != 0)
        stage->no_memory = true;
    return 0;
}

static void
judge_whole(struct judging *judging)
{
    struct rehearsal_stage *stage = judging->stage;
    struct tool_error finding;
    uint64_t since = tool_now_ns() - stage->validated_ns;

    if (since >= stage->validating_ns * WHOLE_PART &&
        validate_whole(stage, &finding) != 0)
        broke(judging, PROMISE_NOTHING_LEFT, "%s", finding.text);
}

static void
remember_hashes(struct rehearsal_stage *stage)
{
    const struct machine *machine = &stage->machine;

    stage->semantic_hash = aspen_hash_mm(machine->mm, ASPEN_HASH_SEMANTIC);
    stage->counts_hash = aspen_hash_mm(machine->mm, ASPEN_HASH_COUNTS);
}

/* --- what comes back from swap ------------------------------------------- */

static void
judge_page(struct judging *judging, enum rehearsal_promise promise,
           const char *whose, bool same, uint64_t address, int error)
{
    if (error)
        broke(judging, promise,
              "the %s's page at 0x%" PRIx64 " does not come back from swap: %s",
              whose, address, aspen_error_name(error));
    else if (!same)
        broke(judging, promise,
              "the %s's page at 0x%" PRIx64
              " came back from swap with other contents",
              whose, address);
}

static void
judge_child_swap(struct judging *judging, struct aspen_mm *child)
{
    uint64_t address = 0;
    int error = 0;
    bool same = swapped_compare_child(judging->stage->machine.swapped, child,
                                      &address, &error);

    judge_page(judging, PROMISE_NEXT_FORK, "child", same, address, error);
}

/* What was in memory for the child leaves it with this; the parent's slots are
 * others afterwards, which is no fork's doing. */
static void
judge_parent_swap(struct judging *judging)
{
    struct rehearsal_stage *stage = judging->stage;
    uint64_t address = 0;
    int error = 0;

    if (!stage->machine.swapped)
        return;
    judge_answers(judging, PROMISE_PARENT_UNCHANGED);
    bool same = swapped_compare_parent(
        stage->machine.swapped, stage->machine.mm, false, &address, &error);
    judge_page(judging, PROMISE_PARENT_UNCHANGED, "parent", same, address,
               error);
    remember_hashes(stage);
}

static void
count_swap(const struct rehearsal_stage *stage,
           const struct swapped_counts *before, struct rehearsal_result *result)
{
    struct swapped_counts now;

    swapped_count(stage->machine.swapped, &now);
    result->from_swap_in_parents =
        (uint32_t)(now.in_parents - before->in_parents);
    result->from_swap_in_children =
        (uint32_t)(now.in_children - before->in_children);
}

/* Many of the parent's, at the end. */
static int
check_parent_swap(struct rehearsal_stage *stage, struct tool_error *error)
{
    uint64_t address = 0;
    int failed = 0;

    if (swapped_compare_parent(stage->machine.swapped, stage->machine.mm, true,
                               &address, &failed))
        return 0;
    return tool_fail(
        error,
        "the page at 0x%" PRIx64 " did not come back from swap as it was%s%s",
        address, failed ? ": " : "", failed ? aspen_error_name(failed) : "");
}

/* --- the next fork ------------------------------------------------------- */

static void
judge_next_fork(struct judging *judging)
{
    struct rehearsal_stage *stage = judging->stage;
    struct aspen_failpoint_counts counts;
    struct aspen_finding finding = {0};
    struct aspen_mm_counters child_counters;
    struct aspen_mm *child = NULL;
    uint64_t begun;
    int result;
    int found;

    await_frames(stage);
    judging->before = stage->machine.events;
    if (plan(stage, ASPEN_FAIL_NEVER, 0, NULL, NULL) != 0)
        broke(judging, PROMISE_NEXT_FORK, "no plan can be set");
    begun = tool_now_ns();
    result = aspen_fork(stage->machine.mm, &child);
    judging->result->fork_ns = tool_now_ns() - begun;
    aspen_failpoints_read(stage->machine.aspen, &counts);
    if (aspen_failpoints_set(stage->machine.aspen, NULL) != 0)
        broke(judging, PROMISE_NEXT_FORK, "the plan cannot be ended");
    if (result != 0) {
        broke(judging, PROMISE_NEXT_FORK, "it answered %s",
              aspen_error_name(result));
        return;
    }
    if (counts.crossings != stage->steps)
        broke(judging, PROMISE_NEXT_FORK,
              "it took %" PRIu64 " steps, not %" PRIu64, counts.crossings,
              stage->steps);
    aspen_mm_counters_read(child, &child_counters);
    if (child_counters.vmas != stage->child_vmas)
        broke(judging, PROMISE_NEXT_FORK,
              "the child has %" PRIu64 " mappings, not %" PRIu64,
              child_counters.vmas, stage->child_vmas);
    found = aspen_validate_mm(child, &finding);
    if (found == 1)
        broke(judging, PROMISE_NEXT_FORK, "%s: %s", finding.check,
              finding.text);
    else if (found != 0)
        stage->no_memory = true;
    judge_child_swap(judging, child);
    aspen_mm_put(child);
    judge_shared(judging, PROMISE_NEXT_FORK);
    judge_parent_swap(judging);
    judge_counters(judging, PROMISE_NEXT_FORK);
    judge_hooks(judging, true);
}

/* --- the stage ----------------------------------------------------------- */

/* A fork that succeeds, recorded; -1: it did not, or no memory. */
static int
count_steps(struct rehearsal_stage *stage, struct tool_error *error)
{
    struct aspen_mm_counters counters;
    struct aspen_mm *child = NULL;
    int result;

    await_frames(stage);
    stage->steps = 0;
    if (plan(stage, ASPEN_FAIL_NEVER, 0, observe_kinds, stage) != 0)
        return tool_fail(error, "no plan can be set: %s",
                         aspen_failpoints_available()
                             ? "the library refuses"
                             : "this build has no failpoints");
    result = aspen_fork(stage->machine.mm, &child);
    if (aspen_failpoints_set(stage->machine.aspen, NULL) != 0 ||
        stage->no_memory)
        return tool_fail(error, "no memory to count the steps");
    if (result != 0)
        return tool_fail(error, "a plain fork fails: %s",
                         aspen_error_name(result));
    aspen_mm_counters_read(child, &counters);
    stage->child_vmas = counters.vmas;
    aspen_mm_put(child);
    return 0;
}

static void
remember(struct rehearsal_stage *stage)
{
    struct aspen_mm *mm = stage->machine.mm;

    counters_read(stage->machine.aspen, &stage->counters);
    aspen_mm_counters_read(mm, &stage->parent);
    stage->parent.tlb_flushes = 0;
    remember_hashes(stage);
}

const char *
rehearsal_mode_name(unsigned mode)
{
    return mode < REHEARSAL_MODES ? mode_names[mode] : NULL;
}

enum rehearsal_mode
rehearsal_mode_of(const char *name)
{
    unsigned mode = 0;

    while (mode < REHEARSAL_MODES && strcmp(mode_names[mode], name) != 0)
        mode++;
    return (enum rehearsal_mode)mode;
}

const char *
rehearsal_promise_name(unsigned promise)
{
    return promise < PROMISES ? promise_names[promise] : NULL;
}

int
rehearsal_begin(struct rehearsal_stage *stage, const struct snapshot *snapshot,
                bool *broken, struct tool_error *error)
{
    struct tool_error finding;

    *broken = false;
    memset(stage, 0, sizeof(*stage));
    if (machine_begin(&stage->machine, snapshot, MACHINE_FOR_FORK, error) != 0)
        return -1;
    if (validate_whole(stage, &finding) != 0) {
        *broken = true;
        return tool_fail(error, "after the import: %s", finding.text);
    }
    /* Twice: the first fork may meet what later ones find made already. */
    if (count_steps(stage, error) != 0)
        return -1;
    remember(stage);
    if (count_steps(stage, error) != 0)
        return -1;
    if (validate_whole(stage, &finding) != 0) {
        *broken = true;
        return tool_fail(error, "after a plain fork: %s", finding.text);
    }
    return 0;
}

void
rehearsal_run(struct rehearsal_stage *stage, uint64_t step,
              enum rehearsal_mode mode, struct rehearsal_result *result,
              struct tool_error *error)
{
    struct attempt attempt = {.stage = stage, .step = step};
    struct judging judging = {
        .stage = stage,
        .result = result,
        .error = error,
        .before = stage->machine.events,
    };

    struct swapped_counts swap;

    swapped_count(stage->machine.swapped, &swap);
    result->held = HELD_ALL;
    fork_failing(&attempt, mode);
    result->recovery_ns = attempt.failed_ns;
    judge_child(&judging, &attempt);
    if (attempt.result == 0)
        aspen_mm_put(attempt.child);
    judge_parent(&judging, PROMISE_PARENT_UNCHANGED);
    judge_counters(&judging, PROMISE_NOTHING_LEFT);
    judge_shared(&judging, PROMISE_NOTHING_LEFT);
    judge_hooks(&judging, false);
    judge_whole(&judging);
    judge_next_fork(&judging);
    count_swap(stage, &swap, result);
}

int
rehearsal_end(struct rehearsal_stage *stage, struct tool_error *error)
{
    int result = validate_whole(stage, error);
    struct machine_events *events = &stage->machine.events;
    bool balanced;

    free(stage->kinds);
    stage->kinds = NULL;
    if (result == 0)
        result = check_parent_swap(stage, error);
    if (result != 0)
        return result; /* a broken machine is not taken apart */
    aspen_mm_put(stage->machine.mm);
    stage->machine.mm = NULL;
    balanced = events->opened == events->closed &&
               events->brackets_opened == events->brackets_closed;
    if (validate_whole(stage, error) != 0)
        return -1;
    if (machine_end(&stage->machine, error) != 0)
        return -1;
    if (!balanced)
        return tool_fail(error,
                         "opens and closes of objects do not balance after "
                         "the parent's exit");
    return 0;
}
