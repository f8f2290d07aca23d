/* SPDX-License-Identifier: MIT */
/*
 * object/i_mmap.h - the VMAs that map an object, by page offset. These take and
 * drop the object's i_mmap lock.
 */
#ifndef ASPEN_OBJECT_I_MMAP_H
#define ASPEN_OBJECT_I_MMAP_H

#include "space/vma.h"

/* Enter a VMA, after `parent` (the VMA it was forked from, or NULL). */
void aspen_i_mmap_insert(struct aspen_vma *vma, struct aspen_vma *parent);
void aspen_i_mmap_remove(struct aspen_vma *vma);

/* Around a change of range or pgoff: begin takes it out and leaves the lock
 * held, so that no walker misses the VMA meanwhile; end puts it back. */
void aspen_i_mmap_change_begin(struct aspen_vma *vma);
void aspen_i_mmap_change_end(struct aspen_vma *vma);

/*
 * A mapping of `object` (NULL: of none) with these flags is about to appear
 * where none like it might be. While it is claimed nobody can deny what it may
 * be, a writable shared one: 0, or -ASPEN_EPERM, it is denied already. Release
 * it when the VMA is there, or will not be.
 */
ASPEN_MUST_USE int aspen_i_mmap_claim_writable(struct aspen_object *object,
                                               uint64_t vm_flags);
void aspen_i_mmap_release_writable(struct aspen_object *object,
                                   uint64_t vm_flags);

/* Would it be denied now? */
bool aspen_i_mmap_denies_writable(const struct aspen_object *object,
                                  uint64_t vm_flags);

/* Called for each VMA that may map what is looked for, with where it would;
 * the lock of the index that led there is held for reading. false ends the
 * walk. */
typedef bool aspen_vma_visit(void *context, struct aspen_vma *vma,
                             uint64_t address);

/* Walk the VMAs that have some of the pages [first, last], parents before their
 * children; the address is that of the first one that it has. */
void aspen_i_mmap_walk(struct aspen_object *object, uint64_t first,
                       uint64_t last, aspen_vma_visit *visit, void *context);

#endif
