/* SPDX-License-Identifier: MIT */
/*
 * calls/merge.c - a new mapping that continues its neighbours.
 *
 * What may become one stands in join.c.
 *
 * Called by mmap. The first test to break is tests/unit/test_mmap.c.
 */
#include "calls/merge.h"

#include "calls/join.h"
#include "space/anon_vma.h"
#include "space/split.h"

/* ---- Check ------------------------------------------------------------- */

/* The new range: of what a caller of mmap cannot ask for it has nothing. */
static struct aspen_piece
piece_of(const struct aspen_merge *merge)
{
    return (struct aspen_piece){
        .start = merge->start,
        .end = merge->end,
        .flags = merge->flags,
        .pgoff = merge->pgoff,
        .object = merge->object,
    };
}

/* A neighbour as it will be: it may still reach into the new range. */
static struct aspen_piece
below_of(const struct aspen_merge *merge)
{
    struct aspen_piece below = aspen_piece_of(merge->below);

    aspen_piece_cut(&below, below.start, merge->start);
    return below;
}

static struct aspen_piece
above_of(const struct aspen_merge *merge)
{
    struct aspen_piece above = aspen_piece_of(merge->above);

    aspen_piece_cut(&above, merge->end, above.end);
    return above;
}

void
aspen_merge_check(struct aspen_merge *merge)
{
    const struct aspen *aspen = merge->mm->aspen;
    struct aspen_piece new = piece_of(merge);
    struct aspen_piece below = {0};
    struct aspen_piece above = {0};

    if (merge->below) {
        below = below_of(merge);
        if (!aspen_pieces_continue(&below, &new) ||
            !aspen_anon_vma_fits(aspen, &new, &below))
            merge->below = NULL;
    }
    if (merge->above) {
        above = above_of(merge);
        if (!aspen_pieces_continue(&new, &above) ||
            !aspen_anon_vma_fits(aspen, &new, &above))
            merge->above = NULL;
    }
    if (merge->below && merge->above &&
        (!aspen_anon_vmas_agree(&below, &above) ||
         !aspen_vma_may_dissolve(merge->above)))
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
        aspen_vma_dissolve(above);
}
