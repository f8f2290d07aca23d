/* SPDX-License-Identifier: MIT */
/*
 * swap/in.c - a page comes back from its slot, into the swap cache.
 *
 * I1  A page is in the cache, and locked, before it is read: who comes at the
 *     same time waits for it. When the lock is given back it is all there, or
 *     in the cache no more.
 *
 * I2  What could not be read leaves the cache, and nothing else changes: the
 *     entry stays, for whoever asks again. If no entry is left nobody needs it,
 *     and nobody is told.
 *
 * Called by fault/swap.c. The first test to break is
 * tests/unit/swap/test_swap.c.
 */
#include "swap/swap.h"

#include "frames/policy.h"

/* A new page for a slot that the caller holds, locked and in its cache: 0 and
 * *frame, -ASPEN_ENOMEM, -ASPEN_EOPNOTSUPP; -ASPEN_EEXIST: look again. */
static int
new_page(struct aspen *aspen, unsigned type, uint32_t slot, uint32_t *frame)
{
    int error = aspen_frame_alloc_from(aspen, 0, ASPEN_STEP_FRAME,
                                       ASPEN_FRAMES_ABOVE_MIN, frame);

    if (error)
        return error;
    struct aspen_frame *page = aspen_frame_at(aspen, *frame);
    aspen_frame_set(page, ASPEN_FRAME_ANON, NULL, 0, 0);
    aspen_frame_lock(page);
    error = aspen_swap_cache_add(aspen, type, slot, *frame);
    if (error) {
        aspen_frame_unlock(page);
        aspen_frame_put(aspen, *frame);
        return error;
    }
    aspen_policy_map_anon(aspen, *frame);
    return 0;
}

/* 0 and *frame, with a reference; -ASPEN_EEXIST: look again; an error. The
 * caller holds the slot, and does no more afterwards. */
static int
read_page(struct aspen *aspen, unsigned type, uint32_t slot, uint32_t *frame)
{
    int error = new_page(aspen, type, slot, frame);

    if (error) {
        aspen_swap_free(aspen, type, slot);
        return error;
    }
    error = aspen_swap_transfer(aspen, type, slot, frame, 1, false);
    if (error)
        aspen_swap_cache_drop(aspen, type, slot, *frame);
    if (error && aspen_swap_references(aspen, type, slot) == 1)
        error = -ASPEN_EEXIST; /* I2 */
    /* Who has the lock next may ask how many have the slot. */
    aspen_swap_free(aspen, type, slot);
    aspen_frame_unlock(aspen_frame_at(aspen, *frame));
    if (error)
        aspen_frame_put(aspen, *frame);
    return error;
}

int
aspen_swap_read(struct aspen *aspen, uint64_t entry, uint32_t *frame)
{
    unsigned type = aspen_entry_swap_type(entry);
    uint32_t slot = aspen_entry_swap_slot(entry);
    uint32_t found = aspen_swap_cache_find(aspen, type, slot);

    if (found != ASPEN_NO_FRAME) {
        struct aspen_frame *page = aspen_frame_at(aspen, found);
        aspen_frame_lock(page); /* until it is read, or written */
        aspen_frame_unlock(page);
        *frame = found;
        return 0;
    }
    *frame = ASPEN_NO_FRAME;
    int error = aspen_swap_hold(aspen, type, slot);
    if (error) /* EINVAL: it is free by now */
        return error == -ASPEN_EINVAL ? 0 : error;
    error = read_page(aspen, type, slot, &found);
    if (!error)
        *frame = found;
    return error == -ASPEN_EEXIST ? 0 : error;
}
