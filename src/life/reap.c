/* SPDX-License-Identifier: MIT */
/*
 * life/reap.c - the memory of a space that was killed, while it still runs.
 *
 * I1  UNSTABLE is set before the first entry goes, and each goes under its
 *     table's lock. A fault fills an entry under that lock if UNSTABLE is not
 *     set (I3 of fault/map_entry.c): so nobody finds a new page where there was
 *     one of his.
 * I2  The mmap lock is held for reading: who moves, copies or takes away
 *     mappings comes before or after. It is only tried: who holds it for
 * writing may be waiting for memory, or be the space's own exit.
 *
 * Called by the embedder. The first test to break is
 * tests/unit/life/test_oom.c.
 */
#include <aspen/calls/oom.h>

#include "machine/notify.h"
#include "space/mm.h"
#include "space/zap.h"

static void
reap_vmas(struct aspen_mm *mm, struct aspen_gather *gather)
{
    struct aspen_tree_cursor cursor;
    struct aspen_vma *vma;

    aspen_tree_cursor_init(&cursor, &mm->vmas, 0);
    while ((vma = aspen_tree_next(&cursor, mm->address_limit - 1)) != NULL)
        if (aspen_vma_may_be_reaped(vma))
            aspen_zap_only(gather, vma, vma->start, vma->end,
                           ASPEN_ZAP_NOT_GUARDS);
}

/* The mmap lock is held for reading. */
static void
reap_locked(struct aspen_mm *mm)
{
    struct aspen_gather gather;

    aspen_mm_flags_set(mm, ASPEN_MM_UNSTABLE);
    aspen_notify_start(mm, 0, mm->address_limit);
    aspen_gather_begin(&gather, mm, false);
    reap_vmas(mm, &gather);
    aspen_gather_end(&gather);
    aspen_notify_end(mm, 0, mm->address_limit);
}

/* One at a time: what another has taken out of the tables is not free yet. */
static bool
begin(struct aspen_mm *mm)
{
    if (aspen_fetch_or(&mm->flags, ASPEN_MM_REAPING) & ASPEN_MM_REAPING)
        return false;
    if (aspen_read_trylock(&mm->mmap_lock, ASPEN_LOCK_MM))
        return true;
    aspen_fetch_and(&mm->flags, ~ASPEN_MM_REAPING);
    return false;
}

int
aspen_oom_reap(struct aspen_mm *mm)
{
    if (!aspen_oom_is_killed(mm))
        return -ASPEN_EINVAL;
    if (!begin(mm))
        return -ASPEN_EAGAIN;
    reap_locked(mm);
    aspen_read_unlock(&mm->mmap_lock);
    if (!(aspen_fetch_or(&mm->flags, ASPEN_MM_OOM_SKIP) & ASPEN_MM_OOM_SKIP))
        aspen_fetch_add_relaxed(&mm->aspen->oom_reaps, 1);
    aspen_fetch_and(&mm->flags, ~ASPEN_MM_REAPING);
    return 0;
}
