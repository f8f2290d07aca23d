/* SPDX-License-Identifier: MIT */
/*
 * known.c - differences that docs/use/semantics.md lists as deliberate, by
 * name. After one of them both sides are brought to the same state again, or
 * the sequence ends.
 *
 * Called by fuzz/pair.c. tests/tools/fuzz.sh breaks first.
 */
#define _GNU_SOURCE
#include "fuzz/session.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

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
    if (linux_is_error(fuzz_model_do(&pair->model, &lock)))
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
            !linux_is_error(fuzz_model_do(&pair->model, &part)))
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
    uint64_t size = fuzz_pages(a[2]) * FUZZ_PAGE;
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
        return pair->model.semantics >= ASPEN_SEMANTICS_6_18 &&
                       fuzz_pages(a[1]) == fuzz_pages(a[2])
                   ? settle_moves(pair, op)
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
enum fuzz_step
fuzz_known_refusal(struct fuzz_pair *pair, const struct fuzz_op *op)
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

enum fuzz_step
fuzz_known_split(struct fuzz_pair *pair, unsigned process)
{
    const char *reason = split_reason(pair, process);

    return reason ? known(pair, reason, FUZZ_STOP) : FUZZ_UNEXPLAINED;
}

/* With 57-bit addresses whoever names one above 47 bits gets it. */
static bool
is_beyond_tables(const struct fuzz_pair *pair, const struct fuzz_op *op,
                 int64_t theirs)
{
    const uint64_t top = ((uint64_t)1 << 47) - FUZZ_PAGE;
    const uint64_t *a = op->call.arguments;
    bool remaps = op->call.number == SYS_mremap;

    return pair->model.call_limit && op->kind == FUZZ_CALL &&
           (remaps || op->call.number == SYS_mmap) && !linux_is_error(theirs) &&
           (uint64_t)theirs + fuzz_pages(a[remaps ? 2 : 1]) * FUZZ_PAGE > top;
}

enum fuzz_step
fuzz_known_answer(struct fuzz_pair *pair, const struct fuzz_op *op,
                  int64_t theirs, int64_t ours)
{
    const uint64_t *a = op->call.arguments;
    char text[200];

    if (op->kind == FUZZ_CALL && op->call.number == SYS_mmap &&
        a[0] > UINT64_MAX - FUZZ_PAGE && linux_is_error(theirs) &&
        linux_is_error(ours))
        return known(pair, "address taken for an error", FUZZ_GO_ON);
    if (op->kind == FUZZ_CALL && op->call.number == SYS_pkey_alloc &&
        !pair->model.pkeys && theirs == -EINVAL && ours == -ENOSPC)
        return known(pair, "key 0 where there are none", FUZZ_GO_ON);
    if (is_beyond_tables(pair, op, theirs))
        return known(pair, "beyond 47 bits of address", FUZZ_STOP);
    /* What DONTUNMAP leaves behind is not locked, but counts for MEMLOCK; not
     * in Debian's 6.1 and 6.12. */
    if (pair->has_kept_old && pair->model.semantics >= ASPEN_SEMANTICS_6_18 &&
        (theirs == -EAGAIN || theirs == -ENOMEM ||
         (op->call.number == SYS_brk && fuzz_op_is_refused(op, theirs))))
        return known(pair, "VmLck of what mremap left behind", FUZZ_STOP);
    fuzz_text_op(op, text, sizeof(text));
    snprintf(pair->compare.what, sizeof(pair->compare.what),
             "%s: kernel %" PRId64 " (%#" PRIx64 "), Aspen %" PRId64
             " (%#" PRIx64 ")",
             text, theirs, (uint64_t)theirs, ours, (uint64_t)ours);
    return FUZZ_UNEXPLAINED;
}

/* What a file's cache holds besides is the kernel's own matter, and so is
 * whether it drops shared memory for PAGEOUT. */
bool
fuzz_known_residency(struct fuzz_pair *pair, uint64_t address, bool theirs)
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

/* Guards that nobody sees before an access. */
static bool
is_half_guarded(const struct fuzz_op *op, int64_t answer)
{
    const uint64_t *a = op->call.arguments;

    return op->kind == FUZZ_CALL && op->call.number == SYS_madvise &&
           a[2] == 102 && linux_is_error(answer) && answer != -ENOMEM &&
           a[0] % FUZZ_PAGE == 0 && a[0] + fuzz_pages(a[1]) * FUZZ_PAGE > a[0];
}

enum fuzz_step
fuzz_known_guards(struct fuzz_pair *pair, const struct fuzz_op *op,
                  int64_t answer)
{
    if (!is_half_guarded(op, answer) || !make_prefix(pair, op))
        return FUZZ_GO_ON;
    return settle(pair, op->process, "madvise refused, half done");
}

/* ---- Keys --------------------------------------------------------------- */

/* The key that a process is given next; 0: none is left. */
static int64_t
next_pkey(struct fuzz_pair *pair, unsigned process)
{
    struct fuzz_op op = {
        .kind = FUZZ_CALL, .process = process, .call.number = SYS_pkey_alloc};
    int64_t pkey = fuzz_kernel_do(&pair->kernel, &op);

    if (pkey <= 0)
        return 0;
    op.call = (struct linux_call){SYS_pkey_free, {(uint64_t)pkey}};
    (void)fuzz_kernel_do(&pair->kernel, &op);
    return pkey;
}

/* The kernel took the process's own key before it refused: ours takes it. */
static bool
settle_own_key(struct fuzz_pair *pair, unsigned process, uint32_t rights)
{
    struct fuzz_op restore = {
        .kind = FUZZ_RIGHTS, .process = process, .call.arguments = {rights}};
    struct aspen_mm *mm = pair->model.process[process];
    struct aspen_pkeys pkeys;

    aspen_pkeys_read(mm, &pkeys);
    if (pkeys.execute_only_key != -1)
        return false;
    int64_t ours = linux_next_pkey(&pkeys);
    int64_t theirs = next_pkey(pair, process);
    (void)fuzz_kernel_do(&pair->kernel, &restore);
    if (ours == theirs)
        return false;
    pkeys.execute_only_key = (int)ours;
    pkeys.given_out |= UINT32_C(1) << ours;
    return aspen_import_pkeys(mm, &pkeys) == 0;
}

/* Who may not read what is executed alone hears of it by a refused call, too:
 * the kernel denies that first. */
enum fuzz_step
fuzz_known_pkeys(struct fuzz_pair *pair, const struct fuzz_op *op)
{
    uint32_t *ours = &pair->model.rights[op->process], theirs;

    if (!pair->model.pkeys || !fuzz_op_is_execute_only(op))
        return FUZZ_GO_ON;
    if (fuzz_kernel_rights(&pair->kernel, op->process, &theirs) != 0)
        return FUZZ_FAILED;
    if (settle_own_key(pair, op->process, theirs) || *ours != theirs)
        known(pair, "own key of a refused call", FUZZ_GO_ON);
    *ours = theirs;
    return FUZZ_GO_ON;
}
