/* SPDX-License-Identifier: MIT */
/*
 * swap/regroup.c - a space goes to another group, with all anonymous pages that
 * it alone has, in memory or in swap.
 *
 *     look       how many there are
 *     charge     the new group with as many: all of them, or it is refused
 *     go         each page under its lock, each slot under its area's
 *     end        what has gone is the old group's no more
 *
 * I1  Nothing comes meanwhile: no fault, no fork, no swap-in of this space,
 *     since the mmap lock and all VMAs are locked for writing. Pages go, by
 *     reclaim, which turns them into slots, neighbours of others' pages may be
 *     read ahead, and others may give up what they had, too: so there may be
 *     more slots, or more pages, than were counted, and they go as well,
 *     whatever the limits say.
 * I2  A page that is locked is waited for, without the table's lock: reclaim is
 *     about to take it, or to let it stay, or it is just being read.
 * I3  What others have, too, stays where it is: pages that another entry maps,
 *     or that are in the swap cache for one.
 *
 * Called by the embedder. The first test to break is
 * tests/unit/swap/test_regroup.c.
 */
#include "group/group.h"
#include "space/vma.h"
#include "swap/swap.h"

#include "frames/lru.h"
#include "machine/swap_reads.h"

struct regroup {
    struct aspen *aspen;
    struct aspen_mm *mm;
    struct aspen_group_transfer transfer;
    uint64_t pages; /* that have gone */
    uint64_t slots;
    bool goes; /* else it only counts */
};

/* ---- Pages --------------------------------------------------------------- */

static bool
is_own(const struct regroup *r, uint32_t number)
{
    const struct aspen_frame *page = aspen_frame_at(r->aspen, number);

    return aspen_frame_type(page) == ASPEN_FRAME_ANON &&
           aspen_frame_group(r->aspen, number) == r->transfer.from;
}

/* What was not counted is charged all the same: I1. */
static void
count_gone(struct regroup *r, uint64_t pages, uint64_t slots)
{
    struct aspen_group_transfer *t = &r->transfer;

    r->pages += pages;
    r->slots += slots;
    if (r->pages > t->pages)
        aspen_group_transfer_more(t, r->pages - t->pages, 0);
    if (r->slots > t->slots)
        aspen_group_transfer_more(t, 0, r->slots - t->slots);
}

/* It is locked. */
static void
page_goes(struct regroup *r, uint32_t number)
{
    count_gone(r, aspen_frame_size(r->aspen, number), 0);
    aspen_lru_regroup(r->aspen, number, r->transfer.to);
}

/* The table's lock is held, here and in what follows. NO_FRAME, or a page with
 * a reference that has to be waited for. */
static uint32_t
see_leaf(struct regroup *r, uint64_t entry)
{
    uint32_t number = (uint32_t)aspen_entry_frame(entry);
    struct aspen_frame *page;
    uint32_t slot;
    unsigned type;

    if (aspen_entry_bits(entry) & ASPEN_ENTRY_SPECIAL)
        return ASPEN_NO_FRAME;
    page = aspen_frame_at(r->aspen, number);
    if (!is_own(r, number) || aspen_frame_map_count(page) != 1)
        return ASPEN_NO_FRAME;
    if (!r->goes) {
        if (!aspen_swap_slot_of(r->aspen, number, &type, &slot)) /* I3 */
            r->transfer.pages += aspen_frame_size(r->aspen, number);
        return ASPEN_NO_FRAME;
    }
    if (!aspen_frame_trylock(page)) {
        aspen_frame_get(page);
        return number;
    }
    if (!aspen_swap_slot_of(r->aspen, number, &type, &slot)) /* I3 */
        page_goes(r, number);
    aspen_frame_unlock(page);
    return ASPEN_NO_FRAME;
}

/* ---- Slots --------------------------------------------------------------- */

/* Its page in memory is locked, or it has none: as aspen_swap_regroup(). */
static int
slot_goes(struct regroup *r, uint64_t entry, uint32_t frame)
{
    bool alone = entry & ASPEN_ENTRY_SWAP_EXCLUSIVE;
    int error = aspen_swap_regroup(r->aspen, aspen_entry_swap_type(entry),
                                   aspen_entry_swap_slot(entry), alone, frame,
                                   r->transfer.from, r->transfer.to);

    if (!error)
        count_gone(r, 0, 1);
    return error;
}

/* I3: a page in the cache that no entry maps is of who has the slot. */
static bool
is_of_slot(const struct regroup *r, uint32_t number)
{
    return is_own(r, number) &&
           aspen_frame_map_count(aspen_frame_at(r->aspen, number)) == 0;
}

/* With its page, whose reference is put: NO_FRAME and *error as that; or the
 * page, which has to be waited for. */
static uint32_t
see_cached(struct regroup *r, uint64_t entry, uint32_t number, int *error)
{
    struct aspen_frame *page = aspen_frame_at(r->aspen, number);

    if (!aspen_frame_trylock(page))
        return number;
    *error = slot_goes(r, entry, number);
    if (!*error && is_of_slot(r, number))
        page_goes(r, number);
    aspen_frame_unlock(page);
    aspen_frame_put(r->aspen, number);
    return ASPEN_NO_FRAME;
}

