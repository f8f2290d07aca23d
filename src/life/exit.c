/* SPDX-License-Identifier: MIT */
/*
 * life/exit.c - the last user of an address space leaves.
 *
 * Accepts a space that never had a VMA, one whose VMAs are gone, and one that
 * a failed fork left EMPTY. The first test to break is
 * tests/unit/life/test_fork.c.
 */
#include "machine/charge.h"
#include "machine/swap_reads.h"
#include "rmap/unmap.h"
#include <aspen/mm.h>

static void
unmap_all(struct aspen_mm *mm)
{
    struct aspen_unmap unmap = {
        .mm = mm,
        .first = aspen_tree_find(&mm->vmas, 0, mm->address_limit - 1, NULL),
        .start = 0,
        .end = mm->address_limit,
        .table_floor = mm->address_floor,
        .table_ceiling = mm->address_limit,
        .tree_end = mm->address_limit,
        .quiet = true,
    };
    aspen_unmap_region(&unmap);
    aspen_uncharge(mm->aspen, aspen_tear_down_vmas(&unmap, NULL));
    aspen_tree_destroy_quiet(&mm->vmas);
}

/* Take all of it down. One that exec gives up was never LIVE. */
static void
take_down(struct aspen_mm *mm)
{
    const struct aspen_hooks *hooks = &mm->aspen->config.hooks;

    if (aspen_load_relaxed(&mm->state) == ASPEN_MM_LIVE && hooks->scanner &&
        hooks->scanner->exit)
        hooks->scanner->exit(hooks->context, mm);
    aspen_giving_back_begin(mm);
    aspen_mm_write_lock(mm, ASPEN_LOCK_MM);
    aspen_store(&mm->state, (uint32_t)ASPEN_MM_DYING);
    unmap_all(mm);
    aspen_mm_flags_set(mm, ASPEN_MM_OOM_SKIP);
    aspen_mm_unpublish(mm);
    aspen_mm_write_unlock(mm);
    aspen_giving_back_end(mm);
}

static void
exit_mm(struct aspen_mm *mm)
{
    if (aspen_load_relaxed(&mm->state) != ASPEN_MM_EMPTY)
        take_down(mm);
    aspen_swap_finish_all(mm->aspen); /* they may be all that has its slots */
    aspen_mm_swap_list_remove(mm);
    aspen_mm_leave(mm);
}

void
aspen_mm_put(struct aspen_mm *mm)
{
    if (aspen_fetch_sub(&mm->users, 1) == 1)
        exit_mm(mm);
}
