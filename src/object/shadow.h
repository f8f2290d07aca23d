/* SPDX-License-Identifier: MIT */
/*
 * object/shadow.h - what is left in a page cache of a page that reclaim took:
 * when that was, and whether it was REFERENCED. Who reads the page again learns
 * how many pages have left since. If fewer than there is room for, it left too
 * soon.
 *
 * A shadow stands in the tree where the frame stood: so a page can be taken
 * without memory for the tree. Time is the number of pages that have left
 * (aspen_lru_clock()): each group has a time of its own, which the tag of its
 * lists says; who comes back to another group's is new there. Bit 2 tells a
 * shadow from a frame, which is aligned to 8 bytes, bit 3 from a swap slot
 * (object/cached.h); the tree wants bits 0 and 1
 * clear.
 *
 * A shadow from before as many pages have left as there are frames says
 * nothing, and goes when there are many: reclaim/trim.c.
 */
#ifndef ASPEN_OBJECT_SHADOW_H
#define ASPEN_OBJECT_SHADOW_H

#include "frames/lru.h"

#define ASPEN_SHADOW_BIT        ((uintptr_t)4)
#define ASPEN_SHADOW_SWAPPED    ((uintptr_t)8)
#define ASPEN_SHADOW_REFERENCED ((uintptr_t)16)
#define ASPEN_SHADOW_TAG_SHIFT  5
#define ASPEN_SHADOW_SHIFT      11

static inline bool
aspen_is_shadow(const void *entry)
{
    return ((uintptr_t)entry & (ASPEN_SHADOW_BIT | ASPEN_SHADOW_SWAPPED)) ==
           ASPEN_SHADOW_BIT;
}

static inline void *
aspen_shadow_at(uint64_t clock, uint32_t tag, bool referenced)
{
    return (void *)((uintptr_t)clock << ASPEN_SHADOW_SHIFT |
                    (uintptr_t)tag << ASPEN_SHADOW_TAG_SHIFT |
                    ASPEN_SHADOW_BIT |
                    (referenced ? ASPEN_SHADOW_REFERENCED : 0));
}

static inline bool
aspen_shadow_referenced(const void *shadow)
{
    return (uintptr_t)shadow & ASPEN_SHADOW_REFERENCED;
}

static inline uint32_t
aspen_shadow_tag(const void *shadow)
{
    return (uint32_t)((uintptr_t)shadow >> ASPEN_SHADOW_TAG_SHIFT) %
           ASPEN_LRU_TAGS;
}

/* Pages that have left since the shadow's page, of its lists. */
static inline uint64_t
aspen_shadow_age(const struct aspen *aspen, const void *shadow)
{
    uint64_t clock = aspen_lru_clock(aspen, aspen_shadow_tag(shadow));

    return ((uintptr_t)clock - ((uintptr_t)shadow >> ASPEN_SHADOW_SHIFT)) &
           UINTPTR_MAX >> ASPEN_SHADOW_SHIFT;
}

ASPEN_STATIC_ASSERT(ASPEN_LRU_TAGS <=
                        1 << (ASPEN_SHADOW_SHIFT - ASPEN_SHADOW_TAG_SHIFT),
                    "a shadow has room for a tag");

/* Of an object: one more, one less. The cache's lock is held. */
void aspen_shadow_count(struct aspen_object *object);
void aspen_shadow_uncount(struct aspen_object *object);

/* The entry at `offset` alone, if there is one, becomes another, without
 * memory; a shadow or a slot is uncounted. The cache's lock is held. */
void aspen_pages_replace(struct aspen_object *object, uint64_t offset,
                         void *entry);

/* Nobody finds the object any more, and its tree is gone. */
void aspen_shadows_forget_all(struct aspen_object *object);

#endif
