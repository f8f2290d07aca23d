/* SPDX-License-Identifier: MIT */
/*
 * migrate/compact.c - where free frames are scattered, a block of them is made
 * free: what is in it goes elsewhere.
 *
 *     look     blocks from where the last call has ended: one with the fewest
 *              pages, all of which could go
 *     empty    its free frames are isolated, so that nothing comes there; then
 *              each page goes to a frame that the allocator gives, which takes
 *              from where most is used already
 *     give     the whole block, merged; or, if a page stays, frame by frame
 *
 * I1  The block is nobody's from when its last frame is isolated until it is
 *     given: so whoever asked gets it, and nobody else.
 * I2  Who isolates frames leaves others as many as the watermark `low` asks
 * for, and those that the pages go to. I3  A call ends: it looks at no frame
 * twice, and moves so many pages at the most.
 *
 * Called by the embedder. The first test to break is
 * tests/unit/migrate/test_compact.c.
 */
#include "migrate/migrate.h"

#include "frames/pins.h"
#include "frames/watermark.h"

#include <aspen/memory/compact.h>

#define LOOK_FRAMES (1u << 15) /* of one tick */
#define TICK_PAGES  128u       /* that it moves */
#define NO_BLOCK    UINT64_MAX

struct compact {
    struct aspen *aspen;
    unsigned order;
    uint64_t looks; /* frames that may be looked at still */
    uint64_t pages; /* that may be moved still */
};

static uint64_t
size_of(const struct compact *compact)
{
    return (uint64_t)1 << compact->order;
}

/* ---- Look --------------------------------------------------------------- */

enum in_use { FREE, MOVABLE, STAYS };

static enum in_use
use_of(struct aspen *aspen, uint32_t number)
{
    const struct aspen_frame *frame = aspen_frame_at(aspen, number);
    uint64_t index = aspen_load(&frame->index);

    switch ((enum aspen_frame_type)(index >> ASPEN_FRAME_TYPE_SHIFT)) {
    case ASPEN_FRAME_FREE:
        return FREE;
    case ASPEN_FRAME_ANON:
    case ASPEN_FRAME_OBJECT:
        return index & ASPEN_FRAME_HEAD || aspen_frame_pins(aspen, number) > 0
                   ? STAYS
                   : MOVABLE;
    default:
        return STAYS;
    }
}

/* How many pages would have to go; more than there are: it cannot be. */
static uint64_t
pages_in(const struct compact *compact, uint32_t first)
{
    const uint64_t size = size_of(compact);
    uint64_t pages = 0;

    if (aspen_frame_head(compact->aspen, first) != first)
        return size + 1;
    for (uint32_t i = 0; i < size; i++) {
        enum in_use use = use_of(compact->aspen, first + i);
        if (use == STAYS)
            return size + 1;
        pages += use == MOVABLE;
    }
    return pages;
}

/* The frame table has all of the block: of a section it has what is between two
 * frames that it has. */
static bool
exists(const struct aspen *aspen, uint64_t first, uint64_t size)
{
    const uint64_t end = first + size;
    uint64_t at = first;

    while (at < end && aspen_frame_exists(aspen, at)) {
        at = aspen_min_u64(aspen_align_down(at, ASPEN_SECTION_FRAMES) +
                               ASPEN_SECTION_FRAMES,
                           end);
        if (!aspen_frame_exists(aspen, at - 1))
            return false;
    }
    return at >= end;
}

/* I2. */
static bool
is_worth_it(const struct compact *compact, uint64_t pages)
{
    struct aspen *aspen = compact->aspen;
    uint64_t rest = aspen_load_relaxed(&aspen->zone.low) + size_of(compact);

    return pages <= compact->pages && aspen_watermark_free(aspen) >= rest;
}

/* The one with the fewest pages of those that may be looked at, or NO_BLOCK. */
static uint64_t
find_block(struct compact *compact)
{
    struct aspen *aspen = compact->aspen;
    const uint64_t size = size_of(compact);
    uint64_t at = aspen_align_down(aspen_load(&aspen->moves.compact_at), size);
    uint64_t least = size, best = NO_BLOCK;

    for (uint64_t window = aspen_max_u64(LOOK_FRAMES, size);
         compact->looks >= size && window >= size;
         window -= size, compact->looks -= size, at += size) {
        if (at + size > aspen->banks.end)
            at = 0;
        if (!exists(aspen, at, size))
            continue;
        uint64_t pages = pages_in(compact, (uint32_t)at);
        aspen_fetch_add_relaxed(&aspen->moves.compact_looked, size);
        if (pages < least && is_worth_it(compact, pages)) {
            least = pages;
            best = at;
        }
    }
    aspen_store(&aspen->moves.compact_at, at);
    return best;
}

