/* SPDX-License-Identifier: MIT */
/*
 * migrate/move.c - a page goes to another frame.
 *
 *   a new frame
 *   lock     the page's, tried; pinned, held by others, a block: it stays
 *   close    each entry becomes MOVING, and the TLBs of its spaces are flushed
 *   commit   if nobody else has it: under the lock of the cache that leads to
 *            it, if one does, contents go, and the cache leads to the new frame
 *   open     each entry that is MOVING leads to the new frame, or, if the page
 *            stays, to the old one
 *   ended    who has met a MOVING entry looks again
 *
 * I1  An entry that is MOVING is a leaf and counts as every other: whoever
 *     copies, moves, changes or takes away entries does so as ever. Only who
 *     wants to access the page, or to hold it, asks for that bit, and waits
 *     (moving.h).
 * I2  So once all entries are MOVING, and flushed, nobody comes to the contents
 *     by an entry; who came before holds the page. Nor by a cache, since it is
 *     asked whether somebody holds the page under the cache's lock, below which
 *     the new frame takes its place.
 * I3  The old frame keeps its type, owner and group until no entry leads there:
 *     who takes one away counts by these. Both frames are locked until then.
 * I4  What an entry of an object's page knows of writes is the frame's when it
 *     is closed, and when it was taken away before, with what may be written
 *     until the flush: so all of that is known when the page goes.
 * I5  Both walks meet each entry: I1 and I2 of rmap/rmap.c. What fork copies
 *     after the first has met it is MOVING, too, and the second meets the copy.
 * I6  Pins come under the table's lock, by an entry that is not MOVING: looked
 *     at under the same lock.
 *
 * Called by the other files of this layer. The first test to break is
 * tests/unit/migrate/test_migrate.c.
 */
#include "migrate/migrate.h"

#include "frames/lru.h"
#include "frames/pins.h"
#include "frames/policy.h"
#include "machine/swap_map.h"
#include "object/page_cache.h"
#include "paging/icache.h"
#include "rmap/rmap.h"
#include "rmap/take.h"

struct move {
    struct aspen *aspen;
    uint32_t old;
    uint32_t new;
    struct aspen_object *object; /* whose page it is, or NULL */
    bool cached;                 /* in the swap cache, by this slot */
    unsigned type;
    uint32_t slot;
    enum {
        FATE_STAYS,
        FATE_GOES,
        FATE_LOST
    } fate; /* FATE_GOES: the new frame has it */
};

/* ---- Close ------------------------------------------------------------- */

static int
close_entry(void *context, struct aspen_vma *vma, const struct aspen_slot *slot)
{
    const struct move *move = context;
    struct aspen_frame *page = aspen_frame_at(move->aspen, move->old);
    uint64_t entry = aspen_load_relaxed(slot->entry);

    (void)vma;
    if (slot->level > 0 || aspen_frame_pins(move->aspen, move->old) > 0)
        return -ASPEN_EBUSY; /* I6 */
    while (!aspen_compare_exchange(
        slot->entry, &entry, aspen_entry_set_bits(entry, ASPEN_ENTRY_MOVING)))
        ;
    if (move->object && /* I4 */
        aspen_entry_bits(entry) & (ASPEN_ENTRY_DIRTY | ASPEN_ENTRY_WRITE))
        aspen_fetch_or(&page->index, ASPEN_FRAME_DIRTY);
    return ASPEN_TAKE_KEPT;
}

/* All of them: 0, or -ASPEN_EBUSY and some are. No TLB has these. */
static int
close_all(struct move *move)
{
    struct aspen_take take = {0};

    int error = aspen_take_page(&take, move->aspen, move->object, move->old,
                                close_entry, move);
    aspen_take_flush(&take);
    return error;
}

/* ---- Commit ------------------------------------------------------------ */

/* The new frame is what the old one is, but for its contents; nobody knows it
 * yet. */
static void
become(const struct move *move)
{
    const uint64_t offset = ((uint64_t)1 << ASPEN_FRAME_INDEX_BITS) - 1;
    const uint64_t flags = ASPEN_FRAME_DIRTY | ASPEN_FRAME_ACCESSED;
    struct aspen *aspen = move->aspen;
    const struct aspen_frame *old = aspen_frame_at(aspen, move->old);
    struct aspen_frame *new = aspen_frame_at(aspen, move->new);
    uint64_t index = aspen_load(&old->index);

    if (aspen_has_groups(aspen))
        aspen_store_relaxed(aspen_bank_group(aspen, move->new),
                            aspen_frame_group(aspen, move->old));
    aspen_store(&new->owner, aspen_load(&old->owner));
    aspen_store(&new->index,
                (index & (offset | flags)) | ASPEN_FRAME_LOCKED |
                    index >> ASPEN_FRAME_TYPE_SHIFT << ASPEN_FRAME_TYPE_SHIFT);
}

