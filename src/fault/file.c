/* SPDX-License-Identifier: MIT */
/*
 * fault/file.c - pages of an object: files, shared memory.
 *
 *              read                    write
 *   private    the object's page,      a copy of it
 *              read-only
 *   shared     the object's page,      the object's page, dirty
 *              read-only
 *
 * A cached page is found under the lock of the VMA. A page that has to be made
 * or read is fetched without any lock and pinned together with its object; it
 * is used only if the VMA still wants that very page.
 *
 * I1  A page is mapped or copied under its lock, after a look at its owner and
 *     the object's size: so no truncated page is mapped.
 * I2  A page whose object tracks dirt is dirty before an entry becomes
 *     writable (I5 of struct aspen_object). If its pager wants to hear of that
 *     the page becomes dirty first, without any lock of the space, and then
 *     the fault looks at everything again.
 *
 * Called by fault.c and device.c. The first test to break is
 * tests/unit/fault/test_fault.c.
 */
#include "fault/fault.h"

#include "rmap/anon_vma.h"
#include "object/page_cache.h"
#include "swap/swap.h"

/* ---- Hold the page ----------------------------------------------------- */

static bool
has_page(const struct aspen_fault *fault, uint64_t offset)
{
    return fault->page != ASPEN_NO_FRAME &&
           fault->page_object == fault->vma->object &&
           fault->page_offset == offset;
}

/* Hold the page that the VMA wants: 0, ASPEN_FAULT_PAGE or an error. */
static int
hold_page(struct aspen_fault *fault)
{
    struct aspen_object *object = fault->vma->object;
    uint64_t offset = aspen_vma_offset(fault->vma, fault->address);
    unsigned type;
    uint32_t slot;

    if (has_page(fault, offset))
        return 0;
    aspen_fault_drop_page(fault);
    fault->page_object = object;
    fault->page_offset = offset;
    int error = aspen_object_find_page(object, offset, &fault->page);
    if (!error && aspen_frame_order(fault->aspen, fault->page) > 0) {
        aspen_fault_drop_page(fault);
        return -ASPEN_EOPNOTSUPP;
    }
    if (!error)
        return 0;
    fault->page = ASPEN_NO_FRAME;
    if (fault->nowait &&
        (aspen_object_has_to_wait(object) ||
         aspen_object_find_swapped(object, offset, &type, &slot)))
        return -ASPEN_EAGAIN;
    return aspen_fault_need_object(fault, ASPEN_FAULT_PAGE);
}

/* The same, and its lock: nothing takes it out of the cache. */
static int
lock_page(struct aspen_fault *fault)
{
    int error = hold_page(fault);
    if (error)
        return error;
    struct aspen_frame *frame = aspen_frame_at(fault->aspen, fault->page);
    if (!aspen_frame_trylock(frame))
        return fault->nowait ? -ASPEN_EAGAIN
                             : aspen_fault_need_object(fault, ASPEN_FAULT_PAGE);
    if (aspen_object_owns(fault->page_object, frame, fault->page_offset))
        return 0;
    aspen_frame_unlock(frame);
    aspen_fault_drop_page(fault);
    return fault->page_offset < aspen_object_pages(fault->page_object)
               ? aspen_fault_need_object(fault, ASPEN_FAULT_PAGE)
               : -ASPEN_EFBIG;
}

/* `frame` is the page of lock_page(), which may be the entry's by now. */
static void
unlock_page(struct aspen_frame *frame)
{
    aspen_frame_unlock(frame);
}

/* ---- Without locks ----------------------------------------------------- */

int
aspen_fault_fetch(struct aspen_fault *fault)
{
    uint32_t frame;

    aspen_fault_drop_page(fault);
    aspen_fault_pin_wanted(fault);
    fault->major |= aspen_object_has_to_wait(fault->pinned);
    int error =
        aspen_swap_get_page(fault->pinned, fault->page_offset, fault->ahead,
                            &fault->direct.payer, &fault->major, &frame);
    if (error)
        return error;
    fault->page = frame;
    /* Whoever has it locked may have something slow to do. */
    aspen_frame_lock(aspen_frame_at(fault->aspen, frame));
    aspen_frame_unlock(aspen_frame_at(fault->aspen, frame));
    return 0;
}

int
aspen_fault_make_dirty(struct aspen_fault *fault)
{
    aspen_fault_pin_wanted(fault);
    return aspen_object_make_dirty(fault->pinned, fault->page_offset,
                                   fault->page);
}

/* ---- Writes to shared pages -------------------------------------------- */

/* The page is locked: make it dirty. 0, ASPEN_FAULT_DIRTY: its pager has to be
 * asked; or -ASPEN_EAGAIN. */
static int
set_dirty(struct aspen_fault *fault)
{
    struct aspen_frame *frame = aspen_frame_at(fault->aspen, fault->page);
    const struct aspen_pager_ops *pager = fault->page_object->pager;

    if (aspen_load(&frame->index) & ASPEN_FRAME_DIRTY)
        return 0;
    if (pager && pager->mkwrite)
        return fault->nowait
                   ? -ASPEN_EAGAIN
                   : aspen_fault_need_object(fault, ASPEN_FAULT_DIRTY);
    aspen_fetch_or(&frame->index, ASPEN_FRAME_DIRTY);
    return 0;
}

#define WRITTEN (ASPEN_ENTRY_WRITE | ASPEN_ENTRY_DIRTY | ASPEN_ENTRY_YOUNG)

