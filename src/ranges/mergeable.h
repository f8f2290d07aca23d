/* SPDX-License-Identifier: MIT */
/*
 * ranges/mergeable.h - which mappings may become one, by Linux's rules: the one
 * place that says it, for new mappings (merge.h) and changed ones (edit.h).
 */
#ifndef ASPEN_CALLS_JOIN_H
#define ASPEN_CALLS_JOIN_H

#include "space/vma.h"

/* A mapping as it is, or as it would be. */
struct aspen_piece {
    struct aspen_vma *vma; /* that it is or will be; NULL: no piece, or new */
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
void aspen_piece_init(struct aspen_piece *piece, struct aspen_vma *vma);

/* Cut it down to [start, end), which lies inside. */
void aspen_piece_cut(struct aspen_piece *piece, uint64_t start, uint64_t end);

/* Could `low` and `high` be told apart if they were one? All but their
 * anon_vmas. False unless they touch. */
bool aspen_pieces_continue(const struct aspen_piece *low,
                           const struct aspen_piece *high);

/*
 * May the pages of `piece` come to be `neighbour`'s? Where only one side has
 * an anon_vma, it must not have been forked: its pages would be looked for in
 * all of the family. (Up to Linux 6.12 only the neighbour's could be taken.)
 */
bool aspen_anon_vma_fits(const struct aspen *aspen,
                         const struct aspen_piece *piece,
                         const struct aspen_piece *neighbour);

/* The piece goes between them: may the two become one with it? */
bool aspen_anon_vmas_agree(const struct aspen_piece *low,
                           const struct aspen_piece *high);

/* A VMA whose object wants to hear of its end never goes by a merge. */
bool aspen_vma_may_dissolve(const struct aspen_vma *vma);

#endif