static void
become_nothing(const struct move *move)
{
    struct aspen_frame *new = aspen_frame_at(move->aspen, move->new);

    if (aspen_has_groups(move->aspen))
        aspen_store_relaxed(aspen_bank_group(move->aspen, move->new), NULL);
    aspen_store(&new->index,
                (uint64_t)ASPEN_FRAME_KERNEL << ASPEN_FRAME_TYPE_SHIFT |
                    ASPEN_FRAME_LOCKED);
    aspen_store(&new->owner, (uint64_t)0);
}

/* I2. If nobody else has the page the new frame takes its place. */
static bool
take_place(const struct move *move)
{
    struct aspen *aspen = move->aspen;
    const struct aspen_frame *old = aspen_frame_at(aspen, move->old);

    if (move->object)
        return aspen_object_replace_page(move->object, aspen_frame_offset(old),
                                         move->old, move->new);
    if (move->cached)
        return aspen_swap_cache_replace(aspen, move->type, move->slot,
                                        move->old, move->new);
    return aspen_frame_is_held_by(old, 1) &&
           !aspen_frame_copy(aspen, move->new, move->old);
}

static int
commit(struct move *move)
{
    struct aspen *aspen = move->aspen;

    become(move);
    if (!take_place(move)) {
        become_nothing(move);
        return -ASPEN_EBUSY;
    }
    move->fate = FATE_GOES;
    if (!move->object)
        aspen_count(aspen, ASPEN_COUNT_ANON, 1); /* until it is free */
    aspen_lru_replace(aspen, move->old, move->new);
    if (!move->object && /* the first device may just have come */
        !aspen_load_relaxed(&aspen_frame_at(aspen, move->new)->next))
        aspen_policy_map_anon(aspen, move->new);
    return 0;
}

/* ---- Open -------------------------------------------------------------- */

/* The entry leads to the new frame from now on, and has its reference. */
static void
lead_to_new(const struct move *move, const struct aspen_slot *slot,
            unsigned bits)
{
    struct aspen *aspen = move->aspen;
    uint64_t exclusive = aspen_load(&aspen_frame_at(aspen, move->old)->counts) &
                         ASPEN_FRAME_EXCLUSIVE;

    aspen_fetch_add(&aspen_frame_at(aspen, move->new)->counts,
                    ASPEN_FRAME_REF + ASPEN_FRAME_MAP + exclusive);
    aspen_store(
        slot->entry,
        aspen_icache_entry(aspen, aspen_entry_make_leaf(move->new, 0, bits)));
    aspen_frames_release(aspen, &(uint32_t){move->old}, 1,
                         ASPEN_FRAME_REF + ASPEN_FRAME_MAP);
}

/* It leads to nothing, for good. */
static void
lead_to_poison(const struct move *move, struct aspen_mm *mm,
               const struct aspen_slot *slot)
{
    aspen_mm_rss_sub(mm, ASPEN_RSS_ANON, 1);
    aspen_store(slot->entry, aspen_entry_make_marker(ASPEN_MARKER_POISON));
    aspen_frames_release(move->aspen, &(uint32_t){move->old}, 1,
                         ASPEN_FRAME_REF + ASPEN_FRAME_MAP);
}

/* Its table's lock is held. */
static void
open_entry(const struct move *move, struct aspen_mm *mm,
           const struct aspen_slot *slot)
{
    uint64_t entry = aspen_load_relaxed(slot->entry);
    unsigned bits = aspen_entry_bits(entry);

    if (!aspen_entry_is_leaf(entry, 0) || bits & ASPEN_ENTRY_SPECIAL ||
        !(bits & ASPEN_ENTRY_MOVING) || aspen_entry_frame(entry) != move->old)
        return;
    bits &= ~ASPEN_ENTRY_MOVING;
    if (move->fate == FATE_GOES)
        lead_to_new(move, slot, bits);
    else if (move->fate == FATE_LOST)
        lead_to_poison(move, mm, slot);
    else
        aspen_store(slot->entry,
                    aspen_icache_entry(move->aspen, aspen_entry_make_leaf(
                                                        move->old, 0, bits)));
}

static bool
open_at(void *context, struct aspen_vma *vma, uint64_t address)
{
    const struct move *move = context;
    struct aspen_slot slot;

    if (!aspen_table_walk(vma->mm, address, &slot) || slot.level > 0)
        return true;
    aspen_table_own(move->aspen, slot.table);
    aspen_table_lock_settled(vma->mm, slot.table, address,
                             address + ASPEN_PAGE_SIZE);
    open_entry(move, vma->mm, &slot);
    aspen_table_unlock(move->aspen, slot.table);
    return true;
}

static void
open_all(struct move *move)
{
    struct aspen *aspen = move->aspen;
    const struct aspen_frame *old = aspen_frame_at(aspen, move->old);
    uint64_t offset = aspen_frame_offset(old);

    if (move->object)
        aspen_i_mmap_walk(move->object, offset, offset, open_at, move);
    else
        aspen_rmap_walk(aspen, move->old, open_at, move);
}

/* No entry leads to the old frame; who has just taken one away may count it
 * still. I3. */
static void
empty_old(const struct move *move)
{
    struct aspen *aspen = move->aspen;
    struct aspen_frame *old = aspen_frame_at(aspen, move->old);

    if (aspen_has_groups(aspen))
        aspen_store_relaxed(aspen_bank_group(aspen, move->old), NULL);
    aspen_store(&old->owner, (uint64_t)0);
}

