/* SPDX-License-Identifier: MIT */
/*
 * reclaim/reclaim.c - pages leave memory: those of objects here, anonymous ones
 * in anon.c.
 *
 *     list: the oldest, held        policy: choose
 *        |  page's lock, tried
 *        |  locked, pinned, dirty for ever  ---> UNEVICTABLE
 *        |  accessed since the last look?        age.c
 *        |  policy: judge  -----------> stays, active or inactive
 *        |  taken out of all mappings            rmap/take.c
 *     all of the batch: flushed
 *        |  dirty   -----------> stays; without locks it and its neighbours are
 *        v                       written, and can leave at the next look
 *     nobody else holds it: a shadow stays; of shared memory a swap slot, for
 *     which it leaves with the anonymous ones of the batch
 *
 * I1  Who finds a page that is about to leave holds it, in which case it stays,
 *     or finds a shadow. (The cache's lock is held for the last look.)
 * I2  What an entry knows of writes is the frame's once it is flushed; only
 *     then is the page looked at for the last time.
 * I3  The object stays: a reference was taken while the page was its own. It
 *     may be the last one, so it is given back when no page is locked any
 *     more: those that go to swap, locked until they are written, come after
 *     all pages of files, and before objects of shared memory are given back.
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
#include "group/group.h"
#include "machine/swap_reads.h"
#include "object/page_cache.h"
#include "reclaim/age.h"
#include "reclaim/anon.h"
#include "reclaim/lists.h"
#include "reclaim/trim.h"
#include "rmap/take.h"

/* A page that is active becomes inactive, referenced, and leaves at the fourth
 * look, unless it is accessed. */
#define LOOKS_A_PAGE 4

struct reclaim {
    struct aspen *aspen;
    struct aspen_group *root;          /* whose pages; NULL: all */
    const struct aspen_policy *policy; /* NULL: those that are named leave */
    /* Its `take` is that of files as well: they are flushed before pages go to
     * swap. */
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
    uint32_t number = aspen_frame_number(aspen, frame);
    bool dirty = aspen_load(&frame->index) & ASPEN_FRAME_DIRTY;
    bool homeless = aspen_object_may_swap(object)
                        ? !aspen_swap_has_room(aspen, number)
                        : dirty && !object->pager->write;

