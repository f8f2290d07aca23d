/* SPDX-License-Identifier: MIT */
/*
 * fault/map_entry.c - one page-table entry of a fault.
 *
 * I1  An entry that counts its frame holds one reference and one map count of
 *     it; both are there before the entry is. That it is resident is counted
 *     before the table's lock is given back: nobody can take it off sooner.
 * I2  No TLB leads to what was there before, once it is possible to write to
 *     what is there now: somebody who has taken it away may not have flushed
 *     yet (paging/table.h, "Pending").
 *
 * I3  Where a space is reaped nothing comes in: the reaper has said so before
 * he takes a table's lock, so either we see it under that lock, or he takes
 *     what we put in. The access looks again, and hears of it.
 *
 * Called by the other files of this layer. The first test to break is
 * tests/unit/fault/test_fault.c.
 */
#include "fault/fault.h"

#include "frames/policy.h"
#include "paging/icache.h"
#include "space/userfault.h"

static void
count_page(struct aspen_fault *fault, uint32_t number)
{
    struct aspen_frame *frame = aspen_frame_at(fault->aspen, number);

    aspen_frame_map(frame);
    if (aspen_frame_type(frame) == ASPEN_FRAME_ANON)
        aspen_policy_map_anon(fault->aspen, number);
    aspen_mm_rss_add(fault->mm, aspen_rss_of(frame), 1);
}

/* May something come in? The table's lock is held. */
static bool
may_fill(const struct aspen_fault *fault)
{
    return !aspen_vma_is_reaped(fault->vma) && /* I3 */
           (!aspen_fault_asks(fault) || aspen_fault_answer_holds(fault));
}

static bool
fetches(const struct aspen_fault *fault)
{
    return fault->access == ASPEN_ACCESS_EXEC;
}

/* The place is protected by userfault. Is what comes there written at once, and
 * nobody asked? */
static bool
takes_mark_off(const struct aspen_fault *fault, uint64_t address)
{
    return aspen_fault_is_write(fault) && address == fault->address &&
           aspen_userfault_is_async(fault->vma);
}

bool
aspen_fault_map_at(struct aspen_fault *fault, const struct aspen_slot *slot,
                   uint64_t address, uint64_t entry)
{
    struct aspen *aspen = fault->aspen;

    if (fetches(fault) && address == fault->address &&
        aspen_icache_waits(aspen, entry))
        aspen_icache_sync(aspen, (uint32_t)aspen_entry_frame(entry), 0);
    aspen_table_own(aspen, slot->table);
    aspen_table_lock_settled(fault->mm, slot->table, address,
                             address + ASPEN_PAGE_SIZE); /* I2 */
    uint64_t there = aspen_load_relaxed(slot->entry);
    bool marked = there && aspen_entry_is_marked(there, slot->level) &&
                  aspen_entry_is_marker(there);
    bool done = (there == 0 || marked) && may_fill(fault);
    if (done && marked && !takes_mark_off(fault, address))
        entry = aspen_entry_mark(entry, 0);
    if (done) {
        if (!(aspen_entry_bits(entry) & ASPEN_ENTRY_SPECIAL))
            count_page(fault, (uint32_t)aspen_entry_frame(entry));
        aspen_store(slot->entry, aspen_icache_entry(aspen, entry));
    }
    aspen_table_unlock(aspen, slot->table);
    return done;
}

int
aspen_fault_map(struct aspen_fault *fault, uint64_t entry, bool *done)
{
    struct aspen_slot slot;

    *done = false;
    int error = aspen_table_walk_alloc_from(fault->mm, fault->address, 0,
                                            ASPEN_FRAMES_ABOVE_MIN, &slot);
    if (error == -ASPEN_EEXIST)
        return 0;
    if (!error)
        *done = aspen_fault_map_at(fault, &slot, fault->address, entry);
    return error;
}

/* Code is to be fetched from the page that the entry leads to. */
static void
make_clean(struct aspen_fault *fault, const struct aspen_slot *slot,
           uint64_t entry)
{
    struct aspen *aspen = fault->aspen;
    uint32_t frame = (uint32_t)aspen_entry_frame(entry);

    aspen_table_own(aspen, slot->table);
    aspen_table_lock(aspen, slot->table, ASPEN_LOCK_TABLE);
    uint64_t now = aspen_load(slot->entry);
    bool same = aspen_entry_frame(now) == frame &&
                aspen_entry_is_leaf(now, slot->level) &&
                !(aspen_entry_bits(now) & ASPEN_ENTRY_MOVING);
    if (same)
        aspen_frame_get(aspen_frame_at(aspen, aspen_frame_head(aspen, frame)));
    aspen_table_unlock(aspen, slot->table);
    if (!same)
        return;
    aspen_icache_sync(aspen, frame, slot->level);
    aspen_frame_put(aspen, aspen_frame_head(aspen, frame));
}

void
aspen_fault_unmark(struct aspen_fault *fault, const struct aspen_slot *slot,
                   uint64_t entry)
{
    struct aspen *aspen = fault->aspen;

    aspen_table_own(aspen, slot->table);
    aspen_table_lock(aspen, slot->table, ASPEN_LOCK_TABLE);
    /* No processor reads the bit. */
    aspen_compare_exchange(slot->entry, &entry,
                           aspen_entry_unmark(entry, slot->level));
    aspen_table_unlock(aspen, slot->table);
}

void
aspen_fault_set_bits(struct aspen_fault *fault, const struct aspen_slot *slot,
                     uint64_t entry, unsigned bits)
{
    struct aspen *aspen = fault->aspen;
    uint64_t new = aspen_entry_set_bits(entry, bits);

    if (fetches(fault) && aspen_icache_waits(aspen, new))
        make_clean(fault, slot, entry);
    aspen_table_own(aspen, slot->table);
    aspen_table_lock_settled(fault->mm, slot->table, fault->address,
                             fault->address + ASPEN_PAGE_SIZE); /* I2 */
    /* The processor may have set bits meanwhile: then the access looks again
     * and finds them. */
    aspen_compare_exchange(slot->entry, &entry, aspen_icache_entry(aspen, new));
    aspen_table_unlock(aspen, slot->table);
}
