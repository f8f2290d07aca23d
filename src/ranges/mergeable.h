/* SPDX-License-Identifier: MIT */
/*
 * ranges/mergeable.h - which mappings may become one, by Linux's rules: the one
 * place that says it, for new mappings (merge.h) and changed ones (change.h).
 */
#ifndef ASPEN_RANGES_MERGEABLE_H
#define ASPEN_RANGES_MERGEABLE_H

#include "space/vma.h"

/*
 * The eight cases. A new mapping (merge.h) or one that grows, N, between what
 * is below, B, and what is above, A:
 *
 *   1  [  B  )[ N )[  A  )    ->  [       B       )
 *   2  [  B  )[ N )           ->  [    B    )
 *   3         [ N )[  A  )    ->         [    A    )
 *
 * A mapping of which a range changes, c, to what its neighbours are
 * (change_walk.h); what of it lies outside of the range stays:
 *
 *   4  [  B  )[ c | C )       ->  [    B    )[ C )
 *   5         [ C | c )[ A )  ->         [ C )[   A   )
 *   6  [  B  )[ c )[  A  )    ->  [       B       )
 *   7  [  B  )[ c )           ->  [    B    )
 *   8         [ c )[  A  )    ->         [    A    )
 *
 * The VMA whose name stands there survives; the others are dissolved.
 */

/* What may be merged: a mapping as it is, or as it would be. */
struct aspen_candidate {
    struct aspen_vma *vma; /* that it is or will be; NULL: none, or new */
    uint64_t start;
    uint64_t end;
    uint64_t flags;
    uint64_t pgoff;
    struct aspen_object *object;
    void *userfault;
    const struct aspen_name *name;
    void *embedder;
    struct aspen_anon_vma *anon_vma;
    bool single; /* its anon_vma leads to itself alone */
};

/* A VMA as it is; for NULL `vma` alone is set, to say that there is none. */
void aspen_candidate_init(struct aspen_candidate *candidate,
                          struct aspen_vma *vma);

/* Cut it down to [start, end), which lies inside. */
void aspen_candidate_cut(struct aspen_candidate *candidate, uint64_t start,
                         uint64_t end);

/* Let it have the anon_vma of `vma`. */
void aspen_candidate_inherit_anon_vma(struct aspen_candidate *candidate,
                                      const struct aspen_vma *vma);

/*
 * True if they touch and nobody could tell them apart once they were one;
 * anon_vmas aside. Never true of a driver's mapping, of hugetlb, or where one
 * has a pointer of the embedder's.
 */
bool aspen_mergeable(const struct aspen_candidate *low,
                     const struct aspen_candidate *high);

/*
 * May `neighbour` take the pages of `candidate`? If only one side has an
 * anon_vma, that one must not have been forked: every search for its pages
 * would go through the whole family. (Up to Linux 6.12 it had to be the
 * neighbour's.)
 */
bool aspen_mergeable_anon_vma(const struct aspen *aspen,
                              const struct aspen_candidate *candidate,
                              const struct aspen_candidate *neighbour);

/* The candidate goes between them: may the two become one with it? */
bool aspen_mergeable_between(const struct aspen_candidate *low,
                             const struct aspen_candidate *high);

/* A VMA whose object wants to hear of its end never goes by a merge. */
bool aspen_vma_may_dissolve(const struct aspen_vma *vma);

#endif
