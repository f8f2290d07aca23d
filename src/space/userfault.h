/* SPDX-License-Identifier: MIT */
/*
 * space/userfault.h - userfault contexts, as mappings have them. Drawn in
 * paging/userfault_struct.h.
 *
 * I3  An entry is marked (paging/entry.h) only where its VMA has
 *     ASPEN_VM_UFFD_WP: who takes that flag away takes the marks away after it,
 *     with the mmap lock held for writing, and who makes some holds it for
 *     reading. All others only hand them on, from an entry to what takes its
 *     place under the same hold of the table's lock.
 *
 * An imported VMA may have the embedder's own instead, whose forks the hooks
 * follow (struct aspen_userfault_ops): that is a name, the machine's address.
 */
#ifndef ASPEN_SPACE_USERFAULT_H
#define ASPEN_SPACE_USERFAULT_H

#include "space/vma.h"
#include <aspen/track/userfault.h>

/* With one reference, and one of `mm`; NULL: no memory
 * (ASPEN_STEP_USERFAULT). */
struct aspen_userfault *aspen_userfault_alloc(struct aspen_mm *mm,
                                              unsigned features);
void aspen_userfault_put(struct aspen_userfault *userfault);

/* The VMA's, or NULL: none, or the embedder's own. Context: it is locked. */
static inline struct aspen_userfault *
aspen_userfault_of(const struct aspen_vma *vma)
{
    return vma->userfault == vma->mm->aspen ? NULL : vma->userfault;
}

/* It gets that context, whatever it is, and a reference to it; NULL: none.
 * Context: the mmap lock is held for writing, or nobody else can see it. */
void aspen_vma_set_userfault(struct aspen_vma *vma, void *userfault);

/* Does a write to what is marked take the mark away, and go on? */
static inline bool
aspen_userfault_is_async(const struct aspen_vma *vma)
{
    const struct aspen_userfault *userfault = aspen_userfault_of(vma);

    return vma->flags & ASPEN_VM_UFFD_WP && userfault &&
           userfault->features & ASPEN_USERFAULT_WP_ASYNC;
}

#endif
