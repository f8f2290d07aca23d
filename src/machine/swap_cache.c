/* SPDX-License-Identifier: MIT */
/*
 * machine/swap_cache.c - from a slot to its page in memory, and back.
 *
 *     area->pages[slot] = frame      bank->slots[frame] = in use, type, slot
 *
 * A page that has left memory leaves a shadow there, as in the page cache of a
 * file (object/shadow.h), but in 31 bits:
 *
 *     area->pages[slot] = SHADOW | pages that had left, modulo 2^30
 *                                | REFERENCED
 *
 * So no shadows are kept where a frame might have a number of 32 bits.
 *
 * I1  Both change together, under the area's lock; the slot has references then
 *     and one reference of the frame is the cache's. swap/swap.h says what it
 *     is for, and which lock of the page is held.
 * I2  What leaves is DIRTY from then on: what the slot has will be gone, so the
 *     page itself is all there is, whatever its entries know of writes.
 *
 * Called by swap and by who gives slots back. The first test to break is
 * tests/unit/swap/test_swap.c.
 */
#include "machine/swap_area.h"

#include "frames/policy.h"

#define SHADOW_REFERENCED 1u
#define SHADOW_SHIFT      1
#define SHADOW_CLOCK      (((uint32_t)1 << 30) - 1)

#define SLOT_IN_USE     ((uint64_t)1 << 63)
#define SLOT_AHEAD      ((uint64_t)1 << 62)
#define SLOT_READING    ((uint64_t)1 << 61)
#define SLOT_BITS       (SLOT_IN_USE | SLOT_AHEAD | SLOT_READING)
#define SLOT_TYPE_SHIFT 32

/* The area's lock is held. */
static bool
leads_to(const struct aspen_swap_area *area, uint32_t slot, uint32_t frame)
{
    return area->pages && area->pages[slot] == frame;
}

uint32_t
aspen_swap_take_page(struct aspen *aspen, struct aspen_swap_area *area,
                     uint32_t slot)
{
    uint32_t frame = aspen_swap_page_in(area, slot);

    if (area->pages)
        area->pages[slot] = 0;
    if (frame) {
        /* I2, before it can be seen to be in no slot. */
        aspen_fetch_or(&aspen_frame_at(aspen, frame)->index, ASPEN_FRAME_DIRTY);
        aspen_bit_tree_clear(&area->cached, slot);
        aspen_store_relaxed(&area->cached_slots, area->cached_slots - 1);
        aspen_store(aspen_bank_slot(aspen, frame), (uint64_t)0);
    }
    return frame;
}

/* ---- Shadows ------------------------------------------------------------ */

/* The page has just left; its reference is the caller's still. */
static void
leave_shadow(struct aspen *aspen, struct aspen_swap_area *area, uint32_t slot,
             uint32_t frame)
{
    const struct aspen_group *group = aspen_swap_group_in(area, slot);
    uint64_t clock = aspen_lru_tick(aspen, aspen_lru_of(aspen, frame));
    bool referenced =
        aspen_lru_state(aspen_frame_at(aspen, frame)) == ASPEN_LRU_REFERENCED;

    if (group) /* whose it is when it comes back */
        clock = aspen_lru_clock(aspen, group->lru.tag);
    if (aspen->banks.end <= ASPEN_SWAP_SHADOW)
        area->pages[slot] = ASPEN_SWAP_SHADOW |
                            ((uint32_t)clock & SHADOW_CLOCK) << SHADOW_SHIFT |
                            (referenced ? SHADOW_REFERENCED : 0);
}