/* With its page, if it has one. */
static void
count_slot(struct regroup *r, uint64_t entry)
{
    unsigned type = aspen_entry_swap_type(entry);
    uint32_t slot = aspen_entry_swap_slot(entry);

    if (!aspen_swap_would_regroup(r->aspen, type, slot,
                                  entry & ASPEN_ENTRY_SWAP_EXCLUSIVE,
                                  r->transfer.from))
        return; /* I3 */
    r->transfer.slots++;
    uint32_t frame = aspen_swap_cache_find(r->aspen, type, slot);
    if (frame == ASPEN_NO_FRAME)
        return;
    r->transfer.pages += is_of_slot(r, frame);
    aspen_frame_put(r->aspen, frame);
}

static uint32_t
see_swap(struct regroup *r, uint64_t entry)
{
    unsigned type = aspen_entry_swap_type(entry);
    uint32_t slot = aspen_entry_swap_slot(entry);
    uint32_t wait = ASPEN_NO_FRAME;
    int error;

    if (!r->goes) {
        count_slot(r, entry);
        return ASPEN_NO_FRAME;
    }
    do {
        uint32_t frame = aspen_swap_cache_find(r->aspen, type, slot);
        error = 0;
        if (frame == ASPEN_NO_FRAME)
            error = slot_goes(r, entry, frame);
        else
            wait = see_cached(r, entry, frame, &error);
    } while (error == -ASPEN_EAGAIN);
    return wait;
}

/* ---- All ----------------------------------------------------------------- */

static uint32_t
see(struct regroup *r, uint64_t entry, unsigned level)
{
    if (aspen_entry_is_leaf(entry, level))
        return see_leaf(r, entry);
    if (level == 0 && entry && aspen_entry_is_swap(entry))
        return see_swap(r, entry);
    return ASPEN_NO_FRAME;
}

/* I2 */
static void
wait_for(struct aspen *aspen, uint32_t number)
{
    struct aspen_frame *page = aspen_frame_at(aspen, number);
    unsigned type;
    uint32_t slot;

    if (aspen_swap_slot_of(aspen, number, &type, &slot)) {
        aspen_swap_wait_page(aspen, type, number);
    } else {
        aspen_frame_lock(page);
        aspen_frame_unlock(page);
    }
    aspen_frame_put(aspen, number);
}

/* Entries of one table, up to `end` or to one that has to be waited for: where
 * to go on. */
static uint64_t
see_table(struct regroup *r, const struct aspen_slot *slot, uint64_t at,
          uint64_t end)
{
    uint64_t span = aspen_entry_span(slot->level);
    const uint64_t *entry = slot->entry;
    uint32_t wait = ASPEN_NO_FRAME;

    aspen_table_own(r->aspen, slot->table);
    aspen_table_lock(r->aspen, slot->table, ASPEN_LOCK_TABLE);
    while (at < end && wait == ASPEN_NO_FRAME) {
        wait = see(r, aspen_load_relaxed(entry), slot->level);
        if (wait == ASPEN_NO_FRAME) {
            at = aspen_align_down(at, span) + span;
            entry++;
        }
    }
    aspen_table_unlock(r->aspen, slot->table);
    if (wait != ASPEN_NO_FRAME)
        wait_for(r->aspen, wait);
    return at;
}

static void
see_vma(struct regroup *r, struct aspen_vma *vma)
{
    struct aspen_slot slot;
    uint64_t at = vma->start;

    while (at < vma->end) {
        aspen_table_walk(r->mm, at, &slot);
        at = see_table(r, &slot, at,
                       aspen_min_u64(aspen_slot_end(&slot, at), vma->end));
    }
}

static void
see_all(struct regroup *r)
{
    struct aspen_tree_cursor cursor;
    struct aspen_vma *vma;

    aspen_tree_cursor_init(&cursor, &r->mm->vmas, 0);
    while ((vma = aspen_tree_next(&cursor, r->mm->address_limit - 1)) != NULL) {
        if (!r->goes)
            aspen_vma_write_lock(vma); /* I1 */
        see_vma(r, vma);
    }
}

/* The space is the other's. */
static void
set_group(struct aspen_mm *mm, struct aspen_group *group)
{
    if (group)
        aspen_group_get(group);
    /* Who finds the space in the registry may look at its group. */
    aspen_spin_lock(&mm->aspen->registry_lock, ASPEN_LOCK_LEAF);
    aspen_store(&mm->group, group);
    aspen_spin_unlock(&mm->aspen->registry_lock);
}

/* The mmap lock is held for writing. */
static int
regroup(struct aspen_mm *mm, struct aspen_group *from, struct aspen_group *to)
{
    struct regroup r = {
        .aspen = mm->aspen, .mm = mm, .transfer = {.from = from, .to = to}};

    see_all(&r);
    int error = aspen_group_transfer_begin(&r.transfer);
    if (error)
        return error;
    r.goes = true;
    see_all(&r);
    set_group(mm, to);
    aspen_group_transfer_end(&r.transfer, r.pages, r.slots);
    return 0;
}

int
aspen_group_enter(struct aspen_mm *mm, struct aspen_group *group)
{
    if (group && group->aspen != mm->aspen)
        return -ASPEN_EINVAL;
    int error = aspen_mm_write_lock_killable(mm, ASPEN_LOCK_MM);
    if (error)
        return error;
    struct aspen_group *old = mm->group;
    if (group != old)
        error = regroup(mm, old, group);
    aspen_mm_write_unlock(mm);
    if (!error && old && old != group)
        aspen_group_put(old);
    return error;
}
