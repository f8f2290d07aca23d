/* SPDX-License-Identifier: MIT */
/*
 * calls/swap/remove.c - a swap area goes: every page comes back first.
 *
 *     no new slots are taken from the area; what is charged fits without it
 *       -> each space of the swap list, behind its gate: each entry of the area
 *          is mapped again, as by a fault
 *       -> each object that has slots: each page of the area comes back
 *       -> again, until nobody has a slot: the area is empty, and gone
 *       -> or it fails, or is interrupted: the area takes slots again
 *
 * I1  Whoever has a swap entry is on the swap list before it has the entry, and
 *     until it has none. The gate waits for a fork under way, and for an exit:
 *     what it lets through is whole.
 * I2  A slot is held by entries and objects, and while it is read or written.
 *     Once neither has any, others hold slots for a moment only: the pages in
 *     the cache tell whom to wait for.
 * I3  An object whose last reference has gone stays on the list until it has
 *     given back its slots, which is waited for.
 *
 * Called by the embedder. The first test to break is
 * tests/unit/swap/test_remove.c.
 */
#include <aspen/calls/swap.h>

#include "fault/fault.h"
#include "machine/charge.h"
#include "machine/swap_reads.h"
#include "object/page_cache.h"
#include "space/mm.h"
#include "space/vma.h"
#include "swap/swap.h"

/* Rounds in which nothing came back although somebody has slots. */
#define IDLE_ROUNDS 100u

struct removal {
    struct aspen *aspen;
    unsigned type;
    uint64_t back; /* entries that were mapped again, or found to be */
    int error;     /* of the first page that could not be */
};

/* ---- One space --------------------------------------------------------- */

/* The mmap lock is held for reading. The VMA, or NULL: there is no more. */
static struct aspen_vma *
find_entry(const struct removal *removal, struct aspen_mm *mm,
           uint64_t *address)
{
    struct aspen_vma *vma = aspen_vma_find(mm, *address);
    struct aspen_slot slot;
    uint64_t entry;

    for (; vma; vma = aspen_vma_find(mm, vma->end)) {
        if (*address < vma->start)
            *address = vma->start;
        if (aspen_swap_find_entry(mm, removal->type, address, vma->end, &slot,
                                  &entry))
            return vma;
    }
    return NULL;
}

/* One look, as a fault's: 0, a need or an error. What is no entry of the area
 * any more is not touched: others may have taken it away. */
static int
try_entry(const struct removal *removal, struct aspen_fault *fault,
          struct aspen_vma *vma)
{
    uint64_t at = fault->address;
    struct aspen_slot slot;
    uint64_t entry;

    if (!aspen_swap_find_entry(fault->mm, removal->type, &at,
                               at + ASPEN_PAGE_SIZE, &slot, &entry))
        return 0;
    fault->vma = vma;
    fault->mmap_locked = true;
    return aspen_fault_swap(fault, &slot, entry);
}

/* What a fault needs that came upon the entry, or its error; the lock was given
 * back. 0 or an error that ends the call. */
static int
meet(struct removal *removal, struct aspen_fault *fault, int need)
{
    int error = need < 0 ? need : aspen_fault_meet(fault, need);

    if (error == -ASPEN_EINTR)
        return error;
    if (error && !removal->error)
        removal->error = error;
    if (error)
        fault->address += ASPEN_PAGE_SIZE; /* passed over */
    return 0;
}

/* The gate was passed; it is again, or the space has gone, when it returns. */
static int
empty_space(struct removal *removal, struct aspen_mm *mm,
            struct aspen_fault *fault)
{
    uint64_t address = mm->address_floor;
    struct aspen_vma *vma;
    int error = 0;

    while (!error && (vma = find_entry(removal, mm, &address)) != NULL) {
        aspen_fault_at(fault, address);
        int need = try_entry(removal, fault, vma);
        removal->back += need == 0;
        if (need == 0 && !aspen_poll_fatal(removal->aspen))
            continue; /* it is looked at again */
        aspen_read_unlock(&mm->mmap_lock);
        error = need ? meet(removal, fault, need) : -ASPEN_EINTR;
        address = fault->address;
        if (!aspen_mm_get_live(mm))
            return error;
    }
    aspen_read_unlock(&mm->mmap_lock);
    return error;
}

static int
visit_space(struct removal *removal, struct aspen_mm *mm)
{
    struct aspen_fault fault;
    int error = 0;

    aspen_fault_begin(&fault, mm, ASPEN_ACCESS_READ);
    if (aspen_mm_get_live(mm))
        error = empty_space(removal, mm, &fault);
    aspen_direct_lower(&fault.direct);
    aspen_fault_end(&fault);
    return error;
}

/* ---- All spaces -------------------------------------------------------- */

/* The next one of the swap list, which becomes its last, with a reference. */
static struct aspen_mm *
next_space(struct aspen *aspen)
{
    struct aspen_mm *mm = NULL;

    aspen_spin_lock(&aspen->swap_list_lock, ASPEN_LOCK_LEAF);
    struct aspen_list *link = aspen->swap_list.next;
    if (link != &aspen->swap_list) {
        mm = aspen_container_of(link, struct aspen_mm, swap_link);
        aspen_list_remove(link);
        aspen_list_push_back(&aspen->swap_list, link);
        aspen_mm_hold(mm);
    }
    aspen_spin_unlock(&aspen->swap_list_lock);
    return mm;
}