    return age.locked || homeless || aspen_frame_pins(aspen, number) > 0;
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

/* An entry goes, unless its memory is locked: looked at under the same lock as
 * mlock looks for what is there. */
static int
to_nothing(void *context, struct aspen_vma *vma, const struct aspen_slot *slot)
{
    struct aspen_frame *frame = context;

    if (aspen_vma_keeps(vma, frame))
        return 0;
    uint64_t entry =
        aspen_slot_clear_to_mark(slot->entry, aspen_load_relaxed(slot->entry));
    /* Until the flush the processor may write by what it has cached. */
    if (aspen_entry_bits(entry) & (ASPEN_ENTRY_DIRTY | ASPEN_ENTRY_WRITE))
        aspen_fetch_or(&frame->index, ASPEN_FRAME_DIRTY);
    aspen_fetch_sub(&frame->counts, ASPEN_FRAME_REF + ASPEN_FRAME_MAP);
    return 1;
}

/* Of shared memory, to swap: true if it does. */
static bool
leave_by_slot(struct reclaim *reclaim, struct aspen_object *object,
              uint64_t offset, uint32_t number)
{
    struct aspen_frame *frame = aspen_frame_at(reclaim->aspen, number);

    if (aspen_frame_map_count(frame) > 0)
        (void)!aspen_take_page(&reclaim->swap.take, reclaim->aspen, object,
                               number, to_nothing, frame);
    return !aspen_swap_out_shared(&reclaim->swap, object, offset, number);
}

/* The page is locked and held. Should it leave? Nobody maps it then, unless it
 * is dirty; of shared memory it is the batch's. */
static bool
look_at(struct reclaim *reclaim, struct aspen_object *object, uint32_t number)
{
    struct aspen *aspen = reclaim->aspen;
    struct aspen_frame *frame = aspen_frame_at(aspen, number);
    uint64_t offset = aspen_frame_offset(frame);

    if (!aspen_object_owns(object, frame, offset))
        return false; /* it has left, or is cut off */
    struct aspen_age age = aspen_page_age(object, offset, number);
    bool stuck = is_unevictable(object, frame, age);
    if (!aspen_policy_look(aspen, reclaim->policy, number, stuck, age.accessed))
        return false;
    if (aspen_object_may_swap(object))
        return leave_by_slot(reclaim, object, offset, number);
    if (!(aspen_load(&frame->index) & ASPEN_FRAME_DIRTY) &&
        aspen_frame_map_count(frame) > 0)
        (void)!aspen_take_page(&reclaim->swap.take, aspen, object, number,
                               to_nothing, frame);
    return true;
}

/* The page is held. True: it is locked, and leaves. */
static bool
try_object_page(struct reclaim *reclaim, struct aspen_object *object,
                uint32_t number)
{
    struct aspen_frame *frame = aspen_frame_at(reclaim->aspen, number);

    if (!aspen_frame_trylock(frame))
        return false;
    bool leaves = look_at(reclaim, object, number);
    if (!leaves)
        aspen_frame_unlock(frame);
    return leaves;
}

/* No TLB has it any more: I2. */
static void
evict(struct reclaim *reclaim, struct aspen_object *object, uint32_t number)
{
    struct aspen_frame *frame = aspen_frame_at(reclaim->aspen, number);
    uint64_t offset = aspen_frame_offset(frame);

    if (aspen_load(&frame->index) & ASPEN_FRAME_DIRTY)
        note_dirty(reclaim, object, offset);
    else
        reclaim->freed += aspen_object_evict_page(object, offset, number);
    aspen_frame_unlock(frame);
}

/* ---- Many -------------------------------------------------------------- */

/* A dirty page, and its neighbours with it: no lock is held. How many. */
static uint64_t
write_around(struct reclaim *reclaim, struct aspen_object *object,
             uint64_t offset)
{
    uint64_t written = aspen_object_write_cluster(object, offset);

    aspen_fetch_add_relaxed(&reclaim->aspen->leaving.written, written);
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

/* Objects that go with the batch, by bits: files, whose pages leave first, and
 * shared memory, whose pages leave with the anonymous ones, which have none. */
struct batch {
    struct aspen_object *objects[ASPEN_RECLAIM_BATCH];
    uint32_t files;
    uint32_t shared;
};

/* The last page of a row that shares its object's reference gives it back. */
static void
put_object(const struct batch *batch, unsigned i, unsigned count)
{
    struct aspen_object *object = batch->objects[i];

    if (i + 1 == count || batch->objects[i + 1] != object)
        aspen_object_put(object);
}

static void
try_files(struct reclaim *reclaim, const struct batch *batch,
          const uint32_t *frames, unsigned count)
{
    uint32_t leaving = 0; /* bit i: frames[i], which is locked */

    for (unsigned i = 0; i < count; i++)
        if (batch->files >> i & 1 &&
            try_object_page(reclaim, batch->objects[i], frames[i]))
            leaving |= (uint32_t)1 << i;
    aspen_take_flush(&reclaim->swap.take);
    for (unsigned i = 0; i < count; i++)
        if (leaving >> i & 1)
            evict(reclaim, batch->objects[i], frames[i]);
    for (unsigned i = 0; i < count; i++) /* I3 */
        if (batch->files >> i & 1) {
            put_object(batch, i, count);
            aspen_frame_put(reclaim->aspen, frames[i]);
        }
}

/* The page's object. If it is that of the page before, whose reference there is
 * already, they share it. */
static struct aspen_object *
object_of(struct aspen_frame *frame, struct aspen_object *before)
{
    bool same = before && aspen_frame_type(frame) == ASPEN_FRAME_OBJECT &&
                aspen_load(&frame->owner) == (uint64_t)(uintptr_t)before;

    return same ? before : aspen_object_of_frame(frame);
}

/* Does it leave with the batch? */
static bool
try_swap_page(struct reclaim *reclaim, struct aspen_object *shared,
              uint32_t number)
{
    return shared ? try_object_page(reclaim, shared, number)
                  : aspen_anon_look(&reclaim->swap, reclaim->policy, number);
}

static void
try_swap_pages(struct reclaim *reclaim, const struct batch *batch,
               const uint32_t *frames, unsigned count)
{
    for (unsigned i = 0; i < count; i++) /* I3 */
        if (!(batch->files >> i & 1) &&
            !try_swap_page(reclaim, batch->objects[i], frames[i]))
            aspen_frame_put(reclaim->aspen, frames[i]);
    reclaim->freed += aspen_swap_out_end(&reclaim->swap);
    for (unsigned i = 0; i < count; i++)
        if (batch->shared >> i & 1)
            put_object(batch, i, count);
}

static void
try_pages(struct reclaim *reclaim, const uint32_t *frames, unsigned count)
{
    struct aspen_object *object = NULL;
    struct batch batch = {.files = 0};

    reclaim->looked += count;
    for (unsigned i = 0; i < count; i++) {
        uint32_t bit = (uint32_t)1 << i;
        object = object_of(aspen_frame_at(reclaim->aspen, frames[i]), object);
        batch.objects[i] = object;
        batch.shared |= object && aspen_object_may_swap(object) ? bit : 0;
        batch.files |= object && !aspen_object_may_swap(object) ? bit : 0;
    }
    try_files(reclaim, &batch, frames, count);
    try_swap_pages(reclaim, &batch, frames, count);
    write_dirty(reclaim);
}

/* How many are held at a time: of a few pages fewer, since what is held here
 * cannot leave for somebody else. */
static unsigned
batch_of(const struct aspen_lru *lru)
{
    return (unsigned)aspen_min_u64(ASPEN_RECLAIM_BATCH,
                                   aspen_lru_evictable(lru) / 16 + 1);
}

/* A few that could not leave: some can, by now. What it has on the stack is for
 * the last looks alone. */
static ASPEN_NOINLINE void
look_again(struct reclaim *reclaim)
{
    uint32_t frames[ASPEN_RECLAIM_BATCH];
    struct aspen_lists lists;
    struct aspen_lru *lru;
    unsigned count = 0;

    aspen_lists_begin(&lists, reclaim->aspen, reclaim->root, true);
    while (count < ASPEN_RECLAIM_BATCH &&
           (lru = aspen_lists_next(&lists)) != NULL)
        count += aspen_lru_take(reclaim->aspen, lru, ASPEN_LRU_UNEVICTABLE_LIST,
                                frames + count, ASPEN_RECLAIM_BATCH - count);
    aspen_lists_end(&lists);
    try_pages(reclaim, frames, count);
}

/* By the policy, until `pages` have left or each was looked at often enough. */
static void
look_at_list(struct reclaim *reclaim, struct aspen_lru *lru, uint64_t pages)
{
    uint64_t looks = LOOKS_A_PAGE * aspen_lru_evictable(lru);
    uint64_t until = reclaim->freed + pages;
    uint32_t frames[ASPEN_RECLAIM_BATCH];
    unsigned count = 1;

    while (count && reclaim->freed < until && looks) {
        uint64_t most = aspen_min_u64(looks, until - reclaim->freed);
        count = reclaim->policy->choose(
            reclaim->aspen, lru, frames,
            (unsigned)aspen_min_u64(most, batch_of(lru)));
        try_pages(reclaim, frames, count);
        looks -= count;
    }
}

/* Pages that may leave. Where only files have any, some of those stay; a group
 * by itself does not ask for that. */
static uint64_t
spare(const struct reclaim *reclaim, bool low_goes, uint64_t *all)
{
    struct aspen *aspen = reclaim->aspen;

    *all = aspen_lists_spare_of_all(aspen, reclaim->root, low_goes);
    return reclaim->root || aspen_lists_have_anon(aspen)
               ? *all
               : *all - aspen_min_u64(*all, aspen->config.file_pages_min);
}

/* Each gives its part; then whoever has more. */
static void
look_at_lists(struct reclaim *reclaim, uint64_t pages, bool low_goes)
{
    struct aspen *aspen = reclaim->aspen;
    struct aspen_lists lists;
    struct aspen_lru *lru;
    uint64_t all;

    pages =
        aspen_min_u64(pages, reclaim->freed + spare(reclaim, low_goes, &all));
    for (unsigned round = !aspen_has_groups(aspen); round < 2; round++) {
        const uint64_t wanted = pages - aspen_min_u64(pages, reclaim->freed);
        aspen_lists_begin(&lists, aspen, reclaim->root, low_goes);
        while (reclaim->freed < pages &&
               (lru = aspen_lists_next(&lists)) != NULL) {
            uint64_t rest = pages - reclaim->freed;
            if (round == 0)
                rest =
                    aspen_min_u64(rest, aspen_lists_share(&lists, wanted, all));
            else if (aspen_has_groups(aspen))
                rest = aspen_min_u64(rest, aspen_lists_spare(&lists));
            if (rest)
                aspen_lists_note(&lists);
            look_at_list(reclaim, lru, rest);
        }
        aspen_lists_end(&lists);
    }
}

static void
begin(struct reclaim *reclaim)
{
    aspen_lock_order_assert_outside(ASPEN_LOCK_MM);
    aspen_swap_finish_all(reclaim->aspen); /* what nobody has come for */
    aspen_fetch_add(&reclaim->aspen->leaving.begun, 1u);
}

static void
end(struct reclaim *reclaim, enum aspen_reclaimer who)
{
    struct aspen_leaving *leaving = &reclaim->aspen->leaving;

    aspen_fetch_add(&leaving->ended, 1u);
    aspen_port_wake_all(&leaving->ended); /* direct.c waits */
    aspen_fetch_add_relaxed(&leaving->looked[who], reclaim->looked);
    aspen_fetch_add_relaxed(&leaving->left[who], reclaim->freed);
}

/* What a batch has on the stack is gone before shadows are trimmed. */
static ASPEN_NOINLINE uint64_t
reclaim_by(struct aspen *aspen, struct aspen_group *group, uint64_t pages,
           enum aspen_reclaimer who)
{
    struct reclaim reclaim = {
        .aspen = aspen,
        .root = group,
        .policy = aspen_policy_of(aspen),
        .swap = {.aspen = aspen},
    };

    begin(&reclaim);
    aspen_group_protect(aspen);
    look_at_lists(&reclaim, pages, false);
    if (reclaim.freed < pages)
        look_again(&reclaim);
    if (!reclaim.freed) /* those that can leave again */
        look_at_lists(&reclaim, pages, false);
    if (!reclaim.freed && aspen_load_relaxed(&aspen->groups.protects))
        look_at_lists(&reclaim, pages, true);
    end(&reclaim, who);
    return reclaim.freed;
}

uint64_t
aspen_reclaim_by(struct aspen *aspen, struct aspen_group *group, uint64_t pages,
                 enum aspen_reclaimer who)
{
    uint64_t freed = reclaim_by(aspen, group, pages, who);

    aspen_shadows_trim(aspen);
    return freed;
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

static ASPEN_NOINLINE void
reclaim_pages(struct aspen *aspen, const uint32_t *frames, unsigned count)
{
    struct reclaim reclaim = {.aspen = aspen, .swap = {.aspen = aspen}};

    begin(&reclaim);
    write_first(&reclaim, frames, count);
    try_pages(&reclaim, frames, count);
    end(&reclaim, ASPEN_RECLAIM_ASKED);
}

void
aspen_reclaim_pages(struct aspen *aspen, const uint32_t *frames, unsigned count)
{
    reclaim_pages(aspen, frames, count);
    aspen_shadows_trim(aspen);
}

uint64_t
aspen_reclaim(struct aspen *aspen, uint64_t pages)
{
    return aspen_reclaim_by(aspen, NULL, pages, ASPEN_RECLAIM_ASKED);
}
