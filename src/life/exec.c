/* SPDX-License-Identifier: MIT */
/*
 * life/exec.c - another address space in place of the present one.
 *
 * I1  The new space is BUILDING and in no registry until it is whole; its VMAs
 *     can be met through the reverse maps, each whole.
 * I2  Everything that can fail comes before commit, and leaves the old space
 *     as it is.
 *
 * Called by the embedder. The first test to break is
 * tests/unit/life/test_exec.c.
 */
#include "reclaim/attempt.h"
#include "space/limits.h"
#include "space/mm.h"
#include <aspen/mm.h>

int
aspen_exec_prepare(struct aspen_mm *mm, struct aspen_mm **next)
{
    if (aspen_load(&mm->state) != ASPEN_MM_LIVE)
        return -ASPEN_EINVAL;
    struct aspen_attempt attempt;
    int error = 0;
    aspen_attempt_begin(&attempt, mm->aspen, mm, ASPEN_ATTEMPT_ALONE);
    while (aspen_attempt_next(&attempt, &error))
        error = aspen_mm_alloc(mm->aspen, NULL, next);
    if (error)
        return error;
    /* Others in it may set limits meanwhile. */
    aspen_read_lock(&mm->mmap_lock, ASPEN_LOCK_MM);
    aspen_limits_inherit(*next, mm);
    aspen_mm_group_inherit(*next, mm);
    aspen_read_unlock(&mm->mmap_lock);
    aspen_tree_rcu_enter(&(*next)->vmas);
    return 0;
}

void
aspen_exec_commit(struct aspen_mm *mm, struct aspen_mm *next)
{
    ASPEN_ASSERT(aspen_load(&next->state) == ASPEN_MM_BUILDING);
    aspen_mm_publish(next);
    aspen_mm_put(mm);
}

void
aspen_exec_abort(struct aspen_mm *next)
{
    ASPEN_ASSERT(aspen_load(&next->state) == ASPEN_MM_BUILDING);
    aspen_mm_put(next);
}
