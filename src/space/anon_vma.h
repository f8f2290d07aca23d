/* SPDX-License-Identifier: MIT */
/*
 * space/anon_vma.h - who maps anonymous pages. Drawn in internal.h.
 */
#ifndef ASPEN_SPACE_ANON_VMA_H
#define ASPEN_SPACE_ANON_VMA_H

#include "space/vma.h"

/*
 * Give the VMA an anon_vma if it has none: a mergeable neighbour's, or a new
 * one. 0 or -ASPEN_ENOMEM, unchanged.
 * Context: mmap lock held at least for reading plus the VMA's stability;
 *          two may race: the loser uses the winner's.
 */
ASPEN_MUST_USE int aspen_anon_vma_prepare(struct aspen_vma *vma);

/*
 * Link `to` (no links yet, same offsets) to every anon_vma that `from` is
 * linked to. clone: `to` shares from's anon_vma (a split). fork: each link
 * is inserted right after from's link, so that it sorts behind; `to` then
 * reuses an anon_vma of the parent's that has no active VMA and at most one
 * child, or gets one of its own. Both: 0, or -ASPEN_ENOMEM and `to` has no
 * link. A `from` without anon_vma: 0, nothing done.
 * Context: mmap locks for writing; allocates before it locks the root.
 */
ASPEN_MUST_USE int aspen_anon_vma_clone(struct aspen_vma *to,
                                        struct aspen_vma *from);
ASPEN_MUST_USE int aspen_anon_vma_fork(struct aspen_vma *to,
                                       struct aspen_vma *from);

/* Unlink from all; anon_vmas whose last link it was are freed. No-op without
 * links. */
void aspen_anon_vma_unlink(struct aspen_vma *vma);

/* Move the VMA's links to its present pgoff and length (before / after a
 * change of range): remove from the trees, then insert again. */
void aspen_anon_vma_links_remove(struct aspen_vma *vma);
void aspen_anon_vma_links_insert(struct aspen_vma *vma);

static inline void
aspen_anon_vma_lock_read(struct aspen_anon_vma *anon_vma)
{
    aspen_read_lock(&anon_vma->root->lock, ASPEN_LOCK_ANON_VMA);
}

static inline void
aspen_anon_vma_unlock_read(struct aspen_anon_vma *anon_vma)
{
    aspen_read_unlock(&anon_vma->root->lock);
}

/*
 * From a frame to its anon_vma, with a reference; NULL when the page is not
 * anonymous or not mapped any more. Context: any; RCU inside.
 */
struct aspen_anon_vma *aspen_anon_vma_of_frame(struct aspen_frame *frame);
void aspen_anon_vma_put(struct aspen *aspen, struct aspen_anon_vma *anon_vma);

#endif