int
aspen_fault_write_shared(struct aspen_fault *fault,
                         const struct aspen_slot *slot, uint64_t entry)
{
    int error = lock_page(fault);
    if (error)
        return error;
    struct aspen_frame *frame = aspen_frame_at(fault->aspen, fault->page);
    /* If the entry leads elsewhere, it changed: the access looks again. */
    if (aspen_entry_frame(entry) == fault->page) {
        error = set_dirty(fault);
        if (!error)
            aspen_fault_set_bits(fault, slot, entry, WRITTEN);
    }
    unlock_page(frame);
    return error;
}

/* ---- Nothing is there -------------------------------------------------- */

/* The page is locked. */
static int
map_shared(struct aspen_fault *fault)
{
    unsigned bits = aspen_fault_bits(fault);
    bool done;

    if (aspen_fault_is_write(fault)) {
        int error = set_dirty(fault);
        if (error)
            return error;
        bits |= ASPEN_ENTRY_WRITE | ASPEN_ENTRY_DIRTY;
    }
    int error = aspen_fault_map(
        fault, aspen_entry_make_leaf(fault->page, 0, bits), &done);
    if (!done)
        return error;
    fault->page = ASPEN_NO_FRAME; /* the entry's now */
    return 0;
}

/* The page is locked; `frame` is for the copy, and given back on error. */
static int
map_copy(struct aspen_fault *fault, uint32_t frame)
{
    int error = aspen_frame_copy(fault->aspen, frame, fault->page);
    if (!error)
        return aspen_fault_map_private(fault, frame);
    aspen_frame_put(fault->aspen, frame);
    return error;
}

/* ---- Neighbours -------------------------------------------------------- */

/* Map the page at `at`, whose table exists, as read, if it is cached and
 * nobody has it locked. */
static void
map_neighbour(struct aspen_fault *fault, uint64_t at)
{
    struct aspen *aspen = fault->aspen;
    struct aspen_object *object = fault->vma->object;
    uint64_t offset = aspen_vma_offset(fault->vma, at);
    struct aspen_slot slot;
    uint32_t number;
    bool done = false;

    if (aspen_table_walk(fault->mm, at, &slot) || slot.level > 0 ||
        aspen_object_find_page(object, offset, &number))
        return;
    struct aspen_frame *frame = aspen_frame_at(aspen, number);
    if (aspen_frame_order(aspen, number) == 0 && aspen_frame_trylock(frame)) {
        if (aspen_object_owns(object, frame, offset))
            done = aspen_fault_map_at(
                fault, &slot, at,
                aspen_entry_make_leaf(number, 0, aspen_fault_bits(fault)));
        aspen_frame_unlock(frame);
    }
    if (!done)
        aspen_frame_put(aspen, number);
}

/* A page was mapped to be read: its neighbours that are cached will be wanted
 * as well, and cost little now. */
static void
map_around(struct aspen_fault *fault)
{
    const struct aspen_vma *vma = fault->vma;
    uint64_t pages = fault->aspen->config.fault_around_pages;
    uint64_t span = pages * ASPEN_PAGE_SIZE;

    if (pages < 2 || vma->flags & ASPEN_VM_UFFD || aspen_fault_asks(fault))
        return;
    /* A power of two: it lies inside one table. */
    uint64_t window = aspen_align_down(fault->address, span);
    uint64_t end = aspen_min_u64(window + span, vma->end);
    for (uint64_t at = aspen_max_u64(window, vma->start); at < end;
         at += ASPEN_PAGE_SIZE)
        map_neighbour(fault, at);
}

/* As on Linux a write beyond the end gives the mapping an anon_vma before it
 * fails: what may merge later depends on that. */
static int
prepare_copy(struct aspen_fault *fault)
{
    struct aspen_vma *vma = fault->vma;

    int error = aspen_fault_may_own(fault);
    if (error ||
        aspen_vma_offset(vma, fault->address) < aspen_object_pages(vma->object))
        return error;
    return aspen_anon_vma_prepare(vma);
}

/* All that has to be asked for, before the page is locked: whoever is asked
 * for memory (aspen_memory_ops.low) may need its lock. */
static int
reserve(struct aspen_fault *fault, bool copy, uint32_t *frame)
{
    struct aspen_slot slot;

    int error = hold_page(fault);
    if (!error)
        error = aspen_table_walk_alloc_from(fault->mm, fault->address, 0,
                                            ASPEN_FRAMES_ABOVE_MIN, &slot);
    if (error && error != -ASPEN_EEXIST)
        return error;
    return copy ? aspen_frame_alloc_paid(fault->aspen, &fault->direct.payer,
                                         frame)
                : 0;
}

int
aspen_fault_object(struct aspen_fault *fault)
{
    bool copy = aspen_fault_wants_own(fault);
    uint32_t own = ASPEN_NO_FRAME;
    int error = 0;

    if (!aspen_object_has_pages(fault->vma->object))
        return -ASPEN_EFBIG;
    if (copy)
        error = prepare_copy(fault);
    if (!error)
        error = reserve(fault, copy, &own);
    if (!error)
        error = lock_page(fault);
    if (error) {
        if (own != ASPEN_NO_FRAME)
            aspen_frame_put(fault->aspen, own);
        return error;
    }
    struct aspen_frame *frame = aspen_frame_at(fault->aspen, fault->page);
    error = copy ? map_copy(fault, own) : map_shared(fault);
    unlock_page(frame);
    if (!error && !copy && !aspen_fault_is_write(fault))
        map_around(fault);
    return error;
}
