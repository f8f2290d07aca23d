/* SPDX-License-Identifier: MIT */
/*
 * calls/mremap/resize.c - a mapping becomes smaller, or larger, where it is.
 *
 * Called by mremap.c. The first test to break is
 * tests/unit/calls/test_mremap.c.
 */
#include "calls/mremap/mremap.h"

#include "calls/map.h"
#include "ranges/merge.h"
#include "machine/charge.h"
#include "space/limits.h"

/* ---- Smaller: reserve and commit are munmap's -------------------------- */

int
aspen_remap_shrink(struct aspen_remap *remap)
{
    int error = aspen_remap_check_excess(remap);
    if (error)
        return error;
    uint64_t start = remap->old + remap->new_bytes;
    uint64_t end =
        aspen_min_u64(remap->old + remap->old_bytes, remap->mm->address_limit);
    return start < end ? aspen_munmap_locked(remap->mm, start, end) : 0;
}

/* ---- Larger: check ----------------------------------------------------- */

bool
aspen_remap_has_room(const struct aspen_remap *remap)
{
    struct aspen_mm *mm = remap->mm;
    struct aspen_vma *vma = remap->vma;
    uint64_t end = remap->old + remap->new_bytes;

    if (vma->end - remap->old != remap->old_bytes || end < vma->end ||
        end > mm->address_limit)
        return false;
    return !aspen_tree_find(&mm->vmas, vma->end, end - 1, NULL) &&
           (vma->start >= mm->aspen->config.mmap_min_fixed ||
            aspen_privileged(mm, ASPEN_PRIVILEGE_SYS_RAWIO));
}

struct growth {
    struct aspen_merge merge; /* of what is new, with the mapping itself */
    uint64_t pages;
    uint64_t charge_pages;
    struct aspen_tree_reserve tree;
    struct aspen_tree_cursor cursor;
};

/* The mapping gets what is new, and perhaps what is above that. */
static void
plan_merge(const struct aspen_remap *remap, struct aspen_merge *merge)
{
    struct aspen_vma *vma = remap->vma;

    *merge = (struct aspen_merge){
        .mm = remap->mm,
        .start = vma->end,
        .end = remap->old + remap->new_bytes,
        .flags = vma->flags,
        .object = vma->object,
        .pgoff = aspen_vma_offset(vma, vma->end),
        .below = vma,
        .above = aspen_vma_at(remap->mm, remap->old + remap->new_bytes),
        .grows = true,
        .like = vma,
    };
    aspen_merge_check(merge);
    /* The embedder's pointer keeps others away, not the mapping itself. */
    if (!merge->below) {
        merge->below = vma;
        merge->above = NULL;
    }
}

static int
check(const struct aspen_remap *remap, struct growth *growth)
{
    uint64_t flags = remap->vma->flags;

    if (flags & ASPEN_VM_DRIVER)
        return -ASPEN_ENOMEM;
    growth->pages = (remap->new_bytes - remap->old_bytes) >> ASPEN_PAGE_SHIFT;
    growth->charge_pages = flags & ASPEN_VM_ACCOUNT ? growth->pages : 0;
    plan_merge(remap, &growth->merge);
    return 0;
}

/* ---- Larger: reserve --------------------------------------------------- */

static int
reserve(struct growth *growth)
{
    struct aspen_merge *merge = &growth->merge;
    struct aspen_mm *mm = merge->mm;

    int error = aspen_charge_mm(mm, growth->charge_pages);
    if (error)
        return error;
    error = aspen_merge_reserve(merge);
    if (error)
        goto undo_charge;
    growth->tree = (struct aspen_tree_reserve){0};
    aspen_tree_cursor_init(&growth->cursor, &mm->vmas, merge->start);
    error = aspen_tree_reserve_within(&mm->vmas, &growth->tree, &growth->cursor,
                                      1, aspen_merge_start(merge),
                                      aspen_merge_end(merge) - 1);
    if (error)
        goto undo_merge;
    return 0;

undo_merge:
    aspen_merge_abort(merge);
undo_charge:
    aspen_uncharge(mm->aspen, growth->charge_pages);
    return error;
}

/* ---- Larger: commit ---------------------------------------------------- */

static void
commit(struct growth *growth)
{
    struct aspen_mm *mm = growth->merge.mm;

    aspen_merge_commit(&growth->merge, &growth->tree);
    aspen_tree_reserve_release(&mm->vmas, &growth->tree);
    aspen_mm_account_vma(mm, growth->merge.flags, growth->pages, true);
}

int
aspen_remap_grow(struct aspen_remap *remap)
{
    struct growth growth;

    int error = check(remap, &growth);
    if (!error)
        error = reserve(&growth);
    if (!error)
        commit(&growth);
    return error;
}
