/* SPDX-License-Identifier: MIT */
/*
 * calls/mseal.c - mseal: check, reserve, commit.
 *
 * Called by the embedder. The first test to break is
 * tests/unit/calls/test_mlock.c.
 */
#include <aspen/calls/mseal.h>

#include "ranges/change.h"
#include "reclaim/attempt.h"

static bool
has_hole(struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    const struct aspen_vma *vma;

    for (uint64_t at = start; at < end; at = vma->end) {
        vma = aspen_vma_at(mm, at);
        if (!vma)
            return true;
    }
    return false;
}

/* The mmap lock is held for writing. As Linux: a hole is heard first, wherever
 * it is. */
static int
seal(struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    struct aspen_change change = {
        .mm = mm,
        .start = start,
        .end = end,
        .judge = aspen_change_judge_plain,
        .set = ASPEN_VM_SEALED,
    };

    return has_hole(mm, start, end) ? -ASPEN_ENOMEM
                                    : aspen_change_apply(&change);
}

int
aspen_mseal(struct aspen_mm *mm, uint64_t address, uint64_t length_bytes)
{
    uint64_t bytes = aspen_align_up(length_bytes, ASPEN_PAGE_SIZE);

    if (!aspen_is_aligned(address, ASPEN_PAGE_SIZE) || bytes < length_bytes ||
        address + bytes < address)
        return -ASPEN_EINVAL;
    if (bytes == 0)
        return 0;
    struct aspen_attempt attempt;
    int error = 0;
    aspen_attempt_begin(&attempt, mm->aspen, mm, ASPEN_ATTEMPT_LOCKS);
    while (aspen_attempt_next(&attempt, &error))
        error = seal(mm, address, address + bytes);
    return error;
}
