/* SPDX-License-Identifier: MIT */
/*
 * object/object.h - objects from the inside: their life and size.
 */
#ifndef ASPEN_OBJECT_OBJECT_H
#define ASPEN_OBJECT_OBJECT_H

#include "space/vma.h"

/* aspen_object_create() for who may not wait for memory: some lock is held. */
ASPEN_MUST_USE int aspen_object_make(struct aspen *aspen,
                                     const struct aspen_object_args *args,
                                     struct aspen_object **object);

/*
 * The object that shared anonymous memory of the space maps, with one
 * reference: zeroes of that size, charged as the space's own memory unless the
 * VMA's flags have NORESERVE. 0, or -ASPEN_ENOMEM. Context: the mmap lock is
 * held for writing.
 */
ASPEN_MUST_USE int aspen_object_create_shared(const struct aspen_mm *mm,
                                              uint64_t size_bytes,
                                              uint64_t vm_flags,
                                              struct aspen_object **object);

/* AArch64's tags (ASPEN_VM_MTE): memory whose pages are no file's. */
static inline bool
aspen_may_have_tags(const struct aspen_object *object)
{
    return !object || object->kind == ASPEN_OBJECT_SHMEM;
}

/* Pages that so many bytes take. */
static inline uint64_t
aspen_pages_of(uint64_t bytes)
{
    return (bytes >> ASPEN_PAGE_SHIFT) + (bytes % ASPEN_PAGE_SIZE != 0);
}

/* Pages of the object now, the last one perhaps in part. */
static inline uint64_t
aspen_object_pages(const struct aspen_object *object)
{
    return aspen_pages_of(aspen_load(&object->size_bytes));
}

/* A reference unless none is left: false. Context: RCU, or a lock that keeps
 * the object from going. */
ASPEN_MUST_USE bool aspen_object_get_live(struct aspen_object *object);

/*
 * The object that owns a page, with a reference; NULL when no object has the
 * page any more. Context: the caller holds a reference on the frame; any lock;
 * RCU inside. The reference may be the object's last when it is given back:
 * aspen_object_put().
 */
struct aspen_object *aspen_object_of_frame(struct aspen_frame *frame);

#endif
