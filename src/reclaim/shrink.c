/* SPDX-License-Identifier: MIT */
/*
 * reclaim/shrink.c - pages of files leave memory.
 *
 *     list: the oldest, held        policy: choose
 *        |  page's lock, tried
 *        |  locked, pinned, dirty for ever  ---> UNEVICTABLE
 *        |  accessed since the last look?        age.c
 *        |  policy: judge  -----------> stays, active or inactive
 *        |  taken out of all mappings, and flushed
 *        v  nobody else holds it, and it is clean
 *     a shadow stays
 *
 * I1  Who finds a page that is about to leave holds it, in which case it stays,
 *     or finds a shadow. (The cache's lock is held for the last look.)
 * I2  What an entry knows of writes is the frame's once it is flushed; only
 *     then is the page looked at for the last time.
 * I3  The object stays: a reference was taken while the page was its own. It is
 *     given back when the page's lock is.
 *
 * Called by reclaim.c and direct.c. The first test to break is
 * tests/unit/reclaim/test_reclaim.c.
 */
#include "reclaim/shrink.h"

#include "frames/pins.h"
#include "object/shadow.h"
#include "reclaim/age.h"

/* A page that is active becomes inactive, referenced, and leaves at the fourth
 * look, unless it is accessed. */
#define LOOKS_A_PAGE 4

struct shrink {
    struct aspen *aspen;
    const struct aspen_policy *policy;
    uint64_t freed;
};

/* ---- One page ---------------------------------------------------------- */

/* Whoever says so, it cannot leave now. */
static bool
is_unevictable(const struct aspen_object *object,
               const struct aspen_frame *frame, struct aspen_age age)
{
    struct aspen *aspen = object->aspen;
    bool dirty = aspen_load(&frame->index) & ASPEN_FRAME_DIRTY;

    return age.locked || (dirty && !object->pager->write) ||
           aspen_frame_pins(aspen, aspen_frame_number(aspen, frame)) > 0;
}

/* It should leave. */
static void
evict(struct shrink *shrink, struct aspen_object *object, uint64_t offset,
      uint32_t number)
{
    struct aspen_frame *frame = aspen_frame_at(shrink->aspen, number);

    if (aspen_load(&frame->index) & ASPEN_FRAME_DIRTY)
        return;
    if (aspen_frame_map_count(frame) > 0)
        aspen_object_unmap_pages(object, offset, offset, ASPEN_ZAP_UNLOCKED);
    shrink->freed += aspen_object_evict_page(object, offset, number);
}

/* The page is locked and held. */
static void
look_at(struct shrink *shrink, struct aspen_object *object, uint32_t number)
{
    struct aspen *aspen = shrink->aspen;
    struct aspen_frame *frame = aspen_frame_at(aspen, number);
    uint64_t offset = aspen_frame_offset(frame);

    if (!aspen_object_owns(object, frame, offset))
        return; /* it has left, or is cut off */
    struct aspen_age age = aspen_page_age(object, offset, number);
    enum aspen_lru_state old = aspen_lru_state(frame);
    enum aspen_lru_state state = old;
    bool leaves = false;

    if (is_unevictable(object, frame, age))
        state = ASPEN_LRU_UNEVICTABLE;
    else if (old == ASPEN_LRU_UNEVICTABLE)
        state = ASPEN_LRU_INACTIVE;
    else
        leaves = shrink->policy->judge(&state, age.accessed);
    if (state != old)
        aspen_lru_move(aspen, number, state);
    if (leaves)
        evict(shrink, object, offset, number);
}

/* The page is held. */
static void
try_page(struct shrink *shrink, uint32_t number)
{
    struct aspen_frame *frame = aspen_frame_at(shrink->aspen, number);
    struct aspen_object *object = aspen_object_of_frame(frame);

    if (!object)
        return;
    if (aspen_frame_trylock(frame)) {
        look_at(shrink, object, number);
        aspen_frame_unlock(frame);
    }
    aspen_object_put(object); /* I3 */
}

/* ---- Many -------------------------------------------------------------- */

static void
try_pages(struct shrink *shrink, const uint32_t *frames, unsigned count)
{
    aspen_fetch_add_relaxed(&shrink->aspen->lru.looked, count);
    for (unsigned i = 0; i < count; i++) {
        try_page(shrink, frames[i]);
        aspen_frame_put(shrink->aspen, frames[i]);
    }
}

/* How many are held at a time: of a few pages fewer, since what is held here
 * cannot leave for somebody else. */
static unsigned
batch(const struct aspen *aspen)
{
    return (unsigned)aspen_min_u64(ASPEN_RECLAIM_BATCH,
                                   aspen_lru_evictable(&aspen->lru) / 16 + 1);
}

/* A few that could not leave: some can, by now. */
static void
look_again(struct shrink *shrink)
{
    uint32_t frames[ASPEN_RECLAIM_BATCH];

    try_pages(shrink, frames,
              aspen_lru_take(shrink->aspen, ASPEN_LRU_UNEVICTABLE_LIST, frames,
                             ASPEN_RECLAIM_BATCH));
}

uint64_t
aspen_shrink(struct aspen *aspen, uint64_t pages, uint64_t looks)
{
    struct shrink shrink = {.aspen = aspen, .policy = &aspen_policy_classic};
    uint32_t frames[ASPEN_RECLAIM_BATCH];
    unsigned count = 1;

    aspen_lock_order_assert_outside(ASPEN_LOCK_MM);
    aspen_fetch_add(&aspen->lru.begun, 1u);
    while (count && shrink.freed < pages && looks) {
        uint64_t most = aspen_min_u64(looks, pages - shrink.freed);
        count = shrink.policy->choose(
            aspen, frames, (unsigned)aspen_min_u64(most, batch(aspen)));
        try_pages(&shrink, frames, count);
        looks -= count;
    }
    if (shrink.freed < pages)
        look_again(&shrink);
    aspen_fetch_add(&aspen->lru.ended, 1u);
    aspen_shadows_trim(aspen);
    return shrink.freed;
}

uint64_t
aspen_shrink_some(struct aspen *aspen, uint64_t pages)
{
    return aspen_shrink(aspen, pages,
                        LOOKS_A_PAGE * aspen_lru_evictable(&aspen->lru));
}
