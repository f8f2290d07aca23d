/* SPDX-License-Identifier: MIT */
/*
 * pair.c - an operation, made on both sides, and what is to be the same
 * afterwards.
 *
 * Called by command.c, shrink.c and the libFuzzer driver.
 * tests/tools/fuzz.sh breaks first.
 */
#define _GNU_SOURCE
#include "fuzz/session.h"
#include "guest/drive.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NUMBER_MSEAL 462u

/* ---- What the host can do ----------------------------------------------- */

static void
find_abilities(struct fuzz_pair *pair)
{
    struct linux_call seal = {NUMBER_MSEAL, {0}};

    pair->abilities.mseal = fuzz_kernel_ask(&pair->kernel, &seal) == 0;
    if (!pair->abilities.mseal)
        tally_add(&pair->skipped, "mseal", 1);
    pair->abilities.pkey = pair->model.pkeys;
    if (!pair->abilities.pkey)
        tally_add(&pair->skipped, "protection keys", 1);
    for (unsigned i = 0; i < FUZZ_ADVICES; i++) {
        struct linux_call advise = {SYS_madvise,
                                    {0, 0, (uint64_t)fuzz_advices[i].number}};

        if (fuzz_kernel_ask(&pair->kernel, &advise) == 0 ||
            fuzz_advices[i].number == 99)
            pair->abilities.advices |= 1u << i;
        else
            tally_add(&pair->skipped, fuzz_advices[i].name, 1);
    }
}

int
fuzz_pair_begin(struct fuzz_pair *pair)
{
    pair->counts = true;
    if (fuzz_kernel_begin(&pair->kernel, &pair->error) != 0 ||
        fuzz_model_begin(&pair->model, &pair->kernel, &pair->error) != 0 ||
        fuzz_kernel_strip(&pair->kernel, &pair->error) != 0)
        return -1;
    find_abilities(pair);
    return 0;
}

void
fuzz_pair_end(struct fuzz_pair *pair)
{
    fuzz_kernel_end(&pair->kernel);
    fuzz_model_end(&pair->model);
    fuzz_compare_free(&pair->compare);
}

int
fuzz_pair_fresh(struct fuzz_pair *pair)
{
    pair->has_filled = false;
    pair->has_kept_old = false;
    pair->has_paged_out = false;
    pair->opens = 0;
    pair->compare.files.count = 0;
    pair->compare.what[0] = '\0';
    pair->processes = 1;
    if (pair->counts)
        pair->sequences++;
    if (fuzz_kernel_fresh(&pair->kernel) != 0)
        return tool_fail(&pair->error, "no fresh process: %s", strerror(errno));
    return fuzz_model_fresh(&pair->model, &pair->error);
}

/* ---- mincore's bytes ---------------------------------------------------- */

static enum fuzz_step
compare_vectors(struct fuzz_pair *pair, const struct fuzz_op *op)
{
    static uint8_t bytes[FUZZ_VECTOR_BYTES];
    const uint64_t *a = op->call.arguments;
    uint64_t pages = fuzz_pages(a[1]);

    if (pread(pair->kernel.memory[op->process], bytes, pages,
              (off_t)FUZZ_VECTOR) != (ssize_t)pages) {
        tool_fail(&pair->error, "cannot read the vector: %s", strerror(errno));
        return FUZZ_FAILED;
    }
    for (uint64_t i = 0; i < pages; i++) {
        if ((bytes[i] & 1) == (pair->model.vector[i] & 1) ||
            fuzz_known_residency(pair, a[0] + i * FUZZ_PAGE, bytes[i] & 1))
            continue;
        snprintf(pair->compare.what, sizeof(pair->compare.what),
                 "mincore of %" PRIx64 ": kernel %d, Aspen %d",
                 a[0] + i * FUZZ_PAGE, bytes[i] & 1, pair->model.vector[i] & 1);
        return FUZZ_UNEXPLAINED;
    }
    return FUZZ_GO_ON;
}

/* ---- A step ------------------------------------------------------------- */

static void
count(struct fuzz_pair *pair, const struct fuzz_op *op, int64_t answer)
{
    static const char *const names[FUZZ_KINDS] = {
        [FUZZ_READ] = "read",     [FUZZ_WRITE] = "write",
        [FUZZ_FORK] = "fork",     [FUZZ_EXIT] = "exit",
        [FUZZ_RESIZE] = "resize", [FUZZ_PUNCH] = "punch",
        [FUZZ_LIMIT] = "limit",   [FUZZ_RIGHTS] = "rights",
    };

    if (!pair->counts)
        return;
    pair->calls++;
    pair->refused += answer < 0;
    tally_add(&pair->by_call,
              op->kind == FUZZ_CALL ? linux_call_name(op->call.number)
                                    : names[op->kind],
              1);
}

