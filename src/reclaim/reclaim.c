/* SPDX-License-Identifier: MIT */
/*
 * reclaim/reclaim.c - pages leave memory: those of files here, anonymous ones
 * in anon.c.
 *
 *     list: the oldest, held        policy: choose
 *        |  page's lock, tried
 *        |  locked, pinned, dirty for ever  ---> UNEVICTABLE
 *        |  accessed since the last look?        age.c
 *        |  policy: judge  -----------> stays, active or inactive
 *        |  taken out of all mappings, and flushed
 *        |  dirty   -----------> stays; without locks it and its neighbours are
 *        v                       written, and can leave at the next look
 *     nobody else holds it: a shadow stays
 *
 * I1  Who finds a page that is about to leave holds it, in which case it stays,
 *     or finds a shadow. (The cache's lock is held for the last look.)
 * I2  What an entry knows of writes is the frame's once it is flushed; only
 *     then is the page looked at for the last time.
 * I3  The object stays: a reference was taken while the page was its own. It is
 *     given back when the page's lock is. It may be the last one, so no page is
 *     locked then: those that go to swap, locked until they are written, come
 *     after all pages of objects.
 *
 * I4  Nobody waits for who writes: of an object that is being written no second
 *     round begins.
 *
 * Called by the embedder, tick.c, direct.c and madvise. The first test to break
 * is tests/unit/reclaim/test_reclaim.c.
 */
#include "reclaim/reclaim.h"

#include "frames/pins.h"
#include "frames/policy.h"
#include "object/page_cache.h"
#include "reclaim/age.h"
#include "reclaim/anon.h"
#include "reclaim/trim.h"

/* A page that is active becomes inactive, referenced, and leaves at the fourth
 * look, unless it is accessed. */
#define LOOKS_A_PAGE 4

