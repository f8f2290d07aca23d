/* SPDX-License-Identifier: MIT */
/*
 * failing.c - every step of a call fails, once or from there on:
 *
 *     for n = 1, 2, ... until the call has no n-th step:
 *         make it, and let step n fail
 *         it says so: the space is what it was (of calls that go page by page,
 *                     consistent)
 *         it succeeds all the same: on to the next call
 *     make it: it has succeeded, or was refused for another reason, and then
 *              the space is what it was, too
 *
 * There is no kernel beside it: what calls answer is pair.c's matter.
 *
 * Called by command.c. tests/tools/fuzz.sh breaks first.
 */
#define _GNU_SOURCE
#include "fuzz/failing.h"
#include "fuzz/session.h"
#include "rehearse/load.h"
#include "snapshot/snapshot.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define VALIDATE_EVERY 64u
#define LOOK_EVERY     16u
#define FRESH_EVERY    1000u /* spaces grow, and with them the hash's work */

struct run {
    struct fuzz_failing *failing;
    struct machine machine;
    struct aspen_object *memory; /* to be mapped as descriptors */
    struct fuzz_mix mix;
    struct areas areas;
    struct fuzz_op op;
    enum aspen_fail_mode mode;
    uint64_t hash;  /* before the call */
    uint64_t until; /* so many calls are made in all, this space ends */
};

/* ---- A call ------------------------------------------------------------- */

static int
find_file(void *context, int descriptor, struct linux_file *file)
{
    struct run *run = context;
    int number = descriptor - FUZZ_DESCRIPTOR;

    if (number < 0 || number >= FUZZ_DESCRIPTORS)
        return -EBADF;
    *file = (struct linux_file){
        .object = run->memory,
        .readable = number % 3 != 2,
        .writable = number % 3 != 1,
        .executable = true,
    };
    return 0;
}

static int64_t
fork_and_exit(struct aspen_mm *mm)
{
    struct aspen_mm *child;
    int error = aspen_fork(mm, &child);

    if (error == 0)
        aspen_mm_put(child);
    return error;
}

static int64_t
make(struct run *run)
{
    struct linux_space space = {
        .mm = run->machine.mm, .find_file = find_file, .context = run};
    const uint64_t *a = run->op.call.arguments;
    int64_t answer = 0;

    switch (run->op.kind) {
    case FUZZ_READ:
        return aspen_fault(space.mm, a[0], ASPEN_ACCESS_READ);
    case FUZZ_WRITE:
        return aspen_fault(space.mm, a[0], ASPEN_ACCESS_WRITE);
    case FUZZ_FORK:
        return fork_and_exit(space.mm);
    default:
        return linux_call_make(&space, &run->op.call, &answer) ? answer
                                                               : -ENOSYS;
    }
}

/* May something stay of it when it fails? Pages that came for mlock or an
 * access, advice page by page. */
static bool
is_progressive(const struct fuzz_op *op)
{
    if (op->kind != FUZZ_CALL)
        return op->kind != FUZZ_FORK;
    switch (op->call.number) {
    case SYS_madvise:
    case SYS_mlock:
    case SYS_mlock2:
    case SYS_msync:
    case SYS_mincore:
        return true;
    default:
        return false;
    }
}

/* ---- What has to hold --------------------------------------------------- */

static void
broke(struct run *run, const char *why, uint64_t step, int64_t answer)
{
    char text[200];

    fuzz_text_op(&run->op, text, sizeof(text));
    snprintf(run->failing->what, sizeof(run->failing->what),
             "%s, step %" PRIu64 " failing %s: answer %" PRId64 ", %s", text,
             step, run->mode == ASPEN_FAIL_ONCE ? "once" : "and all after it",
             answer, why);
    run->failing->broken = 1;
}

static void
check_refused(struct run *run, uint64_t step, int64_t answer)
{
    if (!is_progressive(&run->op) &&
        aspen_hash_mm(run->machine.mm, ASPEN_HASH_SEMANTIC) != run->hash)
        broke(run, "the space has changed", step, answer);
}

static void
validate(struct run *run, uint64_t step, int64_t answer)
{
    struct aspen_finding finding = {0};
    char text[400];

    if (aspen_validate(run->machine.aspen, &finding) == 0)
        return;
    snprintf(text, sizeof(text), "inconsistent: %s: %s", finding.check,
             finding.text);
    broke(run, text, step, answer);
}

/* ---- Every step --------------------------------------------------------- */

static const char *
name_of(const struct fuzz_op *op)
{
    return op->kind == FUZZ_CALL    ? linux_call_name(op->call.number)
           : op->kind == FUZZ_FORK  ? "fork"
           : op->kind == FUZZ_WRITE ? "write"
                                    : "read";
}

