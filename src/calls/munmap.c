/* SPDX-License-Identifier: MIT */
/*
 * calls/munmap.c - munmap: check, reserve, commit.
 *
 * Called by the embedder, brk and mremap. The first test to break is
 * tests/unit/calls/test_munmap.c.
 */
#include <aspen/calls/mmap.h>

#include "ranges/remove.h"
#include "calls/map.h"
#include "machine/charge.h"
#include "reclaim/attempt.h"

int
aspen_munmap_locked(struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    struct aspen_tree_reserve reserve = {0};
    struct aspen_remove remove;

    int error = aspen_remove_check(&remove, mm, start, end);
    if (error || !remove.first)
        return error;

    error = aspen_remove_reserve(&remove);
    if (error)
        return error;
    error = aspen_remove_reserve_tree(&remove, &reserve, 0, start, end);
    if (error) {
        aspen_remove_abort(&remove);
        return error;
    }

    aspen_remove_commit(&remove, &reserve);
    aspen_uncharge(mm->aspen, remove.charge_pages);
    aspen_tree_reserve_release(&mm->vmas, &reserve);
    return 0;
}

int
aspen_munmap(struct aspen_mm *mm, uint64_t address, uint64_t length_bytes)
{
    if (!aspen_is_aligned(address, ASPEN_PAGE_SIZE) || length_bytes == 0 ||
        address > mm->call_limit || length_bytes > mm->call_limit - address)
        return -ASPEN_EINVAL;
    uint64_t end =
        aspen_min_u64(address + aspen_align_up(length_bytes, ASPEN_PAGE_SIZE),
                      mm->address_limit);
    if (address >= end) /* nothing is mapped up there */
        return 0;

    struct aspen_attempt attempt;
    int error = 0;
    aspen_attempt_begin(&attempt, mm->aspen, mm, ASPEN_ATTEMPT_LOCKS);
    while (aspen_attempt_next(&attempt, &error))
        error = aspen_munmap_locked(mm, address, end);
    return error;
}
