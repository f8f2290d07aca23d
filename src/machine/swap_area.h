/* SPDX-License-Identifier: MIT */
/*
 * machine/swap_area.h - one swap area and its slots, for the files of the swap
 * map: swap_area.c, swap_map.c, swap_cache.c.
 */
#ifndef ASPEN_MACHINE_SWAP_AREA_H
#define ASPEN_MACHINE_SWAP_AREA_H

#include "machine/swap_map.h"

#define ASPEN_SWAP_BLOCK_BYTES   (ASPEN_SWAP_BLOCK_SLOTS * sizeof(uint32_t))
#define ASPEN_SWAP_CLUSTER_SLOTS 64u

/* The area with this slot, locked, or NULL: there is none. */
static inline struct aspen_swap_area *
aspen_swap_lock(struct aspen *aspen, unsigned type, uint32_t slot)
{
    if (type >= ASPEN_SWAP_AREAS)
        return NULL;
    struct aspen_swap_area *area = &aspen->swap[type];
    aspen_spin_lock(&area->lock, ASPEN_LOCK_SWAP_MAP);
    if (slot < aspen_load(&area->slots))
        return area;
    aspen_spin_unlock(&area->lock);
    return NULL;
}

static inline void
aspen_swap_unlock(struct aspen_swap_area *area)
{
    aspen_spin_unlock(&area->lock);
}

static inline uint32_t
aspen_swap_blocks(uint32_t slots)
{
    return slots / ASPEN_SWAP_BLOCK_SLOTS +
           (slots % ASPEN_SWAP_BLOCK_SLOTS != 0);
}

/* ---- One slot; the area's lock is held --------------------------------- */

static inline bool
aspen_swap_is_spoilt(const struct aspen_swap_area *area, uint32_t slot)
{
    return area->counts[slot] & ASPEN_SWAP_SPOILT;
}

/* Of its byte. */
static inline uint8_t
aspen_swap_count(const struct aspen_swap_area *area, uint32_t slot)
{
    return area->counts[slot] & (uint8_t)~ASPEN_SWAP_SPOILT;
}

/* The slot's counter, or NULL when its block has no continuation. */
static inline uint32_t *
aspen_swap_counter(const struct aspen_swap_area *area, uint32_t slot)
{
    uint32_t *counters = area->continuations[slot / ASPEN_SWAP_BLOCK_SLOTS];
    return counters ? &counters[slot % ASPEN_SWAP_BLOCK_SLOTS] : NULL;
}

static inline uint64_t
aspen_swap_references_in(const struct aspen_swap_area *area, uint32_t slot)
{
    const uint32_t *counter = aspen_swap_counter(area, slot);
    uint64_t continued = counter ? *counter : 0;
    return aspen_swap_count(area, slot) + continued * ASPEN_SWAP_CONTINUED;
}

/* The slot's page in memory, or 0. */
static inline uint32_t
aspen_swap_page_in(const struct aspen_swap_area *area, uint32_t slot)
{
    uint32_t page = area->pages ? area->pages[slot] : 0;

    return page & ASPEN_SWAP_SHADOW ? 0 : page;
}

/* Who is charged with the slot, or NULL. */
static inline struct aspen_group *
aspen_swap_group_in(const struct aspen_swap_area *area, uint32_t slot)
{
    return area->groups ? area->groups[slot] : NULL;
}

/* ---- swap_map.c, swap_cache.c ------------------------------------------ */

/* One reference more; the first one takes the slot. 0 or -ASPEN_EAGAIN. */
ASPEN_MUST_USE int aspen_swap_add_reference(struct aspen_swap_area *area,
                                            uint32_t slot);

/* The slot, which has no page, leads to this one, and has a reference of it. */
void aspen_swap_put_page(struct aspen *aspen, struct aspen_swap_area *area,
                         unsigned type, uint32_t slot, uint32_t frame);

/* The slot leads to its page, if there is one, no more: returns it, or 0. The
 * slot's reference is the caller's, to put. */
uint32_t aspen_swap_take_page(struct aspen *aspen, struct aspen_swap_area *area,
                              uint32_t slot);

#endif
