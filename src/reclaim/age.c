/* SPDX-License-Identifier: MIT */
/*
 * reclaim/age.c - who has accessed a page since the last look.
 *
 * I1  An entry is looked at and made old under its table's lock, by compare and
 *     exchange: what the processor sets meanwhile stays.
 * I2  The TLB is not flushed: a processor that has the entry cached may not say
 *     that it goes on accessing it. Then the page is older than it looks, which
 *     costs a fault; a flush for each look would cost more.
 * I3  A second MMU is asked as well, when no spin lock is held.
 * I4  A mapping that could have the page, and does not, says nothing: neither
 *     that it is locked, nor what was accessed there.
 *
 * The first test to break is tests/unit/reclaim/test_reclaim.c.
 */
#include "reclaim/age.h"

#include "frames/lru.h"
#include "machine/notify.h"
#include "object/i_mmap.h"
#include "rmap/rmap.h"

struct look {
    uint32_t frame;
    struct aspen_age age;
};

/* The table's lock is held. False: the entry leads elsewhere. */
static bool
look_at_entry(struct look *look, const struct aspen_vma *vma, uint64_t *slot)
{
    uint64_t entry = aspen_load(slot);

    if (!aspen_entry_is_leaf(entry, 0) ||
        aspen_entry_bits(entry) & ASPEN_ENTRY_SPECIAL ||
        aspen_entry_frame(entry) != look->frame)
        return false;
    look->age.accessed |= aspen_slot_clear_bits(slot, entry, ASPEN_ENTRY_YOUNG);
    if (aspen_load_relaxed(&vma->flags) & ASPEN_VM_LOCKED)
        look->age.locked = true;
    return true;
}

static bool
look_at(void *context, struct aspen_vma *vma, uint64_t address)
{
    struct look *look = context;
    struct aspen *aspen = vma->mm->aspen;
    struct aspen_slot slot;

    if (!aspen_table_walk(vma->mm, address, &slot) || slot.level > 0)
        return true;
    aspen_table_own(aspen, slot.table);
    aspen_table_lock(aspen, slot.table, ASPEN_LOCK_TABLE);
    bool there = look_at_entry(look, vma, slot.entry);
    aspen_table_unlock(aspen, slot.table);
    if (there) /* I4 */
        look->age.accessed |= aspen_notify_clear_young(
            vma->mm, address, address + ASPEN_PAGE_SIZE);
    return true;
}

struct aspen_age
aspen_page_age(struct aspen_object *object, uint64_t offset, uint32_t number)
{
    struct aspen_frame *frame = aspen_frame_at(object->aspen, number);
    struct look look = {.frame = number};

    look.age.accessed = aspen_lru_mark_take(frame);
    if (aspen_frame_map_count(frame) > 0)
        aspen_i_mmap_walk(object, offset, offset, look_at, &look);
    return look.age;
}

struct aspen_age
aspen_anon_age(struct aspen *aspen, uint32_t number)
{
    struct look look = {.frame = number};

    aspen_rmap_walk(aspen, number, look_at, &look);
    return look.age;
}
