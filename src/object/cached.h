/* SPDX-License-Identifier: MIT */
/*
 * object/cached.h - what stands in the tree of an object's page cache:
 *
 *   a frame    of a page, or the first of a block
 *   a shadow   of a page that was reclaimed (object/shadow.h)
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

/* The page that an entry of the tree is; NULL: none is there. */
static inline struct aspen_frame *
aspen_page_of_entry(const struct aspen_object *object, void *entry)
{
    return aspen_is_shadow(entry) || entry == aspen_tombstone(object) ? NULL
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
