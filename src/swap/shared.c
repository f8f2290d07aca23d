/* SPDX-License-Identifier: MIT */
/*
 * swap/shared.c - pages of shared memory go to slots, and come back.
 *
 *     page cache   [page]        [page]         [slot]        [slot]
 *     swap cache            slot--^        slot--> page        slot
 *                  mapped by   in both,      written, as      on the
 *                  nobody      locked        out.c does       device
 *
 * and the same way back: read into the swap cache (in.c), then into the page
 * cache, where whoever needs it finds it.
 *
 * I1  A page is in both caches for as long as it is locked. It enters the
 *     second before it leaves the first, so that whoever finds one of both
 *     waits for it, and nobody reads a slot that was not written yet.
 * I2  Leaving it is nobody else's: who finds it in the page cache holds it,
 *     and then it stays.
 * I3  A page that is back is DIRTY, and its slot free: nothing else has what it
 *     holds.
 *
 * Called by reclaim, faults, and who reads an object. The first test to break
 * is tests/unit/swap/test_shared.c.
 */
#include "swap/swap.h"

#include "frames/pins.h"
#include "machine/pressure.h"
#include "object/page_cache.h"

/* ---- Out --------------------------------------------------------------- */

/* It is in both caches, with a reference of the slot for each of us. */
static int
leave(struct aspen_swap_batch *batch, struct aspen_object *object,
      uint64_t offset, const struct aspen_swap_leaving *page)
{
    struct aspen *aspen = batch->aspen;

    int error = aspen_swap_duplicate(aspen, page->type, page->slot);
    ASPEN_ASSERT(!error); /* the slot is new */
    if (aspen_object_page_to_slot(object, offset, page->frame, page->type,
                                  page->slot)) {
        batch->pages[batch->count++] = *page;
        return 0;
    }
    aspen_swap_free(aspen, page->type, page->slot);
    aspen_swap_free(aspen, page->type, page->slot);
    return -ASPEN_EBUSY;
}

int
aspen_swap_out_shared(struct aspen_swap_batch *batch,
                      struct aspen_object *object, uint64_t offset,
                      uint32_t frame)
{
    struct aspen_swap_leaving page = {.frame = frame};
    struct aspen *aspen = batch->aspen;
    int error = 0;

    if (batch->count == ASPEN_SWAP_IO_PAGES)
        error = -ASPEN_ENOSPC;
    else if (aspen_frame_map_count(aspen_frame_at(aspen, frame)) > 0 ||
             aspen_frame_pins(aspen, frame) > 0)
        error = -ASPEN_EBUSY;
    if (!error)
        error = aspen_swap_alloc(aspen, frame, &page.type, &page.slot);
    if (!error)
        error = leave(batch, object, offset, &page);
    if (error)
        aspen_take_flush(&batch->take); /* it is unlocked now */
    return error;
}

/* ---- In ---------------------------------------------------------------- */

/* The first of them, and what stands in a row with it. */
static uint64_t
wanted_of(const uint32_t *slots, unsigned count)
{
    const int64_t near = ASPEN_SWAP_BESIDE;
    uint64_t wanted = 0;

    for (unsigned i = 1; i < count; i++) {
        int64_t n = (int64_t)slots[i] - (int64_t)slots[0];
        if (n > -near && n < near)
            wanted |= (uint64_t)1 << (near + n);
    }
    return wanted;
}

/* I1, I3. The page is held. If it is another's by now, or has moved, nothing
 * is done: the caller looks again. */
static void
move_to_page_cache(struct aspen_object *object, uint64_t offset, uint32_t frame,
                   unsigned type, uint32_t slot)
{
    struct aspen *aspen = object->aspen;
    struct aspen_frame *page = aspen_frame_at(aspen, frame);

    aspen_read_lock(&object->size_lock, ASPEN_LOCK_OBJECT_SIZE);
    aspen_frame_lock(page);
    if (aspen_object_page_from_slot(object, offset, frame, type, slot)) {
        if (aspen_swap_ahead_take(aspen, frame))
            aspen_fetch_add_relaxed(&aspen->swap_ra_hit, 1);
        aspen_swap_cache_drop(aspen, type, slot, frame);
        aspen_swap_free(aspen, type, slot);
    }
    aspen_frame_unlock(page);
    aspen_read_unlock(&object->size_lock);
}

/* The slot of the page and of those that are worth reading with it: how many,
 * 0 if it is not in swap. */
static unsigned
slots_from(struct aspen_object *object, uint64_t offset, enum aspen_ahead ahead,
           unsigned *type, uint32_t slots[ASPEN_AHEAD_MAX])
{
    if (!aspen_object_find_swapped(object, offset, type, &slots[0]))
        return 0;
    if (aspen_swap_is_cached(object->aspen, *type, slots[0]))
        return 1; /* it was worth it */
    return aspen_object_find_swapped_run(object, offset, ahead, type, slots);
}

int
aspen_swap_back_shared(struct aspen_object *object, uint64_t offset,
                       enum aspen_ahead ahead, struct aspen_payer *payer)
{
    struct aspen *aspen = object->aspen;
    uint32_t slots[ASPEN_AHEAD_MAX];
    uint32_t frame;
    unsigned type;

    unsigned count = slots_from(object, offset, ahead, &type, slots);
    if (!count)
        return 0;
    struct aspen_group *stalled = aspen_stall_begin(aspen, payer);
    int error =
        aspen_swap_read(aspen, payer, aspen_entry_make_swap(type, slots[0]),
                        wanted_of(slots, count), &frame);
    aspen_stall_end(aspen, stalled);
    if (error || frame == ASPEN_NO_FRAME)
        return error;
    move_to_page_cache(object, offset, frame, type, slots[0]);
    aspen_frame_put(aspen, frame);
    return 0;
}

int
aspen_swap_get_page(struct aspen_object *object, uint64_t offset,
                    enum aspen_ahead ahead, struct aspen_payer *payer,
                    bool *waited, uint32_t *frame)
{
    int error;

    do {
        error =
            aspen_object_get_page_ahead(object, offset, ahead, payer, frame);
        if (error != ASPEN_OBJECT_IN_SWAP)
            return error;
        if (waited)
            *waited = true;
        error = aspen_swap_back_shared(object, offset, ahead, payer);
        if (!error)
            error = aspen_poll_fatal(object->aspen);
    } while (!error);
    return error;
}

void
aspen_swap_read_shared(struct aspen_object *object, uint64_t first,
                       uint64_t pages, struct aspen_payer *payer)
{
    struct aspen *aspen = object->aspen;
    uint32_t slots[ASPEN_AHEAD_MAX];
    unsigned type;
    int error = 0;

    for (uint64_t at = first;
         !error && aspen_object_next_swapped(object, &at, first + pages - 1);
         at++) {
        unsigned count = slots_from(object, at, ASPEN_AHEAD_MOST, &type, slots);
        if (!count || aspen_swap_is_cached(aspen, type, slots[0]))
            continue;
        error = aspen_swap_read_ahead(aspen, payer,
                                      aspen_entry_make_swap(type, slots[0]),
                                      wanted_of(slots, count));
        if (!error)
            error = aspen_poll_fatal(aspen);
    }
}
