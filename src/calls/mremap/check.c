/* SPDX-License-Identifier: MIT */
/*
 * calls/mremap/check.c - what mremap refuses.
 *
 * The checks come in Linux's order: arguments, then the mapping, then the
 * target. Before 6.15: the mapping, then the target, then whether the one fits
 * the other.
 *
 * Called by the other files of this folder. The first tests to break are
 * tests/unit/calls/test_mremap.c and tests/host/test_mremap_host.c.
 */
#include "calls/mremap/mremap.h"

#include "calls/seal.h"
#include "ranges/remove.h"
#include "rmap/split.h"
#include "space/limits.h"
#include "machine/release.h"

#define NEVER_GROWN (ASPEN_VM_DONTEXPAND | ASPEN_VM_PFNMAP)
#define HUGE_BYTES  (aspen_entry_span(1))
/* Beyond any page's offset: frames know theirs. */
#define PGOFF_END ((uint64_t)1 << ASPEN_FRAME_INDEX_BITS)
/* VMAs that have to be left of the map count. */
#define MAPS_TO_MOVE 3

/* ---- Arguments --------------------------------------------------------- */

static bool
overlaps(const struct aspen_remap *remap)
{
    return remap->old + remap->old_bytes > remap->new &&
           remap->new + remap->new_bytes > remap->old;
}

/* Do they fit each other? */
static int
check_flags(const struct aspen_remap *remap)
{
    if (aspen_remap_has_target(remap) && !(remap->flags & ASPEN_MREMAP_MAYMOVE))
        return -ASPEN_EINVAL;
    return remap->flags & ASPEN_MREMAP_DONTUNMAP && remap->resizes
               ? -ASPEN_EINVAL
               : 0;
}

static int
check_target(const struct aspen_remap *remap)
{
    uint64_t limit = remap->mm->call_limit;

    if (remap->new_bytes > limit || remap->new > limit - remap->new_bytes ||
        !aspen_is_aligned(remap->new, ASPEN_PAGE_SIZE) || check_flags(remap) ||
        overlaps(remap))
        return -ASPEN_EINVAL;
    return 0;
}

int
aspen_remap_check_arguments(const struct aspen_remap *remap)
{
    const unsigned known =
        ASPEN_MREMAP_MAYMOVE | ASPEN_MREMAP_FIXED | ASPEN_MREMAP_DONTUNMAP;

    if (remap->flags & ~known ||
        !aspen_is_aligned(remap->old, ASPEN_PAGE_SIZE) || !remap->new_bytes)
        return -ASPEN_EINVAL;
    if (!aspen_release_mremap_checks_arguments_first(remap->mm->aspen))
        return check_flags(remap);
    if (remap->new_bytes > remap->mm->call_limit)
        return -ASPEN_EINVAL;
    return aspen_remap_has_target(remap) ? check_target(remap) : 0;
}

/* ---- The mapping ------------------------------------------------------- */

/* A huge page at a time, and never more. */
static int
check_hugetlb(struct aspen_remap *remap)
{
    remap->old_bytes = aspen_align_up(remap->old_bytes, HUGE_BYTES);
    remap->new_bytes = aspen_align_up(remap->new_bytes, HUGE_BYTES);
    if (!aspen_is_aligned(remap->old, HUGE_BYTES) ||
        (aspen_remap_has_target(remap) &&
         !aspen_is_aligned(remap->new, HUGE_BYTES)) ||
        remap->new_bytes > remap->old_bytes)
        return -ASPEN_EINVAL;
    return 0;
}

/* `more` pages of the mapping, without what is gone by then. */
static int
check_expansion(const struct aspen_remap *remap, uint64_t more)
{
    const struct aspen_mm *mm = remap->mm;
    uint64_t flags = remap->vma->flags;

    int error =
        aspen_check_total(mm, mm->total_pages - remap->removed.pages + more);
    return !error && aspen_is_data(flags)
               ? aspen_check_data(mm,
                                  mm->data_pages - remap->removed.data + more)
               : error;
}

static int
check_growth(const struct aspen_remap *remap)
{
    const struct aspen_vma *vma = remap->vma;
    uint64_t more = (remap->new_bytes - remap->old_bytes) >> ASPEN_PAGE_SHIFT;
    uint64_t pgoff = aspen_vma_offset(vma, remap->old);

    /* Linux's offsets have more bits, and wrap at 2^64 pages. */
    if (pgoff + (remap->new_bytes >> ASPEN_PAGE_SHIFT) > PGOFF_END)
        return -ASPEN_EINVAL;
    if (vma->flags & NEVER_GROWN)
        return -ASPEN_EFAULT;
    if (vma->flags & ASPEN_VM_LOCKED) {
        int error =
            aspen_may_lock_without(remap->mm, more, remap->removed.locked);
        if (error)
            return error;
    }
    return check_expansion(remap, more);
}

static int
check_vma(struct aspen_remap *remap)
{
    const struct aspen_vma *vma = remap->vma;

    if (!vma)
        return -ASPEN_EFAULT;
    int error = aspen_seal_check(vma);
    if (error)
        return error;
    return vma->flags & ASPEN_VM_HUGETLB ? check_hugetlb(remap) : 0;
}

