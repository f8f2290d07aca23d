/* SPDX-License-Identifier: MIT */
/*
 * ranges/merge.h - a new mapping that continues its neighbours becomes a part
 * of them.
 */
#ifndef ASPEN_RANGES_MERGE_H
#define ASPEN_RANGES_MERGE_H

#include "ranges/mergeable.h"

/* A mapping that is about to appear: new, or like one that it is moved or
 * grown from. What the caller does not name is zero. */
struct aspen_merge {
    struct aspen_mm *mm; /* in: as all down to pgoff */
    uint64_t start;
    uint64_t end;
    uint64_t flags;
    struct aspen_object *object;
    uint64_t pgoff;
    struct aspen_vma *below; /* in: the VMA that ends at start, or NULL; out:
                                NULL unless the new range becomes its part */
    struct aspen_vma *above; /* the same of the VMA that starts at end */
    /* in, for check alone: what `below` will be by then; NULL: as it is */
    const struct aspen_candidate *below_then;
    bool grows;              /* in: `below` grows by the range; `like` is it */
    struct aspen_vma *like;  /* in: has its pages: they share an anon_vma; the
                                range is like it in all else. NULL: new */
    struct aspen_list links; /* reserve's */
};

/*
 * Decide by Linux's rules: the same flags, object, userfault context and names,
 * contiguous page offsets, anon_vmas that one VMA can have. A driver's mapping,
 * hugetlb, and what has a pointer of the embedder's stay alone. If both
 * neighbours take part one VMA remains, `below`. The neighbours may still reach
 * into [start, end).
 *
 * Context: this and all below: the mmap lock is held for writing.
 */
void aspen_merge_check(struct aspen_merge *merge);

/* What commit needs but one store. 0, or -ASPEN_ENOMEM with nothing left. */
ASPEN_MUST_USE int aspen_merge_reserve(struct aspen_merge *merge);
void aspen_merge_abort(struct aspen_merge *merge);

/* The neighbours are as they were promised: below ends at start, above starts
 * at end, nothing is between them. */
void aspen_merge_commit(struct aspen_merge *merge,
                        struct aspen_tree_reserve *reserve);

/* The VMA that the range became a part of. */
static inline struct aspen_vma *
aspen_merge_survivor(const struct aspen_merge *merge)
{
    return merge->below ? merge->below : merge->above;
}

/* What that VMA will have; without a neighbour: the range alone. */
static inline uint64_t
aspen_merge_start(const struct aspen_merge *merge)
{
    return merge->below ? merge->below->start : merge->start;
}

static inline uint64_t
aspen_merge_end(const struct aspen_merge *merge)
{
    return merge->above ? merge->above->end : merge->end;
}

/* After check: what that VMA will be. `result` may be `below_then`. */
void aspen_merge_result(const struct aspen_merge *merge,
                        struct aspen_candidate *result);

#endif
