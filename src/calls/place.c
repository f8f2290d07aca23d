/* SPDX-License-Identifier: MIT */
/*
 * calls/place.c - where a new mapping goes.
 *
 * Called by mmap. The first test to break is tests/unit/test_mmap.c.
 */
#include "calls/place.h"

#include "space/split.h"
#include "space/vma.h"

static uint64_t
lowest_address(const struct aspen_mm *mm)
{
    return aspen_mm_lowest(mm);
}

/* The VMA from `end` on whose guard gap reaches below `end`, or NULL. */
static struct aspen_vma *
guarded_above(struct aspen_mm *mm, uint64_t end)
{
    if (end >= mm->address_limit)
        return NULL;
    struct aspen_vma *next = aspen_vma_find(mm, end);
    return next && aspen_vma_start_with_gap(next) < end ? next : NULL;
}

/* ---- Fixed, and hints -------------------------------------------------- */

static int
place_fixed(struct aspen_mm *mm, const struct aspen_mmap_args *args,
            uint64_t bytes, uint64_t *start)
{
    if (!aspen_is_aligned(args->address, ASPEN_PAGE_SIZE))
        return -ASPEN_EINVAL;
    if (args->address > mm->address_limit ||
        bytes > mm->address_limit - args->address)
        return -ASPEN_ENOMEM;
    if (args->address < lowest_address(mm))
        return -ASPEN_EPERM;
    if (args->place & ASPEN_MAP_FIXED_NOREPLACE &&
        aspen_tree_find(&mm->vmas, args->address, args->address + bytes - 1,
                        NULL))
        return -ASPEN_EEXIST;
    *start = args->address;
    return 0;
}

static bool
hint_is_free(struct aspen_mm *mm, uint64_t start, uint64_t bytes)
{
    if (start > mm->address_limit || bytes > mm->address_limit - start)
        return false;
    struct aspen_vma *next = aspen_vma_find(mm, start);
    return !next || start + bytes <= aspen_vma_start_with_gap(next);
}

/* ---- Searches ---------------------------------------------------------- */

/* The highest place in [low, high). Each round that meets a guard gap goes
 * on below it. */
static int
search_down(struct aspen_mm *mm, uint64_t low, uint64_t high, uint64_t bytes,
            uint64_t *start)
{
    while (high > low) {
        if (aspen_tree_gap_down(&mm->vmas, low, high - 1, bytes, start))
            return -ASPEN_ENOMEM;
        struct aspen_vma *guarded = guarded_above(mm, *start + bytes);
        if (!guarded)
            return 0;
        high = aspen_vma_start_with_gap(guarded);
    }
    return -ASPEN_ENOMEM;
}

/* The lowest place in [low, high). */
static int
search_up(struct aspen_mm *mm, uint64_t low, uint64_t high, uint64_t bytes,
          uint64_t *start)
{
    while (low < high) {
        if (aspen_tree_gap_up(&mm->vmas, low, high - 1, bytes, start))
            return -ASPEN_ENOMEM;
        struct aspen_vma *guarded = guarded_above(mm, *start + bytes);
        if (!guarded)
            return 0;
        low = guarded->end;
    }
    return -ASPEN_ENOMEM;
}

int
aspen_place(struct aspen_mm *mm, const struct aspen_mmap_args *args,
            uint64_t bytes, uint64_t *start)
{
    uint64_t lowest = lowest_address(mm);
    uint64_t third = aspen_align_up(mm->address_limit / 3, ASPEN_PAGE_SIZE);

    if (args->place)
        return place_fixed(mm, args, bytes, start);
    if (bytes > mm->address_limit)
        return -ASPEN_ENOMEM;

    uint64_t hint = aspen_align_down(args->address, ASPEN_PAGE_SIZE);
    if (hint && hint < lowest)
        hint = lowest;
    if (hint && hint_is_free(mm, hint, bytes)) {
        *start = hint;
        return 0;
    }
    if (!search_down(mm, lowest,
                     aspen_min_u64(mm->layout.mmap_base, mm->address_limit),
                     bytes, start))
        return 0;
    return search_up(mm, aspen_max_u64(lowest, third), mm->address_limit, bytes,
                     start);
}