int
aspen_remap_check_mapping(struct aspen_remap *remap)
{
    const struct aspen_vma *vma = remap->vma;

    int error = check_vma(remap);
    if (error)
        return error;
    if (!aspen_remap_has_target(remap) && remap->new_bytes <= remap->old_bytes)
        return 0;
    if (!remap->old_bytes &&
        !(vma->flags & (ASPEN_VM_SHARED | ASPEN_VM_MAYSHARE)))
        return -ASPEN_EINVAL;
    if (remap->flags & ASPEN_MREMAP_DONTUNMAP && vma->flags & NEVER_GROWN)
        return -ASPEN_EINVAL;
    /* What goes for good may lie in several mappings, or nowhere. */
    if (aspen_min_u64(remap->old_bytes, remap->new_bytes) >
        vma->end - remap->old)
        return -ASPEN_EFAULT;
    return remap->new_bytes > remap->old_bytes ? check_growth(remap) : 0;
}

/* ---- What goes with it ------------------------------------------------- */

/* What is too much of the old range: munmap would refuse it beyond the top. */
int
aspen_remap_check_excess(const struct aspen_remap *remap)
{
    uint64_t limit = remap->mm->call_limit;
    uint64_t start = remap->old + remap->new_bytes;

    if (remap->old_bytes <= remap->new_bytes)
        return 0;
    return start > limit || remap->old_bytes - remap->new_bytes > limit - start
               ? -ASPEN_EINVAL
               : 0;
}

/* With old size 0, or one that wraps: what is mapped at the target goes first,
 * and that is what there is to map again. */
static bool
unmaps_itself(const struct aspen_remap *remap)
{
    return remap->flags & ASPEN_MREMAP_FIXED &&
           remap->old - remap->new < remap->new_bytes;
}

/* What is mapped in a range that goes before the mapping is looked at. */
static int
check_removed(struct aspen_remap *remap, uint64_t start, uint64_t bytes)
{
    uint64_t end = aspen_min_u64(start + bytes, remap->mm->address_limit);
    struct aspen_remove remove;

    if (start >= end) /* up there nothing is mapped */
        return 0;
    int error = aspen_remove_check(&remove, remap->mm, start, end);
    if (error)
        return error;
    remap->removed.pages += remove.pages;
    remap->removed.data += remove.data_pages;
    remap->removed.locked += remove.locked_pages;
    return 0;
}

/* What 6.18 asks later: the mapping, then where it goes and what is there. */
int
aspen_remap_check_in_old_order(struct aspen_remap *remap)
{
    uint64_t rest = remap->old + remap->new_bytes;

    int error = check_vma(remap);
    if (error || !aspen_remap_has_target(remap))
        return error;
    error = check_target(remap);
    if (error)
        return error;
    if (!aspen_remap_has_maps(remap->mm, ASPEN_REMAP_MAPS_TO_PLACE))
        return -ASPEN_ENOMEM;
    if (remap->flags & ASPEN_MREMAP_FIXED)
        error = check_removed(remap, remap->new, remap->new_bytes);
    if (!error)
        error = aspen_remap_check_excess(remap);
    if (!error && remap->old_bytes > remap->new_bytes)
        error = check_removed(remap, rest, remap->old_bytes - remap->new_bytes);
    return !error && unmaps_itself(remap) ? -ASPEN_EFAULT : error;
}

/* ---- A move ------------------------------------------------------------ */

/* As Linux, which unmaps the target before it looks at what was there: the
 * target's own refusal comes first. */
static int
refuse(struct aspen_remap *remap, int error)
{
    int refused = 0;

    if (remap->flags & ASPEN_MREMAP_FIXED)
        refused = check_removed(remap, remap->new, remap->new_bytes);
    return refused ? refused : error;
}

/* DONTUNMAP's, before 6.15 before there is a place; later after that. */
static int
check_expansion_first(const struct aspen_remap *remap)
{
    if (!(remap->flags & ASPEN_MREMAP_DONTUNMAP) ||
        aspen_release_mremap_checks_arguments_first(remap->mm->aspen))
        return 0;
    return check_expansion(remap, remap->new_bytes >> ASPEN_PAGE_SHIFT);
}

/* Linux unmaps what is too much first, and so splits the mapping there. */
static int
check_cut(const struct aspen_remap *remap)
{
    uint64_t at = remap->old + remap->new_bytes;

    if (remap->old_bytes <= remap->new_bytes || at >= remap->vma->end)
        return 0;
    return aspen_vma_check_edge(remap->vma, at);
}

int
aspen_remap_check_move(struct aspen_remap *remap)
{
    if (!aspen_remap_has_maps(remap->mm, MAPS_TO_MOVE))
        return -ASPEN_ENOMEM;
    if (unmaps_itself(remap))
        return refuse(remap, -ASPEN_EFAULT);
    int error = aspen_remap_check_excess(remap);
    if (!error)
        error = check_cut(remap);
    if (error)
        return refuse(remap, error);
    return check_expansion_first(remap);
}
