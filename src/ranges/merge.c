/* SPDX-License-Identifier: MIT */
/*
 * ranges/merge.c - a new mapping that continues its neighbours.
 *
 * mergeable.c says what may be merged.
 *
 * Called by mmap, mremap and move.c. The first test to break is
 * tests/unit/ranges/test_merge.c.
 */
#include "ranges/merge.h"

#include "rmap/anon_vma.h"
#include "machine/release.h"
#include "rmap/split.h"

/* ---- Check ------------------------------------------------------------- */

static void
new_init(struct aspen_candidate *candidate, const struct aspen_merge *merge)
{
    aspen_candidate_init(candidate, merge->like);
    if (!merge->like) {
        candidate->userfault = NULL;
        candidate->name = NULL;
        candidate->embedder = NULL;
        candidate->anon_vma = NULL;
        candidate->single = false;
    }
    candidate->vma = NULL;
    candidate->start = merge->start;
    candidate->end = merge->end;
    candidate->flags = merge->flags;
    candidate->pgoff = merge->pgoff;
    candidate->object = merge->object;
    /* As Linux, which forgets here that it may have been forked. */
    candidate->single |= merge->grows;
}

/* A neighbour as it will be: it may still reach into the new range. */
static void
below_init(struct aspen_candidate *candidate, const struct aspen_merge *merge)
{
    if (merge->below_then)
        *candidate = *merge->below_then;
    else
        aspen_candidate_init(candidate, merge->below);
    aspen_candidate_cut(candidate, candidate->start, merge->start);
}

static void
above_init(struct aspen_candidate *candidate, const struct aspen_merge *merge)
{
    aspen_candidate_init(candidate, merge->above);
    aspen_candidate_cut(candidate, merge->end, candidate->end);
}

/* It could be one with either: with both? */
static void
choose(struct aspen_merge *merge, const struct aspen_candidate *below,
       const struct aspen_candidate *above)
{
    const struct aspen *aspen = merge->mm->aspen;

    if (!merge->like && !aspen_release_mmap_merges_below_first(aspen)) {
        /* First it is one with what is above, that with what is below. */
        if (!aspen_mergeable_anon_vma(aspen, above, below))
            merge->below = NULL;
    } else if (!aspen_mergeable_between(below, above) ||
               !aspen_vma_may_dissolve(merge->above)) {
        merge->above = NULL;
    }
}

void
aspen_merge_check(struct aspen_merge *merge)
{
    const struct aspen *aspen = merge->mm->aspen;
    struct aspen_candidate new, below, above;

    aspen_list_init(&merge->links);
    if (!merge->below && !merge->above)
        return;
    new_init(&new, merge);
    if (merge->below) {
        below_init(&below, merge);
        if (!aspen_mergeable(&below, &new) ||
            !aspen_mergeable_anon_vma(aspen, &new, &below))
            merge->below = NULL;
    }
    if (merge->above) {
        above_init(&above, merge);
        if (!aspen_mergeable(&new, &above) ||
            !aspen_mergeable_anon_vma(aspen, &new, &above))
            merge->above = NULL;
    }
    if (merge->below && merge->above)
        choose(merge, &below, &above);
}

/* ---- Reserve ----------------------------------------------------------- */

/* Whose anon_vma the survivor, which has `own`, has to get to hold all: NULL,
 * if it has one or there is none. */
static struct aspen_vma *
anon_vma_source(const struct aspen_merge *merge,
                const struct aspen_anon_vma *own)
{
    if (own)
        return NULL;
    if (merge->like && merge->like->anon_vma)
        return merge->like;
    return merge->below && merge->above && merge->above->anon_vma ? merge->above
                                                                  : NULL;
}

int
aspen_merge_reserve(struct aspen_merge *merge)
{
    struct aspen_vma *source =
        anon_vma_source(merge, aspen_merge_survivor(merge)->anon_vma);

    return source ? aspen_anon_vma_links_reserve(source, &merge->links) : 0;
}

void
aspen_merge_result(const struct aspen_merge *merge,
                   struct aspen_candidate *result)
{
    if (merge->below_then && merge->below)
        *result = *merge->below_then;
    else
        aspen_candidate_init(result, aspen_merge_survivor(merge));
    if (!merge->below) {
        result->start = merge->start;
        result->pgoff = merge->pgoff;
    }
    result->end = aspen_merge_end(merge);
    const struct aspen_vma *source = anon_vma_source(merge, result->anon_vma);
    if (source)
        aspen_candidate_inherit_anon_vma(result, source);
}

void
aspen_merge_abort(struct aspen_merge *merge)
{
    aspen_anon_vma_links_release(merge->mm->aspen, &merge->links);
}

/* ---- Commit ------------------------------------------------------------ */

void
aspen_merge_commit(struct aspen_merge *merge,
                   struct aspen_tree_reserve *reserve)
{
    struct aspen_vma *below = merge->below;
    struct aspen_vma *above = merge->above;
    struct aspen_vma *vma = aspen_merge_survivor(merge);
    struct aspen_vma *source = anon_vma_source(merge, vma->anon_vma);
    uint64_t start = aspen_merge_start(merge);
    uint64_t end = aspen_merge_end(merge);

    aspen_vma_write_lock(vma);
    if (below && above)
        aspen_vma_write_lock(above);
    if (source)
        aspen_anon_vma_clone_reserved(vma, source, &merge->links);
    if (merge->like) /* what moves may have guards */
        aspen_vma_inherit_guards(vma, merge->like);
    aspen_vma_resize(vma, start, end);
    aspen_tree_store_reserved(&merge->mm->vmas, reserve, start, end - 1, vma);
    if (below && above) {
        aspen_vma_inherit_guards(below, above);
        aspen_vma_dissolve(above);
    }
    aspen_merge_abort(merge); /* the survivor may have got an anon_vma since */
}
