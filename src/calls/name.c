/* SPDX-License-Identifier: MIT */
/*
 * calls/name.c - prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME): check, reserve and
 * commit of a change of names (ranges/change.h).
 *
 * Called by the embedder. The first test to break is
 * tests/unit/calls/test_name.c.
 */
#include <aspen/name.h>

#include "ranges/change.h"
#include "reclaim/attempt.h"
#include "space/name.h"
#include "machine/release.h"

static bool
may_be_named(const struct aspen_vma *vma)
{
    if (vma->object)
        return vma->object->anonymous &&
               aspen_release_names_shared_memory(vma->mm->aspen);
    /* Drivers' memory is a file's. */
    return vma->flags & ASPEN_VM_SPECIAL || !(vma->flags & ASPEN_VM_DEVICE);
}

static int
judge_name(const struct aspen_change *change, const struct aspen_vma *vma,
           uint64_t *flags)
{
    (void)change;
    *flags = vma->flags;
    return may_be_named(vma) ? 0 : -ASPEN_EBADF;
}

/* The name is in hand. */
static int
name_range(struct aspen_mm *mm, uint64_t start, uint64_t end,
           struct aspen_name *name)
{
    struct aspen_change change = {
        .mm = mm,
        .start = start,
        .end = aspen_min_u64(end, mm->address_limit),
        .judge = judge_name,
        .renames = true,
        .name = name,
        .holes_allowed = true,
    };

    if (start >= mm->address_limit)
        return -ASPEN_ENOMEM;
    struct aspen_attempt attempt;
    int error = 0;
    aspen_attempt_begin(&attempt, mm->aspen, mm, ASPEN_ATTEMPT_LOCKS);
    while (aspen_attempt_next(&attempt, &error))
        error = aspen_change_apply(&change);
    if (error)
        /* ENOMEM means that there was nothing to name. */
        return error == -ASPEN_ENOMEM ? -ASPEN_EAGAIN : error;
    return change.holes || end > mm->address_limit ? -ASPEN_ENOMEM : 0;
}

static int
make_name(struct aspen_mm *mm, const char *text, struct aspen_name **name)
{
    struct aspen_attempt attempt;
    int error = 0;

    aspen_attempt_begin(&attempt, mm->aspen, mm, ASPEN_ATTEMPT_ALONE);
    while (aspen_attempt_next(&attempt, &error))
        error = aspen_name_create(mm->aspen, text, name);
    return error;
}

int
aspen_name_anon(struct aspen_mm *mm, uint64_t address, uint64_t length_bytes,
                const char *name)
{
    uint64_t bytes = aspen_align_up(length_bytes, ASPEN_PAGE_SIZE);
    struct aspen_name *made = NULL;
    int error = 0;

    if (mm->aspen->config.flags & ASPEN_CONFIG_VMA_NAMES_ABSENT)
        return -ASPEN_EINVAL;
    if (name)
        error = make_name(mm, name, &made);
    if (error)
        return error;
    if (!aspen_is_aligned(address, ASPEN_PAGE_SIZE) || bytes < length_bytes ||
        address + bytes < address)
        error = -ASPEN_EINVAL;
    else if (bytes)
        error = name_range(mm, address, address + bytes, made);
    aspen_name_put(mm->aspen, made);
    return error;
}
