/* SPDX-License-Identifier: MIT */
/*
 * migrate/isolate.c - free frames that nobody is to be given meanwhile, where
 * others are about to become free.
 *
 *     free        in the zone     32 zero bytes
 *     isolated    in nobody's     type KERNEL, one reference, owner: who
 *                 hands           isolated it
 *
 * I1  A frame that is isolated is as one that is allocated: whoever comes by
 * its number leaves it alone. Only who isolated it gives it back.
 *
 * Called by the other files of this layer. The first test to break is
 * tests/unit/migrate/test_compact.c.
 */
#include "migrate/migrate.h"

#include "frames/zone.h"

bool
aspen_frame_is_isolated(const struct aspen *aspen, const void *owner,
                        uint32_t number)
{
    const struct aspen_frame *frame = aspen_frame_at(aspen, number);

    return aspen_frame_type(frame) == ASPEN_FRAME_KERNEL &&
           aspen_load_relaxed(&frame->owner) == (uint64_t)(uintptr_t)owner;
}

/* It is all zero, and in no store of free ones. */
static void
mark(struct aspen *aspen, const void *owner, uint32_t number)
{
    struct aspen_frame *frame = aspen_frame_at(aspen, number);

    aspen_frame_set(frame, ASPEN_FRAME_KERNEL, owner, 0, 0);
    aspen_store(&frame->counts, ASPEN_FRAME_REF);
}

static void
unmark(struct aspen *aspen, uint32_t number)
{
    struct aspen_frame *frame = aspen_frame_at(aspen, number);

    aspen_store_relaxed(&frame->owner, (uint64_t)0);
    aspen_store_relaxed(&frame->index, (uint64_t)0);
    aspen_store(&frame->counts, (uint64_t)0);
}

/* Of one chunk, the frames of `mask` that are free: how many. */
static unsigned
isolate_in_chunk(struct aspen *aspen, const void *owner, uint32_t index,
                 uint64_t mask)
{
    unsigned count = 0;

    aspen_spin_lock(&aspen->zone.lock, ASPEN_LOCK_DEPOT);
    uint64_t taken = aspen_zone_take_mask_locked(&aspen->zone, index, mask);
    aspen_spin_unlock(&aspen->zone.lock);
    for (; taken; taken &= taken - 1, count++)
        mark(aspen, owner,
             index * ASPEN_CHUNK_FRAMES + aspen_lowest_bit(taken));
    return count;
}

uint32_t
aspen_frames_isolate(struct aspen *aspen, const void *owner, uint32_t first,
                     uint32_t pages)
{
    uint32_t count = 0;

    for (uint32_t at = first; at < first + pages;) {
        uint32_t bit = at % ASPEN_CHUNK_FRAMES;
        uint32_t n = (uint32_t)aspen_min_u64(ASPEN_CHUNK_FRAMES - bit,
                                             first + pages - at);
        uint64_t mask = UINT64_MAX >> (64 - n) << bit;
        count += isolate_in_chunk(aspen, owner, at / ASPEN_CHUNK_FRAMES, mask);
        at += n;
    }
    return count;
}

bool
aspen_frame_isolate_put(struct aspen *aspen, const void *owner, uint32_t frame)
{
    bool last = aspen_frame_put_and_take(aspen, frame);

    if (last)
        mark(aspen, owner, frame);
    return last;
}

void
aspen_frames_unisolate(struct aspen *aspen, const void *owner, uint32_t first,
                       uint32_t pages)
{
    for (uint32_t i = first; i < first + pages; i++)
        if (aspen_frame_is_isolated(aspen, owner, i)) {
            unmark(aspen, i);
            aspen_frame_give(aspen, i, 0);
        }
}

bool
aspen_frames_take_isolated(struct aspen *aspen, const void *owner,
                           uint32_t first, uint32_t pages)
{
    for (uint32_t i = first; i < first + pages; i++)
        if (!aspen_frame_is_isolated(aspen, owner, i))
            return false;
    for (uint32_t i = first; i < first + pages; i++)
        unmark(aspen, i);
    return true;
}
