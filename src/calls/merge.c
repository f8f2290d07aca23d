/* SPDX-License-Identifier: MIT */
/*
 * calls/merge.c - a new mapping that continues its neighbours.
 *
 * I1  What merges could not be told apart by anything a caller can ask for.
 * I2  A VMA with several links (it or an ancestor was forked) takes no pages
 *     of a VMA that had no anon_vma: they would be looked for in all of the
 *     family. So Linux, and so aspen_anon_vma_prepare().
 * I3  A VMA whose object has a close hook never goes by a merge.
 *
 * Called by mmap. The first test to break is tests/unit/test_mmap.c.
 */
#include "calls/merge.h"

#include "space/anon_vma.h"
#include "space/object.h"
#include "space/split.h"

#define NEVER_MERGED                                                           \
    (ASPEN_VM_IO | ASPEN_VM_DONTEXPAND | ASPEN_VM_PFNMAP | ASPEN_VM_MIXEDMAP | \
     ASPEN_VM_SPECIAL | ASPEN_VM_HUGETLB)

/* ---- Check ------------------------------------------------------------- */

static bool
same_kind(const struct aspen_merge *merge, const struct aspen_vma *vma)
{
    return ((vma->flags ^ merge->flags) & ~ASPEN_VM_SOFTDIRTY) == 0 &&
           vma->object == merge->object && !vma->userfault && !vma->name &&
           !vma->embedder;
}

static bool
has_one_link(const struct aspen_vma *vma)
{
    return !aspen_list_is_empty(&vma->anon_chain) &&
           vma->anon_chain.next->next == &vma->anon_chain;
}

/* The new range has no anon_vma: may it come to be in the VMA's? */
static bool
anon_vma_fits(const struct aspen_vma *vma)
{
    return !vma->anon_vma || has_one_link(vma);
}

static bool
continues_below(const struct aspen_merge *merge)
{
    const struct aspen_vma *below = merge->below;

    return below && same_kind(merge, below) && anon_vma_fits(below) &&
           aspen_vma_offset(below, merge->start) == merge->pgoff;
}

static bool
continues_above(const struct aspen_merge *merge)
{
    const struct aspen_vma *above = merge->above;
    uint64_t pages = (merge->end - merge->start) >> ASPEN_PAGE_SHIFT;

    return above && same_kind(merge, above) && anon_vma_fits(above) &&
           aspen_vma_offset(above, merge->end) == merge->pgoff + pages;
}

/* Both neighbours may take the new range: may they become one? */
static bool
can_join(const struct aspen_vma *below, const struct aspen_vma *above)
{
    const struct aspen_object *object = above->object;

    if (below->anon_vma && above->anon_vma &&
        below->anon_vma != above->anon_vma)
        return false;
    return !object || !object->pager || !object->pager->close;
}

void
aspen_merge_check(struct aspen_merge *merge)
{
    bool never = (merge->flags & NEVER_MERGED) != 0;

    if (never || !continues_below(merge))
        merge->below = NULL;
    if (never || !continues_above(merge))
        merge->above = NULL;
    if (merge->below && merge->above && !can_join(merge->below, merge->above))
        merge->above = NULL;
}

/* ---- Reserve ----------------------------------------------------------- */

int
aspen_merge_reserve(struct aspen_merge *merge)
{
    if (!merge->below || !merge->above || merge->below->anon_vma ||
        !merge->above->anon_vma)
        return 0;
    /* It has no pages, so it does no harm that it can be found already. */
    aspen_vma_write_lock(merge->below);
    return aspen_anon_vma_clone(merge->below, merge->above);
}

/* ---- Commit ------------------------------------------------------------ */

/* `vma` is a part of the one below it now; its pages stay. */
static void
dissolve(struct aspen_vma *vma)
{
    struct aspen_object *object = vma->object;

    aspen_anon_vma_unlink(vma);
    if (object)
        aspen_object_unlink(vma);
    vma->mm->map_count--;
    aspen_vma_free(vma);
    if (object)
        aspen_object_put(object);
}

void
aspen_merge_commit(struct aspen_merge *merge,
                   struct aspen_tree_reserve *reserve)
{
    struct aspen_vma *below = merge->below;
    struct aspen_vma *above = merge->above;
    struct aspen_vma *vma = below ? below : above;
    uint64_t start = below ? below->start : merge->start;
    uint64_t end = above ? above->end : merge->end;

    aspen_vma_write_lock(vma);
    if (below && above)
        aspen_vma_write_lock(above);
    aspen_vma_resize(vma, start, end);
    aspen_tree_store_reserved(&merge->mm->vmas, reserve, start, end - 1, vma);
    if (below && above)
        dissolve(above);
}
