/* SPDX-License-Identifier: MIT */
/*
 * migrate/poison.c - a frame goes bad: nobody gets it any more, and who had
 * something in it hears of that when he needs it.
 *
 *     free                         taken out of the store of free ones
 *     a file's page, clean         dropped: it is read anew
 *     in the swap cache, clean,    dropped: it is read anew
 *       mapped by nobody
 *     memory of spaces             each entry becomes a marker, at which faults
 *                                  answer -ASPEN_EHWPOISON
 *     anything else                refused: nobody could be told
 *
 * I1  A bad frame is RESERVED, as one that is no RAM, with BAD for an offset:
 * so it is not RAM that could be brought again. I2  What refuses does so before
 * anybody has lost something.
 *
 * Called by the embedder. The first test to break is
 * tests/unit/migrate/test_poison.c.
 */
#include "migrate/migrate.h"

#include "machine/swap_map.h"
#include "object/page_cache.h"
#include "rmap/take.h"

#include <aspen/memory/failure.h>

/* ---- Out of use --------------------------------------------------------- */

static void
set_bad(struct aspen *aspen, uint32_t number)
{
    struct aspen_frame *frame = aspen_frame_at(aspen, number);

    aspen_store(&frame->owner, (uint64_t)0);
    aspen_store(&frame->index,
                (uint64_t)ASPEN_FRAME_RESERVED << ASPEN_FRAME_TYPE_SHIFT |
                    ASPEN_FRAME_BAD);
    aspen_fetch_sub_relaxed(&aspen->banks.ram_frames, 1);
    aspen_fetch_add_relaxed(&aspen->moves.bad, 1);
}

/* It is free: is it taken? */
static bool
take_free(struct aspen *aspen, uint32_t frame)
{
    aspen_frames_drain(aspen);
    if (!aspen_frames_isolate(aspen, &aspen->moves, frame, 1))
        return false;
    set_bad(aspen, frame);
    return true;
}

/* Nothing is in it any more, and the caller's reference goes. */
static int
take_held(struct aspen *aspen, uint32_t frame)
{
    if (aspen_frame_isolate_put(aspen, &aspen->moves, frame)) {
        set_bad(aspen, frame);
        return 0;
    }
    /* Somebody looks whether he could use it, and finds that he cannot. */
    return take_free(aspen, frame) ? 0 : -ASPEN_EAGAIN;
}

/* ---- Pages of files ----------------------------------------------------- */

static int
to_nothing(void *context, struct aspen_vma *vma, const struct aspen_slot *slot)
{
    struct aspen_frame *page = context;
    uint64_t entry =
        aspen_slot_clear(slot->entry, aspen_load_relaxed(slot->entry));

    (void)vma;
    if (aspen_entry_bits(entry) & (ASPEN_ENTRY_DIRTY | ASPEN_ENTRY_WRITE))
        aspen_fetch_or(&page->index, ASPEN_FRAME_DIRTY);
    aspen_fetch_sub(&page->counts, ASPEN_FRAME_REF + ASPEN_FRAME_MAP);
    return 1;
}

/* It is locked: does it leave? */
static bool
drop_locked(struct aspen *aspen, struct aspen_object *object, uint32_t number)
{
    struct aspen_frame *page = aspen_frame_at(aspen, number);
    uint64_t offset = aspen_frame_offset(page);
    struct aspen_take take = {0};

    if (!aspen_object_owns(object, page, offset) ||
        !aspen_object_can_read_again(object) ||
        aspen_load(&page->index) & ASPEN_FRAME_DIRTY ||
        !aspen_frame_is_held_by(page, 2))
        return false;
    if (aspen_take_page(&take, aspen, object, number, to_nothing, page))
        aspen_port_panic("an entry that goes is refused");
    aspen_take_flush(&take);
    return aspen_object_evict_page(object, offset, number);
}

static int
drop_page(struct aspen *aspen, uint32_t number)
{
    struct aspen_frame *page = aspen_frame_at(aspen, number);
    struct aspen_object *object = aspen_object_of_frame(page);

    if (!object)
        return -ASPEN_EBUSY;
    aspen_frame_lock(page);
    bool gone = drop_locked(aspen, object, number);
    aspen_frame_unlock(page);
    aspen_object_put(object);
    return gone ? 0 : -ASPEN_EBUSY;
}

/* ---- Memory ------------------------------------------------------------- */

/* In the swap cache: what the device has is as good, if nobody maps it. */
static int
drop_cached(struct aspen *aspen, uint32_t number, unsigned type, uint32_t slot)
{
    struct aspen_frame *page = aspen_frame_at(aspen, number);

    aspen_frame_lock(page);
    bool gone = !(aspen_load(&page->index) & ASPEN_FRAME_DIRTY) &&
                aspen_swap_cache_remove(aspen, type, slot, number);
    aspen_frame_unlock(page);
    return gone ? 0 : -ASPEN_EBUSY;
}

/* What is in the frame, which the caller holds, goes: 0 or -ASPEN_EBUSY. */
static int
lose(struct aspen *aspen, uint32_t frame)
{
    uint32_t slot;
    unsigned type;

    if (aspen_frame_type(aspen_frame_at(aspen, frame)) == ASPEN_FRAME_OBJECT)
        return drop_page(aspen, frame);
    if (aspen_swap_slot_of(aspen, frame, &type, &slot))
        return drop_cached(aspen, frame, type, slot);
    return aspen_move_to_nowhere(aspen, frame);
}

/* ---- The whole ---------------------------------------------------------- */

static bool
is_bad(const struct aspen *aspen, uint32_t number)
{
    return aspen_frame_exists(aspen, number) &&
           aspen_frame_is_bad(aspen_frame_at(aspen, number));
}

/* `empty` gets what is in the frame out of it. */
static int
take_out(struct aspen *aspen, uint32_t frame,
         int (*empty)(struct aspen *aspen, uint32_t frame))
{
    aspen_lock_order_assert_outside(ASPEN_LOCK_MM);
    if (is_bad(aspen, frame))
        return -ASPEN_EHWPOISON;
    int error = aspen_move_find(aspen, frame);
    if (error == -ASPEN_ENOENT)
        return take_free(aspen, frame) ? 0 : -ASPEN_EBUSY;
    if (error)
        return error;
    error = empty(aspen, frame);
    if (!error)
        return take_held(aspen, frame);
    aspen_frame_put(aspen, frame);
    return error;
}

int
aspen_memory_failure(struct aspen *aspen, uint32_t frame)
{
    return take_out(aspen, frame, lose);
}

int
aspen_memory_offline(struct aspen *aspen, uint32_t frame)
{
    return take_out(aspen, frame, aspen_move_page);
}