struct reclaim {
    struct aspen *aspen;
    const struct aspen_policy *policy; /* NULL: those that are named leave */
    struct aspen_swap_batch swap;
    uint64_t freed;
    uint64_t looked;
    /* A dirty page that should leave, of these: an object with a reference, or
     * NULL. */
    struct aspen_object *dirty;
    uint64_t dirty_offset;
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

/* The caller has a reference. */
static void
note_dirty(struct reclaim *reclaim, struct aspen_object *object,
           uint64_t offset)
{
    if (reclaim->dirty)
        return;
    aspen_object_get(object);
    reclaim->dirty = object;
    reclaim->dirty_offset = offset;
}

/* It should leave. */
static void
evict(struct reclaim *reclaim, struct aspen_object *object, uint64_t offset,
      uint32_t number)
{
    struct aspen_frame *frame = aspen_frame_at(reclaim->aspen, number);

    if (!(aspen_load(&frame->index) & ASPEN_FRAME_DIRTY) &&
        aspen_frame_map_count(frame) > 0)
        aspen_object_unmap_pages(object, offset, offset, ASPEN_ZAP_UNLOCKED);
    if (aspen_load(&frame->index) & ASPEN_FRAME_DIRTY)
        note_dirty(reclaim, object, offset);
    else
        reclaim->freed += aspen_object_evict_page(object, offset, number);
}

/* The page is locked and held. */
static void
look_at(struct reclaim *reclaim, struct aspen_object *object, uint32_t number)
{
    struct aspen *aspen = reclaim->aspen;
    struct aspen_frame *frame = aspen_frame_at(aspen, number);
    uint64_t offset = aspen_frame_offset(frame);

    if (!aspen_object_owns(object, frame, offset))
        return; /* it has left, or is cut off */
    struct aspen_age age = aspen_page_age(object, offset, number);
    bool stuck = is_unevictable(object, frame, age);
    if (aspen_policy_look(aspen, reclaim->policy, number, stuck, age.accessed))
        evict(reclaim, object, offset, number);
}

/* The page is held. False: it is no object's. */
static bool
try_object_page(struct reclaim *reclaim, uint32_t number)
{
    struct aspen_frame *frame = aspen_frame_at(reclaim->aspen, number);
    struct aspen_object *object = aspen_object_of_frame(frame);

    if (!object)
        return false;
    if (aspen_frame_trylock(frame)) {
        look_at(reclaim, object, number);
        aspen_frame_unlock(frame);
    }
    aspen_object_put(object); /* I3 */
    return true;
}

/* ---- Many -------------------------------------------------------------- */

/* A dirty page, and its neighbours with it: no lock is held. How many. */
static uint64_t
write_around(struct reclaim *reclaim, struct aspen_object *object,
             uint64_t offset)
{
    uint64_t written = aspen_object_write_cluster(object, offset);

    aspen_fetch_add_relaxed(&reclaim->aspen->lru.written, written);
    return written;
}

/* No page is held any more. */
static void
write_dirty(struct reclaim *reclaim)
{
    struct aspen_object *object = reclaim->dirty;

    if (!object)
        return;
    reclaim->dirty = NULL;
    (void)write_around(reclaim, object, reclaim->dirty_offset);
    aspen_object_put(object);
}

static void
try_pages(struct reclaim *reclaim, const uint32_t *frames, unsigned count)
{
    uint32_t rest[ASPEN_RECLAIM_BATCH];
    unsigned rest_count = 0;

    reclaim->looked += count;
    for (unsigned i = 0; i < count; i++)
        if (try_object_page(reclaim, frames[i]))
            aspen_frame_put(reclaim->aspen, frames[i]);
        else
            rest[rest_count++] = frames[i];
    for (unsigned i = 0; i < rest_count; i++) /* I3 */
        if (!aspen_anon_look(&reclaim->swap, reclaim->policy, rest[i],
                             &reclaim->freed))
            aspen_frame_put(reclaim->aspen, rest[i]);
    reclaim->freed += aspen_swap_out_end(&reclaim->swap);
    write_dirty(reclaim);
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
look_again(struct reclaim *reclaim)
{
    uint32_t frames[ASPEN_RECLAIM_BATCH];

    try_pages(reclaim, frames,
              aspen_lru_take(reclaim->aspen, ASPEN_LRU_UNEVICTABLE_LIST, frames,
                             ASPEN_RECLAIM_BATCH));
}

/* Pages that may leave. Where only files have any, some of those stay. */
static uint64_t
spare(const struct aspen *aspen)
{
    uint64_t pages = aspen_lru_evictable(&aspen->lru);

    return aspen_lru_evictable_anon(&aspen->lru)
               ? pages
               : pages - aspen_min_u64(pages, aspen->config.file_pages_min);
}

/* By the policy, until `pages` have left or each was looked at often enough. */
static void
look_at_lists(struct reclaim *reclaim, uint64_t pages)
{
    struct aspen *aspen = reclaim->aspen;
    uint64_t looks = LOOKS_A_PAGE * aspen_lru_evictable(&aspen->lru);
    uint32_t frames[ASPEN_RECLAIM_BATCH];
    unsigned count = 1;

    pages = aspen_min_u64(pages, reclaim->freed + spare(aspen));
    while (count && reclaim->freed < pages && looks) {
        uint64_t most = aspen_min_u64(looks, pages - reclaim->freed);
        count = reclaim->policy->choose(
            aspen, frames, (unsigned)aspen_min_u64(most, batch(aspen)));
        try_pages(reclaim, frames, count);
        looks -= count;
    }
}

static void
begin(struct reclaim *reclaim)
{
    aspen_lock_order_assert_outside(ASPEN_LOCK_MM);
    aspen_fetch_add(&reclaim->aspen->lru.begun, 1u);
}

static void
end(struct reclaim *reclaim, enum aspen_reclaimer who)
{
    struct aspen_lru *lru = &reclaim->aspen->lru;

    aspen_fetch_add(&lru->ended, 1u);
    aspen_port_wake_all(&lru->ended); /* direct.c waits */
    aspen_fetch_add_relaxed(&lru->looked[who], reclaim->looked);
    aspen_fetch_add_relaxed(&lru->left[who], reclaim->freed);
    aspen_shadows_trim(reclaim->aspen);
}

uint64_t
aspen_reclaim_by(struct aspen *aspen, uint64_t pages, enum aspen_reclaimer who)
{
    struct reclaim reclaim = {
        .aspen = aspen,
        .policy = aspen_policy_of(aspen),
        .swap = {.aspen = aspen},
    };

    begin(&reclaim);
    look_at_lists(&reclaim, pages);
    if (reclaim.freed < pages)
        look_again(&reclaim);
    if (!reclaim.freed)
        look_at_lists(&reclaim, pages); /* those that can leave again */
    end(&reclaim, who);
    return reclaim.freed;
}

/* The dirty ones of files. Where nothing could be written it is over. */
static void
write_first(struct reclaim *reclaim, const uint32_t *frames, unsigned count)
{
    bool written = true;

    for (unsigned i = 0; i < count && written; i++) {
        struct aspen_frame *frame = aspen_frame_at(reclaim->aspen, frames[i]);
        struct aspen_object *object = aspen_object_of_frame(frame);
        if (!object)
            continue;
        if (aspen_load(&frame->index) & ASPEN_FRAME_DIRTY)
            written = write_around(reclaim, object, aspen_frame_offset(frame));
        aspen_object_put(object);
    }
}

void
aspen_reclaim_pages(struct aspen *aspen, const uint32_t *frames, unsigned count)
{
    struct reclaim reclaim = {.aspen = aspen, .swap = {.aspen = aspen}};

    begin(&reclaim);
    write_first(&reclaim, frames, count);
    try_pages(&reclaim, frames, count);
    end(&reclaim, ASPEN_RECLAIM_ASKED);
}

uint64_t
aspen_reclaim(struct aspen *aspen, uint64_t pages)
{
    return aspen_reclaim_by(aspen, pages, ASPEN_RECLAIM_ASKED);
}