/* Step `step` fails, if there is one. True: there is more to try. */
static bool
fail_step(struct run *run, uint64_t step)
{
    struct aspen_failpoint_plan plan = {.mode = run->mode, .number = step};
    struct aspen_failpoint_counts counts;
    int64_t answer;

    if (aspen_failpoints_set(run->machine.aspen, &plan) != 0)
        return false;
    answer = make(run);
    aspen_failpoints_read(run->machine.aspen, &counts);
    if (aspen_failpoints_set(run->machine.aspen, NULL) != 0)
        return false;
    if (fuzz_op_is_refused(&run->op, answer))
        check_refused(run, step, answer);
    if (counts.failed == 0)
        return false;
    run->failing->failures++;
    tally_add(&run->failing->by_call, name_of(&run->op), 1);
    if (run->failing->failures % VALIDATE_EVERY == 0)
        validate(run, step, answer);
    if (fuzz_op_is_refused(&run->op, answer))
        return true;
    run->failing->tolerated++;
    return false;
}

static void
fail_call(struct run *run)
{
    uint64_t step = 1;

    run->hash = aspen_hash_mm(run->machine.mm, ASPEN_HASH_SEMANTIC);
    run->mode = run->failing->made % 2 ? ASPEN_FAIL_ONCE : ASPEN_FAIL_ONWARD;
    while (!run->failing->broken && fail_step(run, step))
        step++;
    run->failing->made++;
}

/* ---- All calls ---------------------------------------------------------- */

/* Only what the mix has for one space; limits and files stay. */
static void
next_call(struct run *run)
{
    do
        fuzz_mix_next(&run->mix, &run->op);
    while (run->op.kind == FUZZ_EXIT || run->op.kind == FUZZ_RESIZE ||
           run->op.kind == FUZZ_PUNCH || run->op.kind == FUZZ_LIMIT ||
           run->op.kind == FUZZ_RIGHTS);
}

static int
run_calls(struct run *run, struct tool_error *error)
{
    struct fuzz_failing *failing = run->failing;

    while (failing->made < run->until && !failing->broken) {
        /* What is mapped, for the mix. */
        if (failing->made % LOOK_EVERY == 0 &&
            areas_of_aspen(&run->areas, AREAS_MAPS, run->machine.mm, error) !=
                0)
            return -1;
        next_call(run);
        fail_call(run);
    }
    if (!failing->broken)
        validate(run, 0, 0);
    return 0;
}

static int
make_memory(struct run *run, struct tool_error *error)
{
    struct aspen_object_args args = {
        .kind = ASPEN_OBJECT_SHMEM,
        .device = FUZZ_DEVICE,
        .inode = 1,
        .size_bytes = FUZZ_FILE_PAGES * FUZZ_PAGE,
    };
    int result = aspen_object_create(run->machine.aspen, &args, &run->memory);

    if (result == 0)
        result = aspen_limit_set(run->machine.mm, ASPEN_LIMIT_MEMLOCK,
                                 ASPEN_UNLIMITED);
    return result ? tool_fail(error, "cannot set up the space: %s",
                              aspen_error_name(result))
                  : 0;
}

static int
run_on(struct run *run, const struct snapshot *snapshot,
       struct tool_error *error)
{
    static const struct fuzz_abilities all = {
        .mseal = true, .pkey = true, .advices = UINT32_MAX};
    struct tool_error end;
    int result;

    if (machine_begin(&run->machine, snapshot, MACHINE_FOR_CALLS, error) != 0)
        return -1;
    run->mix.choices.random = (run->failing->seed + run->failing->made) * 2 + 1;
    fuzz_mix_begin(&run->mix, &all, &run->areas);
    result = make_memory(run, error);
    if (result == 0)
        result = run_calls(run, error);
    areas_free(&run->areas);
    if (run->memory)
        aspen_object_put(run->memory);
    /* What is broken may not end well. */
    if (!run->failing->broken && machine_end(&run->machine, &end) != 0 &&
        result == 0) {
        snprintf(run->failing->what, sizeof(run->failing->what),
                 "the machine cannot end: %.400s", end.text);
        run->failing->broken = 1;
    }
    return result;
}

int
fuzz_failing_run(struct fuzz_failing *failing, struct tool_error *error)
{
    struct tool_progress progress;
    struct snapshot snapshot;
    int result = 0;

    if (!aspen_failpoints_available())
        return tool_fail(error, "this build has no failpoints");
    if (snapshot_load(&snapshot, failing->snapshot, error) != 0)
        return -1;
    tool_progress_begin(&progress, "calls", failing->calls);
    while (result == 0 && failing->made < failing->calls && !failing->broken) {
        uint64_t left = failing->calls - failing->made;
        struct run run = {
            .failing = failing,
            .until = failing->made + (left < FRESH_EVERY ? left : FRESH_EVERY),
        };

        result = run_on(&run, &snapshot, error);
        tool_progress_set(&progress, failing->made);
    }
    tool_progress_end(&progress);
    snapshot_free(&snapshot);
    return result;
}
