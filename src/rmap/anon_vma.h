/* SPDX-License-Identifier: MIT */
/*
 * rmap/anon_vma.h - who maps anonymous pages. Drawn in internal.h.
 */
#ifndef ASPEN_RMAP_ANON_VMA_H
#define ASPEN_RMAP_ANON_VMA_H

#include "space/vma.h"

/*
 * Give the VMA an anon_vma if it has none: a mergeable neighbour's, or a new
 * one. 0 or -ASPEN_ENOMEM, unchanged. The VMA need not be in the tree yet.
 * Context: the mmap lock is held at least for reading (a VMA lock is not
 *          enough: the neighbours have to stay). If two race the loser uses
 *          the winner's.
 */
ASPEN_MUST_USE int aspen_anon_vma_prepare(struct aspen_vma *vma);

/*
 * Link `to` (no links yet) to every anon_vma that `from` is linked to.
 * clone: `to` shares from's anon_vma (a split; `to` has its final range and
 * pgoff). fork: `to` has from's range and pgoff; each link is inserted right
 * after from's, so that it sorts behind; `to` then reuses an anon_vma of the
 * chain that has no active VMA and at most one child (never a root), or gets
 * one of its own. Both: 0, or -ASPEN_ENOMEM and `to` has no link. A `from`
 * without anon_vma: 0, nothing done.
 * Context: mmap locks for writing; allocates before it locks the root.
 */
ASPEN_MUST_USE int aspen_anon_vma_clone(struct aspen_vma *to,
                                        struct aspen_vma *from);
ASPEN_MUST_USE int aspen_anon_vma_fork(struct aspen_vma *to,
                                       struct aspen_vma *from);

/*
 * clone in two parts: reserve adds the links for a clone of `from` to `links`
 * (0, or -ASPEN_ENOMEM with `links` as it was); clone_reserved takes as many
 * from there and cannot fail. What is left goes back with release.
 */
ASPEN_MUST_USE int aspen_anon_vma_links_reserve(struct aspen_vma *from,
                                                struct aspen_list *links);
void aspen_anon_vma_clone_reserved(struct aspen_vma *to, struct aspen_vma *from,
                                   struct aspen_list *links);
void aspen_anon_vma_links_release(struct aspen *aspen,
                                  struct aspen_list *links);

/* Unlink from all; anon_vmas whose last link it was are freed. No-op without
 * links. */
void aspen_anon_vma_unlink(struct aspen_vma *vma);

/*
 * For a change of range or pgoff. remove takes the links out of the trees and
 * leaves the root locked for writing, so that no walker misses the VMA
 * meanwhile; insert puts them back at the present range and unlocks. Both do
 * nothing for a VMA without links. Change one VMA at a time: the next after
 * insert.
 */
void aspen_anon_vma_links_remove(struct aspen_vma *vma);
void aspen_anon_vma_links_insert(struct aspen_vma *vma);

/* Was it never forked into being? Then its anon_vma leads to nothing but what
 * could have been one VMA. False without anon_vma. */
static inline bool
aspen_anon_vma_is_single(const struct aspen_vma *vma)
{
    return !aspen_list_is_empty(&vma->anon_chain) &&
           vma->anon_chain.next->next == &vma->anon_chain;
}

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
 * From a frame (the first of its block) to its anon_vma, with a reference;
 * NULL when the page is not anonymous or not mapped any more. Memory is
 * type-stable: if the page is unmapped at this moment the answer may be another
 * anon_vma that got the same memory, and leads to VMAs that do not map the
 * page. So whoever walks it looks at each page-table entry under its lock.
 * Context: the caller holds a reference on the frame; any lock; RCU inside.
 */
struct aspen_anon_vma *aspen_anon_vma_of_frame(struct aspen *aspen,
                                               struct aspen_frame *frame);
void aspen_anon_vma_put(struct aspen *aspen, struct aspen_anon_vma *anon_vma);

#endif
