/* SPDX-License-Identifier: MIT */
/*
 * fuzz_pair.c - an operation, made on both sides, and what is to be the same
 * afterwards. Differences that docs/semantics.md lists as deliberate are known
 * here by name; after one of them both sides are brought to the same state
 * again, or the sequence ends.
 *
 * Called by fuzz.c, fuzz_shrink.c and the libFuzzer driver.
 * tests/tools/fuzz.sh breaks first.
 */
#define _GNU_SOURCE
#include "fuzz_session.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NUMBER_MSEAL 462u

bool
fuzz_sequence_add(struct fuzz_sequence *sequence, const struct fuzz_op *op)
{
    struct fuzz_op *ops = tool_room(sequence->ops, sequence->count,
                                    &sequence->room, sizeof(*ops));

    if (!ops)
        return false;
    sequence->ops = ops;
    ops[sequence->count++] = *op;
    return true;
}

void
fuzz_sequence_free(struct fuzz_sequence *sequence)
{
    free(sequence->ops);
    memset(sequence, 0, sizeof(*sequence));
}

/* ---- What the host can do ----------------------------------------------- */

static void
find_abilities(struct fuzz_pair *pair)
{
    struct linux_call seal = {NUMBER_MSEAL, {0}};
    struct linux_call key = {SYS_pkey_alloc, {0}};

    pair->abilities.mseal = fuzz_kernel_ask(&pair->kernel, &seal) == 0;
    if (!pair->abilities.mseal)
        tally_add(&pair->skipped, "mseal", 1);
    pair->abilities.pkey = fuzz_kernel_ask(&pair->kernel, &key) == 1;
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

static uint64_t
pages_of(uint64_t length)
{
    return (length + FUZZ_PAGE - 1) / FUZZ_PAGE;
}

/* ---- Known differences -------------------------------------------------- */

static bool
is_error(int64_t answer)
{
    return answer < 0 && answer > -4096;
}

/* brk tells by the end that stays. */
static bool
is_refused(const struct fuzz_op *op, int64_t answer)
{
    if (op->kind == FUZZ_CALL && op->call.number == SYS_brk)
        return (uint64_t)answer != op->call.arguments[0];
    return is_error(answer);
}

static enum fuzz_step
known(struct fuzz_pair *pair, const char *name, enum fuzz_step step)
{
    if (pair->counts)
        tally_add(&pair->deviations, name, 1);
    return step;
}

static bool
has_two_opens(const struct fuzz_pair *pair)
{
    for (unsigned i = 0; i < FUZZ_FILES; i++) {
        unsigned opens = pair->opens >> 3 * i & 7;
        if (opens & (opens - 1))
            return true;
    }
    return false;
}

/* Neighbours that are one on one side only. Then the sequence ends. */
static const char *
split_reason(struct fuzz_pair *pair, unsigned process)
{
    /* mlock's pages come before the mapping is split for it: then what is
     * beside them has an anon_vma, too, and a charge of its own. Those of
     * mprotect come after all of it, not mapping by mapping. */
    if (pair->has_filled && fuzz_compare_joined(pair, process))
        return "anon_vma of locked memory";
    /* An object is an object, whoever opened it. */
    if (has_two_opens(pair) && fuzz_compare_parts(pair, process))
        return "two opens of a file";
    return NULL;
}

/* Is there the same now? FUZZ_UNEXPLAINED: no. */
static enum fuzz_step
settle(struct fuzz_pair *pair, unsigned process, const char *name)
{
    const char *reason;

    if (fuzz_compare_quickly(pair, process) == FUZZ_SAME &&
        fuzz_compare_flags(pair, process) == FUZZ_SAME)
        return known(pair, name, FUZZ_GO_ON);
    reason = split_reason(pair, process);
    if (!reason && fuzz_compare_parts(pair, process))
        reason = "refused, mappings stay split";
    if (!reason)
        return FUZZ_UNEXPLAINED;
    known(pair, name, FUZZ_STOP);
    return known(pair, reason, FUZZ_STOP);
}

/* The kernel has done it up to a mapping that refuses, or a hole: so do we.
 * False: there is nothing before that. */
static bool
make_prefix(struct fuzz_pair *pair, const struct fuzz_op *op)
{
    const uint64_t *a = op->call.arguments;
    struct fuzz_op part = *op;
    int64_t answer;

    for (size_t i = pair->compare.ours.count; i-- > 0;) {
        uint64_t end = pair->compare.ours.list[i].end;

        if (end <= a[0] || end - a[0] >= a[1])
            continue;
        part.call.arguments[1] = end - a[0];
        answer = fuzz_model_do(&pair->model, &part);
        if (answer == 0 ||
            (op->call.number == SYS_madvise && answer == -ENOMEM))
            return true;
    }
    return false;
}

static enum fuzz_step
settle_prefix(struct fuzz_pair *pair, const struct fuzz_op *op,
              const char *name)
{
    return make_prefix(pair, op) ? settle(pair, op->process, name)
                                 : FUZZ_UNEXPLAINED;
}

/* Of a refused mlock the flags stay, up to a hole: ours get them, without
 * pages, then both lose all locks. */
static enum fuzz_step
settle_locks(struct fuzz_pair *pair, const struct fuzz_op *op)
{
    struct fuzz_op lock = *op;
    struct fuzz_op unlock = {
        .kind = FUZZ_CALL,
        .process = op->process,
        .call.number = SYS_munlockall,
    };

    if (op->call.number == SYS_mlock || op->call.number == SYS_mlock2) {
        lock.call.number = SYS_mlock2;
        lock.call.arguments[2] = MLOCK_ONFAULT;
    }
    if (is_error(fuzz_model_do(&pair->model, &lock)))
        (void)make_prefix(pair, &lock);
    if (fuzz_kernel_do(&pair->kernel, &unlock) != 0 ||
        fuzz_model_do(&pair->model, &unlock) != 0)
        return FUZZ_UNEXPLAINED;
    return settle(pair, op->process, "mlock refused, flags stay");
}

/* The kernel has unmapped this before it refused. */
static enum fuzz_step
settle_unmapped(struct fuzz_pair *pair, unsigned process, uint64_t address,
                uint64_t length, const char *name)
{
    struct fuzz_op unmap = {
        .kind = FUZZ_CALL,
        .process = process,
        .call = {SYS_munmap, {address, length}},
    };

    if (fuzz_model_do(&pair->model, &unmap) != 0)
        return FUZZ_UNEXPLAINED;
    return settle(pair, process, name);
}

/* The part of a move of several mappings that is of one of ours. */
static bool
move_part(const struct fuzz_op *op, const struct area *area,
          struct fuzz_op *part)
{
    const uint64_t *a = op->call.arguments;
    uint64_t start = area->start > a[0] ? area->start : a[0];
    uint64_t end = area->end < a[0] + a[1] ? area->end : a[0] + a[1];

    if (start >= end)
        return false;
    *part = *op;
    part->call.arguments[0] = start;
    part->call.arguments[1] = part->call.arguments[2] = end - start;
    part->call.arguments[4] = a[4] + (start - a[0]);
    return true;
}

/* The kernel moves mapping by mapping. When one refuses, those below it have
 * moved, and what was at its target may be gone. */
static enum fuzz_step
settle_moves(struct fuzz_pair *pair, const struct fuzz_op *op)
{
    const uint64_t *a = op->call.arguments;
    enum fuzz_step step;
    struct fuzz_op part;

    for (size_t i = 0; i < pair->compare.ours.count; i++) {
        const uint64_t *moved = part.call.arguments;
        if (!move_part(op, &pair->compare.ours.list[i], &part) ||
            !is_error(fuzz_model_do(&pair->model, &part)))
            continue;
        step = settle(pair, op->process, "mremap refused, half done");
        if (step != FUZZ_UNEXPLAINED)
            return step;
        return settle_unmapped(pair, op->process, moved[4], moved[2],
                               "mremap refused, target unmapped");
    }
    return settle_unmapped(pair, op->process, a[4], a[2],
                           "mremap refused, target unmapped");
}

/* Target unmapped, then what is beyond the new size. */
static enum fuzz_step
settle_move(struct fuzz_pair *pair, const struct fuzz_op *op)
{
    const uint64_t *a = op->call.arguments;
    uint64_t size = pages_of(a[2]) * FUZZ_PAGE;
    enum fuzz_step step = settle_unmapped(pair, op->process, a[4], a[2],
                                          "mremap refused, target unmapped");

    if (step != FUZZ_UNEXPLAINED || a[1] <= size)
        return step;
    return settle_unmapped(pair, op->process, a[0] + size, a[1] - size,
                           "mremap refused, shrunk");
}

static enum fuzz_step
settle_refusal(struct fuzz_pair *pair, const struct fuzz_op *op)
{
    const uint64_t *a = op->call.arguments;
    const char *reason;

    if (fuzz_compare_parts(pair, op->process))
        return known(pair, "refused, mappings stay split", FUZZ_STOP);
    reason = split_reason(pair, op->process);
    if (reason)
        return known(pair, reason, FUZZ_STOP);
    switch (op->call.number) {
    case SYS_mprotect:
    case SYS_pkey_mprotect:
        return settle_prefix(pair, op, "mprotect refused, half done");
    case SYS_madvise:
        return settle_prefix(pair, op, "madvise refused, half done");
    case SYS_mlock:
    case SYS_mlock2:
    case SYS_munlock:
    case SYS_mlockall:
        return settle_locks(pair, op);
    case SYS_mremap:
        return pages_of(a[1]) == pages_of(a[2]) ? settle_moves(pair, op)
                                                : settle_move(pair, op);
    case SYS_mmap:
        return settle_unmapped(pair, op->process, a[0], a[1],
                               "mmap refused, target unmapped");
    default:
        return FUZZ_UNEXPLAINED;
    }
}

/*
 * Both have refused, and Aspen is as it was; but not the kernel, which leaves
 * calls half done. Tell what differed at first, and what after our attempt.
 */
static enum fuzz_step
explain_refusal(struct fuzz_pair *pair, const struct fuzz_op *op)
{
    char what[sizeof(pair->compare.what)];
    enum fuzz_step step;
    size_t used;

    memcpy(what, pair->compare.what, sizeof(what));
    step = settle_refusal(pair, op);
    if (step != FUZZ_UNEXPLAINED)
        return step;
    used = strlen(what);
    snprintf(what + used, sizeof(what) - used, "; then %.200s",
             pair->compare.what);
    memcpy(pair->compare.what, what, sizeof(what));
    return FUZZ_UNEXPLAINED;
}

/* Both have done it. */
static enum fuzz_step
explain_maps(struct fuzz_pair *pair, unsigned process)
{
    const char *reason = split_reason(pair, process);

    return reason ? known(pair, reason, FUZZ_STOP) : FUZZ_UNEXPLAINED;
}

static enum fuzz_step
explain_answer(struct fuzz_pair *pair, const struct fuzz_op *op, int64_t theirs,
               int64_t ours)
{
    const uint64_t *a = op->call.arguments;
    char text[200];

    if (op->kind == FUZZ_CALL && op->call.number == SYS_mmap &&
        a[0] > UINT64_MAX - FUZZ_PAGE && is_error(theirs) && is_error(ours))
        return known(pair, "address taken for an error", FUZZ_GO_ON);
    /* What DONTUNMAP leaves behind is not locked, but counts for MEMLOCK. */
    if (pair->has_kept_old &&
        (theirs == -EAGAIN || theirs == -ENOMEM ||
         (op->call.number == SYS_brk && is_refused(op, theirs))))
        return known(pair, "VmLck of what mremap left behind", FUZZ_STOP);
    fuzz_text_op(op, text, sizeof(text));
    snprintf(pair->compare.what, sizeof(pair->compare.what),
             "%s: kernel %" PRId64 " (%#" PRIx64 "), Aspen %" PRId64
             " (%#" PRIx64 ")",
             text, theirs, (uint64_t)theirs, ours, (uint64_t)ours);
    return FUZZ_UNEXPLAINED;
}

/* ---- mincore's bytes ---------------------------------------------------- */

/* What a file's cache holds besides is the kernel's own matter, and so is
 * whether it drops shared memory for PAGEOUT. */
static bool
may_differ(struct fuzz_pair *pair, uint64_t address, bool theirs)
{
    const struct area *area = areas_at(&pair->compare.ours, address);

    if (!area || area->inode == 0)
        return false;
    if (area->device == FUZZ_DEVICE && area->inode == 1 + FUZZ_DISK)
        return true;
    if (theirs || !pair->has_paged_out)
        return false;
    known(pair, "PAGEOUT of clean shared memory", FUZZ_GO_ON);
    return true;
}

static enum fuzz_step
compare_vectors(struct fuzz_pair *pair, const struct fuzz_op *op)
{
    static uint8_t bytes[FUZZ_VECTOR_BYTES];
    const uint64_t *a = op->call.arguments;
    uint64_t pages = pages_of(a[1]);

    if (pread(pair->kernel.memory[op->process], bytes, pages,
              (off_t)FUZZ_VECTOR) != (ssize_t)pages) {
        tool_fail(&pair->error, "cannot read the vector: %s", strerror(errno));
        return FUZZ_FAILED;
    }
    for (uint64_t i = 0; i < pages; i++) {
        if ((bytes[i] & 1) == (pair->model.vector[i] & 1) ||
            may_differ(pair, a[0] + i * FUZZ_PAGE, bytes[i] & 1))
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
        [FUZZ_LIMIT] = "limit",
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

/* Everything that may have changed. */
static enum fuzz_result
compare_after(struct fuzz_pair *pair, const struct fuzz_op *op, int64_t answer)
{
    bool refused = is_refused(op, answer);
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
    if (result == FUZZ_SAME && refused && leaves_flags(op, answer))
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

/* Guards that nobody sees before an access. */
static bool
is_half_guarded(const struct fuzz_op *op, int64_t answer)
{
    const uint64_t *a = op->call.arguments;

    return op->kind == FUZZ_CALL && op->call.number == SYS_madvise &&
           a[2] == 102 && is_error(answer) && answer != -ENOMEM &&
           a[0] % FUZZ_PAGE == 0 && a[0] + pages_of(a[1]) * FUZZ_PAGE > a[0];
}

static enum fuzz_step
judge(struct fuzz_pair *pair, const struct fuzz_op *op, int64_t answer,
      bool unchanged)
{
    bool refused = is_refused(op, answer);

    if (refused && !unchanged && is_atomic(op)) {
        snprintf(pair->compare.what, sizeof(pair->compare.what),
                 "Aspen has refused, but changed something");
        return FUZZ_UNEXPLAINED;
    }
    switch (compare_after(pair, op, answer)) {
    case FUZZ_SAME:
        break;
    case FUZZ_DIFFERENT:
        return refused && op->kind == FUZZ_CALL
                   ? explain_refusal(pair, op)
                   : explain_maps(pair, op->process);
    case FUZZ_BROKEN:
        return FUZZ_FAILED;
    }
    if (op->kind == FUZZ_CALL && op->call.number == SYS_mincore && !refused)
        return compare_vectors(pair, op);
    if (is_half_guarded(op, answer) && make_prefix(pair, op))
        return settle(pair, op->process, "madvise refused, half done");
    return FUZZ_GO_ON;
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
    if (*answer == FUZZ_SIGNAL(0, 0)) {
        tool_fail(&pair->error, "the scratch process is gone");
        return FUZZ_FAILED;
    }
    ours = fuzz_model_do(&pair->model, op);
    count(pair, op, *answer);
    remember(pair, op, *answer);
    if (ours != *answer)
        return explain_answer(pair, op, *answer, ours);
    unchanged = op->kind == FUZZ_EXIT ||
                aspen_hash_mm(mm, ASPEN_HASH_SEMANTIC) == before;
    step = judge(pair, op, *answer, unchanged);
    return step == FUZZ_UNEXPLAINED ? unexplained(pair, op, *answer) : step;
}

enum fuzz_step
fuzz_pair_finish(struct fuzz_pair *pair)
{
    for (unsigned i = 0; i < FUZZ_PROCESSES; i++) {
        if (!(pair->processes >> i & 1))
            continue;
        switch (fuzz_compare_all(pair, i)) {
        case FUZZ_SAME:
            break;
        case FUZZ_DIFFERENT:
            return explain_maps(pair, i);
        case FUZZ_BROKEN:
            return FUZZ_FAILED;
        }
    }
    return FUZZ_GO_ON;
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
    return step == FUZZ_GO_ON ? fuzz_pair_finish(pair) : step;
}