/* ---- The whole --------------------------------------------------------- */

/* Both are locked. */
static int
move_locked(struct move *move)
{
    int error = close_all(move);

    if (!error)
        error = commit(move);
    open_all(move);
    if (!error)
        empty_old(move);
    return error;
}

/* The page is locked, and the caller holds it: could it go as things are? */
static bool
may_move(struct move *move)
{
    struct aspen *aspen = move->aspen;
    const struct aspen_frame *page = aspen_frame_at(aspen, move->old);
    uint64_t index = aspen_load(&page->index);
    bool anon = index >> ASPEN_FRAME_TYPE_SHIFT == ASPEN_FRAME_ANON;

    move->cached =
        anon && aspen_swap_slot_of(aspen, move->old, &move->type, &move->slot);
    if (index & ASPEN_FRAME_HEAD || aspen_frame_pins(aspen, move->old) > 0)
        return false;
    if (move->object
            ? !aspen_object_owns(move->object, page, aspen_frame_offset(page))
            : !anon || (!move->cached && aspen_frame_map_count(page) == 0))
        return false;
    return aspen_frame_is_held_by(page, move->object || move->cached ? 2 : 1);
}

/* Who waits looks again. */
static void
end_move(struct aspen *aspen)
{
    aspen_fetch_add(&aspen->moves.ended, 1u);
    aspen_port_wake_all(&aspen->moves.ended);
}

/* With the new frame, whose reference is the caller's to put. */
static int
move_to(struct move *move)
{
    struct aspen_frame *old = aspen_frame_at(move->aspen, move->old);
    struct aspen_frame *new = aspen_frame_at(move->aspen, move->new);
    int error = -ASPEN_EBUSY;

    if (!aspen_frame_trylock(old))
        return error;
    bool locked = aspen_frame_trylock(new);
    ASPEN_ASSERT(locked); /* it is new */
    if (may_move(move))
        error = move_locked(move);
    aspen_frame_unlock(new);
    aspen_frame_unlock(old);
    end_move(move->aspen);
    return error;
}

struct awaited {
    const struct aspen *aspen;
    uint32_t ended;
};

static bool
none_has_ended(const void *argument)
{
    const struct awaited *awaited = argument;

    return aspen_moves_ended(awaited->aspen) == awaited->ended;
}

void
aspen_moves_wait(struct aspen *aspen, uint32_t ended)
{
    struct awaited awaited = {aspen, ended};

    aspen_port_wait_while(&aspen->moves.ended, none_has_ended, &awaited);
}

int
aspen_move_page(struct aspen *aspen, uint32_t frame)
{
    struct move move = {.aspen = aspen, .old = frame};
    struct aspen_frame *page = aspen_frame_at(aspen, frame);

    if (aspen_frames_refuse_contents(aspen))
        return -ASPEN_EOPNOTSUPP;
    int error = aspen_frame_alloc_from(aspen, 0, ASPEN_STEP_FRAME,
                                       ASPEN_FRAMES_ABOVE_MIN, &move.new);
    if (error)
        return error;
    if (aspen_frame_type(page) == ASPEN_FRAME_OBJECT)
        move.object = aspen_object_of_frame(page);
    error = move_to(&move);
    aspen_frame_put(aspen, move.new);
    if (move.object) /* it may be the last */
        aspen_object_put(move.object);
    aspen_fetch_add_relaxed(error ? &aspen->moves.stayed : &aspen->moves.moved,
                            1);
    return error;
}

/* Entries of the page, which is locked, become markers, unless somebody else
 * has it. On no list anybody finds it meanwhile. */
static int
lose_locked(struct move *move)
{
    struct aspen *aspen = move->aspen;
    const struct aspen_frame *page = aspen_frame_at(aspen, move->old);
    enum aspen_lru_state state = aspen_lru_state(page);

    if (!may_move(move) || move->cached)
        return -ASPEN_EBUSY;
    const bool listed = aspen_lru_remove(aspen, move->old);
    int error = close_all(move);
    if (!error && !aspen_frame_is_held_by(page, 1))
        error = -ASPEN_EBUSY;
    if (!error)
        move->fate = FATE_LOST;
    open_all(move);
    if (error && listed)
        aspen_lru_enter(aspen, move->old, state);
    return error;
}

int
aspen_move_to_nowhere(struct aspen *aspen, uint32_t frame)
{
    struct move move = {.aspen = aspen, .old = frame};
    struct aspen_frame *page = aspen_frame_at(aspen, frame);

    aspen_frame_lock(page);
    int error = lose_locked(&move);
    aspen_frame_unlock(page);
    end_move(aspen);
    return error;
}

int
aspen_migrate(struct aspen *aspen, uint32_t frame)
{
    aspen_lock_order_assert_outside(ASPEN_LOCK_MM);
    int error = aspen_move_find(aspen, frame);

    if (error)
        return error;
    error = aspen_move_page(aspen, frame);
    aspen_frame_put(aspen, frame);
    return error;
}
