/* SPDX-License-Identifier: MIT */
/*
 * life/recovery.c - takes down a fork that failed: on the spot, under the locks
 * it was built under. It leaves the child's tree empty, so there is nothing
 * that anyone could find, and no marker to check for.
 *
 * The first test to break is tests/unit/life/test_fork_failing.c.
 */
#include "life/recovery.h"

#include "machine/charge.h"
#include "rmap/unmap.h"
#include "space/mm.h"

void
aspen_fork_recover(struct aspen_mm *child, uint64_t end)
{
    aspen_giving_back_begin(child);
    /* Whoever meets the child now must not use it, and need not reap it. */
    aspen_mm_flags_set(child, ASPEN_MM_UNSTABLE | ASPEN_MM_OOM_SKIP);

    struct aspen_unmap unmap = {
        .mm = child,
        .first = end ? aspen_tree_find(&child->vmas, 0, end - 1, NULL) : NULL,
        .start = 0,
        .end = end,
        .table_floor = child->address_floor,
        .table_ceiling = child->address_limit,
        .tree_end = end,
        .quiet = true,
    };
    aspen_unmap_region(&unmap);
    aspen_uncharge(child->aspen, aspen_tear_down_vmas(&unmap, NULL));
    aspen_tree_destroy(&child->vmas);
    aspen_store(&child->state, (uint32_t)ASPEN_MM_EMPTY);
    aspen_giving_back_end(child);
}