static bool
has_locks(const struct fuzz_pair *pair, unsigned process)
{
    struct aspen_mm_counters counters;

    aspen_mm_counters_read(pair->model.process[process], &counters);
    return counters.locked_pages > 0;
}

static void
remember(struct fuzz_pair *pair, const struct fuzz_op *op, int64_t answer)
{
    pair->processes = fuzz_op_processes(op, pair->processes, answer);
    if (op->kind != FUZZ_CALL)
        return;
    switch (op->call.number) {
    case SYS_mmap:
        if (!(op->call.arguments[3] & MAP_ANONYMOUS))
            pair->opens |= 1u << (op->call.arguments[4] - FUZZ_DESCRIPTOR) % 32;
        break;
    case SYS_mlock:
    case SYS_mlock2:
        pair->has_filled |= op->call.number == SYS_mlock ||
                            op->call.arguments[2] != MLOCK_ONFAULT;
        break;
    case SYS_mprotect:
    case SYS_pkey_mprotect:
        pair->has_filled |=
            op->call.arguments[2] & PROT_WRITE && has_locks(pair, op->process);
        break;
    case SYS_madvise:
        pair->has_paged_out |= op->call.arguments[2] == 21;
        break;
    case SYS_mremap:
        pair->has_kept_old |= (op->call.arguments[3] & 4) != 0; /* DONTUNMAP */
        break;
    default:
        break;
    }
}

/* Refused, may it have changed flags that maps does not show? (What goes over
 * holes has been done on both sides.) */
static bool
leaves_flags(const struct fuzz_op *op, int64_t answer)
{
    const uint64_t *a = op->call.arguments;

    if (op->kind != FUZZ_CALL)
        return false;
    switch (op->call.number) {
    case SYS_mlock:
    case SYS_mlock2:
    case SYS_munlock:
    case SYS_mlockall:
    case SYS_mprotect: /* gives the process's own key back */
        return true;
    case SYS_madvise:
        return answer != -ENOMEM;
    case SYS_mremap:
        return (a[3] & MREMAP_FIXED) != 0;
    case SYS_mmap:
        return (a[3] & MAP_FIXED) != 0;
    default:
        return false;
    }
}

/* May keys of mappings or rights of the thread have changed? */
static bool
touches_pkeys(const struct fuzz_pair *pair, const struct fuzz_op *op)
{
    return pair->model.pkeys &&
           (fuzz_op_is_execute_only(op) || op->kind == FUZZ_RIGHTS ||
            (op->kind == FUZZ_CALL && (op->call.number == SYS_pkey_mprotect ||
                                       op->call.number == SYS_pkey_alloc)));
}

static enum fuzz_result
compare_pkeys(struct fuzz_pair *pair, unsigned process)
{
    uint32_t ours = pair->model.rights[process], theirs;

    if (fuzz_kernel_rights(&pair->kernel, process, &theirs) != 0)
        return FUZZ_BROKEN;
    if (ours == theirs)
        return fuzz_compare_flags(pair, process);
    snprintf(pair->compare.what, sizeof(pair->compare.what),
             "rights: kernel %#" PRIx32 ", Aspen %#" PRIx32, theirs, ours);
    return FUZZ_DIFFERENT;
}

/* Everything that may have changed. */
static enum fuzz_result
compare_after(struct fuzz_pair *pair, const struct fuzz_op *op, int64_t answer)
{
    bool refused = fuzz_op_is_refused(op, answer);
    enum fuzz_result result = FUZZ_SAME;

    switch (op->kind) {
    case FUZZ_EXIT:
        return FUZZ_SAME;
    case FUZZ_FORK:
        if (!refused)
            result =
                fuzz_compare_quickly(pair, (unsigned)op->call.arguments[0]);
        break;
    case FUZZ_RESIZE:
    case FUZZ_PUNCH:
        for (unsigned i = 1; i < FUZZ_PROCESSES && result == FUZZ_SAME; i++)
            if (pair->processes >> i & 1)
                result = fuzz_compare_quickly(pair, i);
        break;
    default:
        break;
    }
    if (result == FUZZ_SAME)
        result = fuzz_compare_quickly(pair, op->process);
    if (result == FUZZ_SAME && touches_pkeys(pair, op))
        result = compare_pkeys(pair, op->process);
    else if (result == FUZZ_SAME && refused && leaves_flags(op, answer))
        result = fuzz_compare_flags(pair, op->process);
    return result;
}