static struct aspen_swap_absence
absence_of(const struct aspen *aspen, const struct aspen_swap_area *area,
           uint32_t slot)
{
    struct aspen_swap_absence absence = {.away = ASPEN_NEVER_LEFT};
    const struct aspen_group *group = aspen_swap_group_in(area, slot);
    uint32_t clock =
        (uint32_t)aspen_lru_clock(aspen, group ? group->lru.tag : 0);
    uint32_t shadow = area->pages[slot];

    if (shadow & ASPEN_SWAP_SHADOW) {
        absence.away = (clock - (shadow >> SHADOW_SHIFT)) & SHADOW_CLOCK;
        absence.referenced = shadow & SHADOW_REFERENCED;
    }
    return absence;
}

/* ---- Pages -------------------------------------------------------------- */

bool
aspen_swap_slot_of(const struct aspen *aspen, uint32_t frame, unsigned *type,
                   uint32_t *slot)
{
    uint64_t value = aspen_load(&aspen->banks.slots)
                         ? aspen_load(aspen_bank_slot(aspen, frame))
                         : 0;

    *type = (unsigned)((value & ~SLOT_BITS) >> SLOT_TYPE_SHIFT);
    *slot = (uint32_t)value;
    return value & SLOT_IN_USE;
}

void
aspen_swap_put_page(struct aspen *aspen, struct aspen_swap_area *area,
                    unsigned type, uint32_t slot, uint32_t frame)
{
    aspen_frame_get(aspen_frame_at(aspen, frame));
    aspen_store(aspen_bank_slot(aspen, frame),
                SLOT_IN_USE | (uint64_t)type << SLOT_TYPE_SHIFT | slot);
    area->pages[slot] = frame;
    aspen_bit_tree_set(&area->cached, slot);
    aspen_store_relaxed(&area->cached_slots, area->cached_slots + 1);
}

int
aspen_swap_cache_add(struct aspen *aspen, unsigned type, uint32_t slot,
                     uint32_t frame, struct aspen_swap_absence *absence)
{
    struct aspen_swap_area *area = aspen_swap_lock(aspen, type, slot);
    int error = 0;

    if (!area)
        return -ASPEN_ENOENT;
    if (!area->pages)
        error = -ASPEN_EOPNOTSUPP;
    else if (aspen_swap_references_in(area, slot) == 0)
        error = -ASPEN_ENOENT;
    else if (aspen_swap_page_in(area, slot))
        error = -ASPEN_EEXIST;
    if (!error) {
        *absence = absence_of(aspen, area, slot);
        aspen_swap_put_page(aspen, area, type, slot, frame);
        aspen_fetch_or(aspen_bank_slot(aspen, frame), SLOT_READING);
    }
    aspen_swap_unlock(area);
    return error;
}

uint32_t
aspen_swap_cache_find(struct aspen *aspen, unsigned type, uint32_t slot)
{
    struct aspen_swap_area *area = aspen_swap_lock(aspen, type, slot);

    if (!area)
        return ASPEN_NO_FRAME;
    uint32_t frame = aspen_swap_page_in(area, slot);
    if (frame)
        aspen_frame_get(aspen_frame_at(aspen, frame));
    aspen_swap_unlock(area);
    return frame ? frame : ASPEN_NO_FRAME;
}

uint32_t
aspen_swap_cache_next(struct aspen *aspen, unsigned type, uint32_t *slot)
{
    struct aspen_swap_area *area = aspen_swap_lock(aspen, type, *slot);
    uint32_t frame = ASPEN_NO_FRAME;

    if (!area)
        return frame;
    uint64_t next = area->pages ? aspen_bit_tree_next(&area->cached, *slot)
                                : ASPEN_BIT_NONE;
    if (next != ASPEN_BIT_NONE) {
        *slot = (uint32_t)next;
        frame = area->pages[next];
        aspen_frame_get(aspen_frame_at(aspen, frame));
    }
    aspen_swap_unlock(area);
    return frame;
}

void
aspen_swap_cache_was_read(struct aspen *aspen, uint32_t frame)
{
    aspen_fetch_and(aspen_bank_slot(aspen, frame), ~SLOT_READING);
}