/* ---- Empty -------------------------------------------------------------- */

/* The page goes, and its frame is isolated: 0, or an error. */
static int
empty_frame(struct compact *compact, uint32_t frame)
{
    struct aspen *aspen = compact->aspen;
    int error = aspen_move_find(aspen, frame);

    if (error)
        return error;
    error = aspen_move_page(aspen, frame);
    if (error) {
        aspen_frame_put(aspen, frame);
        return error;
    }
    compact->pages--;
    return aspen_frame_isolate_put(aspen, compact, frame) ? 0 : -ASPEN_EBUSY;
}

/* The block becomes nobody's, all of it: 0; or it stays as it is, but for pages
 * that have gone. */
static int
empty_block(struct compact *compact, uint32_t first)
{
    struct aspen *aspen = compact->aspen;
    const uint32_t size = (uint32_t)size_of(compact);
    int error = 0;

    (void)aspen_frames_isolate(aspen, compact, first, size);
    for (uint32_t i = first; !error && i < first + size; i++)
        if (!aspen_frame_is_isolated(aspen, compact, i) &&
            use_of(aspen, i) != MOVABLE)
            error = -ASPEN_EBUSY;
    for (uint32_t i = first; !error && i < first + size; i++)
        if (!aspen_frame_is_isolated(aspen, compact, i))
            error = compact->pages ? empty_frame(compact, i) : -ASPEN_EAGAIN;
    if (!error && !aspen_frames_take_isolated(aspen, compact, first, size))
        error = -ASPEN_EBUSY;
    if (error)
        aspen_frames_unisolate(aspen, compact, first, size);
    return error;
}

/* ---- The whole ---------------------------------------------------------- */

static bool
is_there(struct aspen *aspen, unsigned order)
{
    aspen_frames_drain(aspen);
    aspen_spin_lock(&aspen->zone.lock, ASPEN_LOCK_DEPOT);
    bool there = aspen->zone.lists_used >> order;
    aspen_spin_unlock(&aspen->zone.lock);
    return there;
}

/* A block that is nobody's: 0 and *first; -ASPEN_ENOMEM: for want of frames;
 * -ASPEN_EBUSY: none was found, as far as it might look. */
static int
make_block(struct compact *compact, uint32_t *first)
{
    struct aspen *aspen = compact->aspen;
    uint64_t block;
    int error = -ASPEN_EBUSY;

    aspen_frames_drain(aspen);
    while (error != -ASPEN_ENOMEM && compact->looks >= size_of(compact) &&
           compact->pages) {
        block = find_block(compact);
        if (block == NO_BLOCK)
            continue;
        error = empty_block(compact, (uint32_t)block);
        if (!error) {
            *first = (uint32_t)block;
            aspen_fetch_add_relaxed(&aspen->moves.compacted, 1);
            return 0;
        }
    }
    aspen_fetch_add_relaxed(&aspen->moves.compact_failed, 1);
    return error == -ASPEN_ENOMEM ? error : -ASPEN_EBUSY;
}

static int
compact_by(struct aspen *aspen, unsigned order, uint64_t looks, uint64_t pages)
{
    struct compact compact = {
        .aspen = aspen, .order = order, .looks = looks, .pages = pages};
    uint32_t first;

    if (order == 0 || order > ASPEN_ORDER_MAX)
        return -ASPEN_EINVAL;
    if (aspen_frames_refuse_contents(aspen))
        return -ASPEN_EOPNOTSUPP;
    aspen_lock_order_assert_outside(ASPEN_LOCK_MM);
    if (is_there(aspen, order))
        return 0;
    int error = make_block(&compact, &first);
    if (!error)
        aspen_frame_give(aspen, first, order);
    return error;
}

int
aspen_compact(struct aspen *aspen, unsigned order)
{
    /* All that there is, once; what is left of a block for another. */
    uint64_t end = aspen->banks.end + ((uint64_t)1 << (order & 31));

    return compact_by(aspen, order, end, UINT64_MAX);
}

bool
aspen_compact_tick(struct aspen *aspen, unsigned order)
{
    uint64_t at = aspen_load(&aspen->moves.compact_at);
    uint64_t looks = aspen_max_u64(LOOK_FRAMES, (uint64_t)1 << (order & 31));
    int error = compact_by(
        aspen, order, looks,
        aspen_max_u64(TICK_PAGES, ((uint64_t)1 << (order & 31)) / 2));

    /* A round is over when it begins from below again. */
    return error == -ASPEN_EBUSY && aspen_load(&aspen->moves.compact_at) > at;
}