/* Which operation it was, behind what differs. */
static enum fuzz_step
unexplained(struct fuzz_pair *pair, const struct fuzz_op *op, int64_t answer)
{
    size_t used = strlen(pair->compare.what);
    char text[200];

    fuzz_text_op(op, text, sizeof(text));
    snprintf(pair->compare.what + used, sizeof(pair->compare.what) - used,
             " after %s = %" PRId64, text, answer);
    return FUZZ_UNEXPLAINED;
}

/* Of calls that go page by page something may stay, of mlock the pages. */
static bool
is_atomic(const struct fuzz_op *op)
{
    return op->kind == FUZZ_CALL && op->call.number != SYS_madvise &&
           op->call.number != SYS_mlock && op->call.number != SYS_mlock2;
}

static enum fuzz_step
judge(struct fuzz_pair *pair, const struct fuzz_op *op, int64_t answer,
      bool unchanged)
{
    bool refused = fuzz_op_is_refused(op, answer);

    if (refused && !unchanged && is_atomic(op)) {
        snprintf(pair->compare.what, sizeof(pair->compare.what),
                 "Aspen has refused, but changed something");
        return FUZZ_UNEXPLAINED;
    }
    if (refused && fuzz_known_pkeys(pair, op) != FUZZ_GO_ON)
        return FUZZ_FAILED;
    switch (compare_after(pair, op, answer)) {
    case FUZZ_SAME:
        break;
    case FUZZ_DIFFERENT:
        return refused && op->kind == FUZZ_CALL
                   ? fuzz_known_refusal(pair, op)
                   : fuzz_known_split(pair, op->process);
    case FUZZ_BROKEN:
        return FUZZ_FAILED;
    }
    if (op->kind == FUZZ_CALL && op->call.number == SYS_mincore && !refused)
        return compare_vectors(pair, op);
    return fuzz_known_guards(pair, op, answer);
}

enum fuzz_step
fuzz_pair_step(struct fuzz_pair *pair, const struct fuzz_op *op,
               int64_t *answer)
{
    struct aspen_mm *mm = pair->model.process[op->process];
    uint64_t before = aspen_hash_mm(mm, ASPEN_HASH_SEMANTIC);
    enum fuzz_step step;
    bool unchanged;
    int64_t ours;

    *answer = fuzz_kernel_do(&pair->kernel, op);
    if (*answer == GUEST_SIGNAL(0, 0)) {
        tool_fail(&pair->error, "the scratch process is gone");
        return FUZZ_FAILED;
    }
    ours = fuzz_model_do(&pair->model, op);
    count(pair, op, *answer);
    remember(pair, op, *answer);
    if (ours != *answer)
        return fuzz_known_answer(pair, op, *answer, ours);
    unchanged = op->kind == FUZZ_EXIT ||
                aspen_hash_mm(mm, ASPEN_HASH_SEMANTIC) == before;
    step = judge(pair, op, *answer, unchanged);
    return step == FUZZ_UNEXPLAINED ? unexplained(pair, op, *answer) : step;
}

static enum fuzz_step
compare_processes(struct fuzz_pair *pair)
{
    for (unsigned i = 0; i < FUZZ_PROCESSES; i++) {
        if (!(pair->processes >> i & 1))
            continue;
        switch (fuzz_compare_all(pair, i)) {
        case FUZZ_SAME:
            break;
        case FUZZ_DIFFERENT:
            return fuzz_known_split(pair, i);
        case FUZZ_BROKEN:
            return FUZZ_FAILED;
        }
    }
    return FUZZ_GO_ON;
}

enum fuzz_step
fuzz_pair_finish(struct fuzz_pair *pair, enum fuzz_step step)
{
    if (step == FUZZ_GO_ON)
        step = compare_processes(pair);
    if (step != FUZZ_GO_ON && step != FUZZ_STOP)
        return step;
    switch (fuzz_compare_machine(pair)) {
    case FUZZ_DIFFERENT:
        return FUZZ_UNEXPLAINED;
    case FUZZ_BROKEN:
        return FUZZ_FAILED;
    case FUZZ_SAME:
        break;
    }
    return step;
}

enum fuzz_step
fuzz_pair_replay(struct fuzz_pair *pair, const struct fuzz_sequence *sequence,
                 size_t *made)
{
    enum fuzz_step step = FUZZ_GO_ON;
    int64_t answer;

    *made = 0;
    if (fuzz_pair_fresh(pair) != 0)
        return FUZZ_FAILED;
    while (step == FUZZ_GO_ON && *made < sequence->count) {
        const struct fuzz_op *op = &sequence->ops[*made];
        ++*made;
        if (!fuzz_op_is_forbidden(op, pair->processes))
            step = fuzz_pair_step(pair, op, &answer);
    }
    return fuzz_pair_finish(pair, step);
}
