/* SPDX-License-Identifier: MIT */
/*
 * calls/mremap/mremap.c - mremap: arguments, limits, and which way it goes.
 *
 *                     stays                      moves
 *   smaller     munmap of the rest      move, and the rest is unmapped
 *   the same    nothing                 move
 *   larger      grow in place, if the mapping ends there and there is room;
 *               else, with MAYMOVE, move to where there is
 *
 * check.c says what is refused, and in which order.
 *
 * Called by the embedder. The first tests to break are
 * tests/unit/calls/test_mremap.c and tests/host/test_mremap_host.c.
 */
#include "calls/mremap/mremap.h"

#include "fault/populate.h"
#include "machine/release.h"
#include "reclaim/attempt.h"

/* ---- One mapping ------------------------------------------------------- */

static int
remap_one(struct aspen_remap *remap)
{
    int error = aspen_remap_check_mapping(remap);
    if (error)
        return error;
    if (remap->new_bytes > remap->old_bytes &&
        remap->vma->flags & ASPEN_VM_LOCKED)
        remap->fill = remap->new_bytes - remap->old_bytes;
    if (aspen_remap_has_target(remap))
        return aspen_remap_relocate(remap);
    remap->new = remap->old;
    if (remap->new_bytes == remap->old_bytes)
        return 0;
    if (remap->new_bytes < remap->old_bytes)
        return aspen_remap_shrink(remap);
    if (aspen_remap_has_room(remap))
        return aspen_remap_grow(remap);
    return remap->flags & ASPEN_MREMAP_MAYMOVE ? aspen_remap_relocate(remap)
                                               : -ASPEN_ENOMEM;
}

/* ---- Several at once --------------------------------------------------- */

/* Mappings that have a part of the range. */
static ASPEN_NOINLINE uint64_t
count_mappings(const struct aspen_remap *all, uint64_t end)
{
    struct aspen_tree_cursor cursor;
    uint64_t count = 0;

    aspen_tree_cursor_init(&cursor, &all->mm->vmas, all->old);
    while (aspen_tree_next(&cursor, end - 1))
        count++;
    return count;
}

/* The same size, at a fixed place: whatever is mapped there, with the gaps. */
static int
remap_several(const struct aspen_remap *all)
{
    uint64_t end = all->old + all->old_bytes;

    if (end <= all->old)
        return -ASPEN_EFAULT;
    uint64_t count = count_mappings(all, end);
    if (count > 1)
        return aspen_remap_together(all, count);

    struct aspen_remap one = aspen_remap_next(all, all->old);
    if (!one.vma || one.old != all->old ||
        (!aspen_remap_moves_with_others(one.vma) && one.vma->end < end))
        return -ASPEN_EFAULT;
    return remap_one(&one);
}

/* ---- The call ---------------------------------------------------------- */

/* The mmap lock is held for writing. */
static int
remap_locked(struct aspen_remap *remap)
{
    struct aspen_mm *mm = remap->mm;

    remap->vma = aspen_vma_at(mm, remap->old);
    if (!aspen_release_mremap_checks_arguments_first(mm->aspen)) {
        int error = aspen_remap_check_in_old_order(remap);
        return error ? error : remap_one(remap);
    }
    if (aspen_remap_has_target(remap) &&
        !aspen_remap_has_maps(mm, ASPEN_REMAP_MAPS_TO_PLACE))
        return -ASPEN_ENOMEM;
    if (remap->flags & ASPEN_MREMAP_FIXED &&
        remap->old_bytes == remap->new_bytes &&
        aspen_release_mremap_moves_several(mm->aspen))
        return remap_several(remap);
    return remap_one(remap);
}

/* What has moved, and the part of it that has to be faulted in. */
struct remapped {
    uint64_t start;
    uint64_t fill;
    uint64_t end;
};

/* What it has on the stack is gone before pages leave, or are made. */
static ASPEN_NOINLINE int
try_remap(const struct aspen_remap *asked, struct remapped *remapped)
{
    struct aspen_remap remap = *asked;

    int error = remap_locked(&remap);
    remapped->start = remap.new;
    remapped->end = remap.new + remap.new_bytes;
    remapped->fill = remapped->end - remap.fill;
    return error;
}

int
aspen_mremap(struct aspen_mm *mm, const struct aspen_mremap_args *args,
             uint64_t *address)
{
    struct aspen_remap remap = {
        .mm = mm,
        .old = args->address,
        .old_bytes = aspen_align_up(args->old_bytes, ASPEN_PAGE_SIZE),
        .new_bytes = aspen_align_up(args->new_bytes, ASPEN_PAGE_SIZE),
        .flags = args->flags,
        .new = args->new_address,
    };

    /* Before 6.15 they were compared as they came. */
    remap.resizes = aspen_release_mremap_checks_arguments_first(mm->aspen)
                        ? remap.old_bytes != remap.new_bytes
                        : args->old_bytes != args->new_bytes;
    int error = aspen_remap_check_arguments(&remap);
    if (error)
        return error;
    struct aspen_attempt attempt;
    struct remapped remapped = {0};
    aspen_attempt_begin(&attempt, mm->aspen, mm, ASPEN_ATTEMPT_LOCKS);
    while (aspen_attempt_next(&attempt, &error))
        error = try_remap(&remap, &remapped);
    if (error)
        return error;
    *address = remapped.start;
    if (remapped.fill < remapped.end)
        aspen_populate_silently(mm, remapped.fill, remapped.end,
                                ASPEN_POPULATE_MMAP);
    return 0;
}