bool
aspen_swap_cache_has_read(struct aspen *aspen, unsigned type, uint32_t slot)
{
    struct aspen_swap_area *area = aspen_swap_lock(aspen, type, slot);

    if (!area)
        return false;
    uint32_t frame = aspen_swap_page_in(area, slot);
    bool has =
        frame && !(aspen_load(aspen_bank_slot(aspen, frame)) & SLOT_READING);
    aspen_swap_unlock(area);
    return has;
}

void
aspen_swap_ahead_set(struct aspen *aspen, uint32_t frame)
{
    aspen_fetch_or(aspen_bank_slot(aspen, frame), SLOT_AHEAD);
}

bool
aspen_swap_ahead_take(struct aspen *aspen, uint32_t frame)
{
    uint64_t *word = aspen_bank_slot(aspen, frame);

    return aspen_load_relaxed(word) & SLOT_AHEAD &&
           aspen_fetch_and(word, ~SLOT_AHEAD) & SLOT_AHEAD;
}

bool
aspen_swap_cache_has(struct aspen *aspen, unsigned type, uint32_t slot,
                     uint32_t frame)
{
    struct aspen_swap_area *area = aspen_swap_lock(aspen, type, slot);

    if (!area)
        return false;
    bool has = leads_to(area, slot, frame);
    aspen_swap_unlock(area);
    return has;
}

bool
aspen_swap_is_cached(struct aspen *aspen, unsigned type, uint32_t slot)
{
    uint32_t frame = aspen_swap_cache_find(aspen, type, slot);

    if (frame != ASPEN_NO_FRAME)
        aspen_frame_put(aspen, frame);
    return frame != ASPEN_NO_FRAME;
}

/* The page leaves the cache if nobody but the caller has it, or whoever. */
static bool
take(struct aspen *aspen, unsigned type, uint32_t slot, uint32_t frame,
     bool whoever_has_it)
{
    struct aspen_swap_area *area = aspen_swap_lock(aspen, type, slot);
    uint64_t counts = aspen_load(&aspen_frame_at(aspen, frame)->counts);

    if (!area)
        return false;
    /* Who finds it in the cache holds it, under this lock. */
    bool goes = leads_to(area, slot, frame) &&
                (whoever_has_it || counts == 2 * ASPEN_FRAME_REF);
    if (goes) {
        (void)aspen_swap_take_page(aspen, area, slot);
        if (!whoever_has_it)
            leave_shadow(aspen, area, slot, frame);
    }
    aspen_swap_unlock(area);
    if (goes)
        aspen_frame_put(aspen, frame);
    return goes;
}

bool
aspen_swap_cache_remove(struct aspen *aspen, unsigned type, uint32_t slot,
                        uint32_t frame)
{
    return take(aspen, type, slot, frame, false);
}

bool
aspen_swap_cache_drop(struct aspen *aspen, unsigned type, uint32_t slot,
                      uint32_t frame)
{
    return take(aspen, type, slot, frame, true);
}

bool
aspen_swap_cache_replace(struct aspen *aspen, unsigned type, uint32_t slot,
                         uint32_t old, uint32_t new)
{
    struct aspen_swap_area *area = aspen_swap_lock(aspen, type, slot);

    if (!area)
        return false;
    /* Who finds it in the cache holds it, under this lock. */
    bool goes = leads_to(area, slot, old) &&
                aspen_frame_is_held_by(aspen_frame_at(aspen, old), 2) &&
                !aspen_frame_copy(aspen, new, old);
    if (goes) {
        aspen_frame_get(aspen_frame_at(aspen, new));
        aspen_store(aspen_bank_slot(aspen, new),
                    aspen_load_relaxed(aspen_bank_slot(aspen, old)));
        aspen_store(aspen_bank_slot(aspen, old), (uint64_t)0);
        area->pages[slot] = new;
    }
    aspen_swap_unlock(area);
    if (goes)
        aspen_frame_put(aspen, old);
    return goes;
}
