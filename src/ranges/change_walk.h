/* SPDX-License-Identifier: MIT */
/*
 * ranges/change_walk.h - upwards over a range that changes: what becomes of
 * each VMA, and which it is merged with. What is done about it is a table of
 * steps: one that reserves, one that rehearses, one that commits (change.c).
 */
#ifndef ASPEN_RANGES_CHANGE_WALK_H
#define ASPEN_RANGES_CHANGE_WALK_H

#include "ranges/change.h"
#include "ranges/mergeable.h"
#include "space/name.h"

/* One VMA of which flags change, and what is beside it. */
struct aspen_change_step {
    struct aspen_vma *vma;
    /* What of it lies in the range, with its new flags. */
    struct aspen_candidate candidate;
    struct aspen_candidate above; /* the next VMA, if that goes up to it */
    bool at_start;                /* the candidate starts where the VMA does */
    bool at_end;                  /* it ends where the VMA ends */
    bool merge_below;
    bool merge_above;
};

struct aspen_change_walk;

struct aspen_change_steps {
    /* The candidate is not merged: *vma, which is step->vma, becomes it, or
     * where that keeps a part outside of the range, a new VMA. */
    int (*change)(struct aspen_change_walk *walk,
                  const struct aspen_change_step *step, struct aspen_vma **vma);
    /* It becomes a part of `survivor`, which has its new range already; so does
     * what is above, if it is merged with both. */
    int (*merge)(struct aspen_change_walk *walk,
                 const struct aspen_change_step *step,
                 struct aspen_candidate *survivor);
    /* The tree is to have the VMA as it is now. */
    void (*store)(struct aspen_change_walk *walk,
                  const struct aspen_candidate *vma);
};

struct aspen_change_walk {
    struct aspen_change *change; /* in: as all down to vma_above */
    struct aspen_vma *first;     /* in the range, or across its start */
    struct aspen_vma *vma_below; /* ends where the range starts, or NULL */
    struct aspen_vma *vma_above; /* starts where the range ends, or NULL */

    const struct aspen_change_steps *steps;
    bool run;                      /* `below` is not in the tree as it is */
    uint64_t visited;              /* VMAs */
    struct aspen_candidate below;  /* what the last step left, or none */
    struct aspen_change_step step; /* the last one */
};

/* Does it change the VMA, whose flags would be `flags`? */
static inline bool
aspen_change_concerns(const struct aspen_change *change,
                      const struct aspen_vma *vma, uint64_t flags)
{
    return flags != vma->flags ||
           (change->renames && !aspen_names_equal(vma->name, change->name)) ||
           (change->userfaults && vma->userfault != change->userfault);
}

/* Walk all of the range. 0, or the error of a step, which ends it. */
ASPEN_MUST_USE int aspen_change_walk(struct aspen_change_walk *walk,
                                     const struct aspen_change_steps *steps);

/* The same once more, by other steps, which do not fail. */
void aspen_change_walk_again(struct aspen_change_walk *walk,
                             const struct aspen_change_steps *steps);

#endif
