/* SPDX-License-Identifier: MIT */
/*
 * object/cached.h - what stands in the tree of an object's page cache:
 *
 *   a frame    of a page, or the first of a block
 *   a shadow   of a page that was reclaimed (object/shadow.h)
 *   a slot     of a page that is in swap (object/swapped.c)
 *   tombstone  of a page that is being dropped: the zero page's frame, which is
 *              in no cache
 *
 * For the files that keep the tree, who hold its lock.
 */
#ifndef ASPEN_OBJECT_CACHED_H
#define ASPEN_OBJECT_CACHED_H

#include "frames/frames.h"
#include "object/shadow.h"

static inline void
aspen_pages_lock(struct aspen_object *object)
{
    aspen_spin_lock(&object->pages_lock, ASPEN_LOCK_PAGE_CACHE);
}

static inline void
aspen_pages_unlock(struct aspen_object *object)
{
    aspen_spin_unlock(&object->pages_lock);
}

static inline struct aspen_frame *
aspen_tombstone(const struct aspen_object *object)
{
    return aspen_frame_at(object->aspen, object->aspen->zero_frame);
}

/* ---- Slots ------------------------------------------------------------- */

#define ASPEN_SWAPPED_BITS (ASPEN_SHADOW_BIT | ASPEN_SHADOW_SWAPPED)

ASPEN_STATIC_ASSERT(sizeof(uintptr_t) == 8, "a slot and its area fit in");

static inline bool
aspen_is_swapped(const void *entry)
{
    return ((uintptr_t)entry & ASPEN_SWAPPED_BITS) == ASPEN_SWAPPED_BITS;
}

static inline void *
aspen_swapped_at(unsigned type, uint32_t slot)
{
    return (void *)(((uintptr_t)type << 32 | slot) << ASPEN_SHADOW_SHIFT |
                    ASPEN_SWAPPED_BITS);
}

static inline unsigned
aspen_swapped_type(const void *entry)
{
    return (unsigned)((uintptr_t)entry >> (32 + ASPEN_SHADOW_SHIFT));
}

static inline uint32_t
aspen_swapped_slot(const void *entry)
{
    return (uint32_t)((uintptr_t)entry >> ASPEN_SHADOW_SHIFT);
}

/* One more of them stands in the tree, or one less; its lock is held. */
void aspen_object_count_swapped(struct aspen_object *object);
void aspen_object_uncount_swapped(struct aspen_object *object);

/* Nobody finds the object any more, and its tree is gone. */
void aspen_object_forget_swapped(struct aspen_object *object);

/* ---- Pages ------------------------------------------------------------- */

/* The page that an entry of the tree is; NULL: none is there. */
static inline struct aspen_frame *
aspen_page_of_entry(const struct aspen_object *object, void *entry)
{
    return (uintptr_t)entry & ASPEN_SHADOW_BIT ||
                   entry == aspen_tombstone(object)
               ? NULL
               : entry;
}

/* What its pages count as while they are in the cache. */
static inline enum aspen_count
aspen_object_count(const struct aspen_object *object)
{
    return object->kind == ASPEN_OBJECT_FILE ? ASPEN_COUNT_FILE
                                             : ASPEN_COUNT_SHMEM;
}

#endif