static int
visit_spaces(struct removal *removal)
{
    uint64_t count = aspen_load_relaxed(&removal->aspen->swap_list_count);
    struct aspen_mm *mm;
    int error = 0;

    while (!error && count-- && (mm = next_space(removal->aspen)) != NULL) {
        error = visit_space(removal, mm);
        aspen_mm_drop(mm);
    }
    return error;
}

/* ---- Objects ----------------------------------------------------------- */

/* The page at `offset`, if it is in the area. 0 or an error that ends the call.
 */
static int
bring_back(struct removal *removal, struct aspen_object *object,
           uint64_t offset)
{
    struct aspen_direct direct = {.aspen = removal->aspen};
    unsigned type;
    uint32_t slot;
    int error, killed = 0;

    if (!aspen_object_find_swapped(object, offset, &type, &slot) ||
        type != removal->type)
        return 0;
    do {
        aspen_direct_begin(&direct);
        error = aspen_swap_back_shared(object, offset, ASPEN_AHEAD_RANDOM,
                                       &direct.payer);
    } while (aspen_direct_again(&direct, error) &&
             !(killed = aspen_poll_fatal(removal->aspen)));
    aspen_direct_lower(&direct);
    if (killed)
        return killed;
    removal->back += !error;
    if (error && !removal->error)
        removal->error = error;
    return aspen_poll_fatal(removal->aspen);
}

static int
empty_object(struct removal *removal, struct aspen_object *object)
{
    int error = 0;

    for (uint64_t offset = 0;
         !error && aspen_object_next_swapped(object, &offset, UINT64_MAX);
         offset++)
        error = bring_back(removal, object, offset);
    return error;
}

/* The first of the list, which becomes its last, with a reference; NULL: there
 * is none, or *ending: it is about to give back what it has. */
static struct aspen_object *
next_object(struct aspen *aspen, bool *ending)
{
    struct aspen_object *object = NULL;

    aspen_spin_lock(&aspen->swap_list_lock, ASPEN_LOCK_LEAF);
    struct aspen_list *link = aspen->swapped_objects.next;
    if (link != &aspen->swapped_objects) {
        object = aspen_container_of(link, struct aspen_object, swap_link);
        aspen_list_remove(link);
        aspen_list_push_back(&aspen->swapped_objects, link);
        if (!aspen_object_get_live(object)) {
            object = NULL;
            *ending = true;
        }
    }
    aspen_spin_unlock(&aspen->swap_list_lock);
    return object;
}

struct endings {
    struct aspen *aspen;
    uint32_t gone;
};

static bool
none_gone(const void *argument)
{
    const struct endings *endings = argument;

    return aspen_load(&endings->aspen->swapped_objects_gone) == endings->gone;
}

static int
visit_objects(struct removal *removal)
{
    struct aspen *aspen = removal->aspen;
    struct endings endings = {.aspen = aspen,
                              .gone = aspen_load(&aspen->swapped_objects_gone)};
    uint64_t count = aspen_load_relaxed(&aspen->swapped_object_count);
    struct aspen_object *object;
    bool ending = false;
    int error = 0;

    for (; !error && count; count--) {
        object = next_object(aspen, &ending);
        if (!object)
            continue;
        error = empty_object(removal, object);
        aspen_object_put(object);
    }
    if (ending && !error) /* I3 */
        aspen_port_wait_while(&aspen->swapped_objects_gone, none_gone,
                              &endings);
    removal->back += ending;
    return error;
}

/* ---- The whole --------------------------------------------------------- */

/* I2 */
static void
wait_for_transfers(const struct removal *removal)
{
    struct aspen *aspen = removal->aspen;
    uint32_t slot = 0, frame;

    for (;; slot++) {
        frame = aspen_swap_cache_next(aspen, removal->type, &slot);
        if (frame == ASPEN_NO_FRAME)
            return;
        aspen_swap_wait_page(aspen, removal->type, frame);
        aspen_frame_put(aspen, frame);
    }
}

/* 0: nobody has a slot any more. */
static int
empty_area(struct removal *removal)
{
    unsigned idle = 0;

    while (!aspen_swap_is_empty(removal->aspen, removal->type)) {
        removal->back = 0;
        int error = visit_spaces(removal);
        if (!error)
            error = visit_objects(removal);
        if (!error)
            error = aspen_poll_fatal(removal->aspen);
        if (error || removal->error)
            return error ? error : removal->error;
        if (removal->back)
            continue;
        if (++idle == IDLE_ROUNDS)
            return -ASPEN_EBUSY;
        wait_for_transfers(removal);
    }
    return 0;
}

int
aspen_swap_remove(struct aspen *aspen, unsigned type)
{
    struct removal removal = {.aspen = aspen, .type = type};

    int error = aspen_swap_leave(aspen, type);
    if (error)
        return error;
    error =
        aspen_charge_check_less(aspen, aspen_load(&aspen->swap[type].slots));
    if (!error)
        error = empty_area(&removal);
    if (error)
        aspen_swap_stay(aspen, type);
    else
        aspen_swap_end(aspen, type);
    return error;
}
