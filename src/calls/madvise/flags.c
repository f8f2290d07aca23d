/* SPDX-License-Identifier: MIT */
/*
 * calls/madvise/flags.c - advice that is a flag of the mapping: check, reserve,
 * commit (ranges/change.h).
 *
 * Called by madvise.c. The first test to break is
 * tests/host/test_advise_host.c.
 */
#include "calls/madvise/madvise.h"

#include "calls/seal.h"
#include "ranges/change.h"
#include "reclaim/attempt.h"

/* What KSM may never touch: the advice is taken and ignored. */
#define NEVER_MERGEABLE                                                        \
    (ASPEN_VM_DRIVER | ASPEN_VM_SHARED | ASPEN_VM_MAYSHARE | ASPEN_VM_HUGETLB)

struct row {
    enum aspen_advice advice;
    uint64_t set;
    uint64_t clear;
};

static const struct row rows[] = {
    {ASPEN_MADV_NORMAL, 0, ASPEN_VM_RAND_READ | ASPEN_VM_SEQ_READ},
    {ASPEN_MADV_RANDOM, ASPEN_VM_RAND_READ, ASPEN_VM_SEQ_READ},
    {ASPEN_MADV_SEQUENTIAL, ASPEN_VM_SEQ_READ, ASPEN_VM_RAND_READ},
    {ASPEN_MADV_DONTFORK, ASPEN_VM_DONTCOPY, 0},
    {ASPEN_MADV_DOFORK, 0, ASPEN_VM_DONTCOPY},
    {ASPEN_MADV_WIPEONFORK, ASPEN_VM_WIPEONFORK, 0},
    {ASPEN_MADV_KEEPONFORK, 0, ASPEN_VM_WIPEONFORK},
    {ASPEN_MADV_DONTDUMP, ASPEN_VM_DONTDUMP, 0},
    {ASPEN_MADV_DODUMP, 0, ASPEN_VM_DONTDUMP},
    {ASPEN_MADV_HUGEPAGE, ASPEN_VM_HUGEPAGE, ASPEN_VM_NOHUGEPAGE},
    {ASPEN_MADV_NOHUGEPAGE, ASPEN_VM_NOHUGEPAGE, ASPEN_VM_HUGEPAGE},
    {ASPEN_MADV_MERGEABLE, ASPEN_VM_MERGEABLE, 0},
    {ASPEN_MADV_UNMERGEABLE, 0, ASPEN_VM_MERGEABLE},
};

static const struct row *
row_of(enum aspen_advice advice)
{
    for (size_t i = 0; i < ASPEN_ARRAY_SIZE(rows); i++)
        if (rows[i].advice == advice)
            return &rows[i];
    return NULL;
}

static bool
refuses(const struct aspen_vma *vma, enum aspen_advice advice)
{
    switch (advice) {
    case ASPEN_MADV_DOFORK:
        return vma->flags & ASPEN_VM_IO;
    case ASPEN_MADV_WIPEONFORK:
        return vma->object || vma->flags & ASPEN_VM_SHARED;
    case ASPEN_MADV_DODUMP:
        return !(vma->flags & ASPEN_VM_HUGETLB) && vma->flags & ASPEN_VM_DRIVER;
    default:
        return false;
    }
}

static bool
ignores(const struct aspen_vma *vma, enum aspen_advice advice)
{
    return advice == ASPEN_MADV_MERGEABLE && vma->flags & NEVER_MERGEABLE;
}

struct advice_change {
    struct aspen_change change;
    enum aspen_advice advice;
};

static int
judge_advice(const struct aspen_change *change, const struct aspen_vma *vma,
             uint64_t *flags)
{
    enum aspen_advice advice =
        aspen_container_of(change, const struct advice_change, change)->advice;

    int error = aspen_seal_check_advice(vma, advice);
    if (error)
        return error;
    if (refuses(vma, advice))
        return -ASPEN_EINVAL;
    if (!ignores(vma, advice))
        return aspen_change_judge_plain(change, vma, flags);
    *flags = vma->flags;
    return 0;
}

int
aspen_advise_flags(struct aspen_advise *advise)
{
    const struct row *row = row_of(advise->advice);
    struct aspen_mm *mm = advise->mm;
    struct advice_change with = {
        .change = {.mm = mm,
                   .start = advise->start,
                   .end = advise->end,
                   .judge = judge_advice,
                   .set = row->set,
                   .clear = row->clear,
                   .holes_allowed = true},
        .advice = advise->advice,
    };

    struct aspen_attempt attempt;
    int error = 0;
    aspen_attempt_begin(&attempt, mm->aspen, mm, ASPEN_ATTEMPT_LOCKS);
    while (aspen_attempt_next(&attempt, &error))
        error = aspen_change_apply(&with.change);
    advise->holes |= with.change.holes;
    /* ENOMEM means that there was nothing to advise. */
    return error == -ASPEN_ENOMEM ? -ASPEN_EAGAIN : error;
}
