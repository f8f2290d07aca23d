/* SPDX-License-Identifier: MIT */
/*
 * swap/ahead.c - which pages come from swap beside one that is needed.
 *
 *     addresses    [ ][ ][x][1][2][ ][ ]         window of 4: x and two more
 *     slots        ..[1][x][2]..[ ]....          that stand in a row with it
 *
 * By address: neighbours of the address whose slots are in a row with its own,
 * so that one transfer has them all. By slot, where what is far away takes long
 * (ASPEN_SWAP_ROTATING): all that stand in the same part of the area, whoever
 * has them.
 *
 * The window is the mapping's: it doubles when a page that was read ahead was
 * found by a fault since, else it is halved; where faults are in order it is 2
 * at least. What is written in it may be lost to another fault's: then it
 * changes a fault later.
 *
 * I1  Entries are looked at without their table's lock: whose slot is free by
 *     then, or another's, is found out when it is read.
 *
 * Called by faults, swapoff and WILLNEED. The first test to break is
 * tests/unit/swap/test_ahead.c.
 */
#include "swap/swap.h"

#define NO_OFFSET INT32_MIN

/* ---- Entries ------------------------------------------------------------ */

static bool
is_swap(uint64_t entry)
{
    return entry && !aspen_entry_is_leaf(entry, 0) &&
           aspen_entry_is_swap(entry);
}

/* Of the area, or of any. */
static bool
is_of(uint64_t entry, unsigned type)
{
    return is_swap(entry) &&
           (type == ASPEN_SWAP_AREAS || aspen_entry_swap_type(entry) == type);
}

bool
aspen_swap_find_entry(struct aspen_mm *mm, unsigned type, uint64_t *address,
                      uint64_t end, struct aspen_slot *slot, uint64_t *entry)
{
    uint64_t stop;

    for (; *address < end; *address = stop) {
        aspen_table_walk(mm, *address, slot);
        stop = aspen_min_u64(aspen_slot_end(slot, *address), end);
        if (slot->level > 0)
            continue;
        for (; *address < stop; *address += ASPEN_PAGE_SIZE, slot->entry++) {
            *entry = aspen_load_relaxed(slot->entry);
            if (is_of(*entry, type))
                return true;
        }
    }
    return false;
}

/* ---- Neighbours --------------------------------------------------------- */

/* How far the entry's slot is from the other's, if it is near. */
static int32_t
offset_of(uint64_t entry, uint64_t from)
{
    const int64_t near = ASPEN_SWAP_BESIDE;

    if (!is_of(entry, aspen_entry_swap_type(from)))
        return NO_OFFSET;
    int64_t offset = (int64_t)aspen_entry_swap_slot(entry) -
                     (int64_t)aspen_entry_swap_slot(from);
    return offset > -near && offset < near ? (int32_t)offset : NO_OFFSET;
}

/* In one direction; `most` addresses that lie in the table. */
static uint64_t
beside(const uint64_t *entry, int step, uint64_t most, unsigned *pages)
{
    uint64_t from = aspen_load_relaxed(entry);
    uint64_t wanted = 0;

    for (uint64_t i = 0; *pages > 1 && i < most; i++) {
        entry += step;
        int32_t offset = offset_of(aspen_load_relaxed(entry), from);
        if (offset == NO_OFFSET)
            break;
        wanted |= (uint64_t)1 << (ASPEN_SWAP_BESIDE + offset);
        --*pages;
    }
    return wanted;
}

uint64_t
aspen_swap_wanted(const struct aspen_slot *slot, uint64_t address,
                  uint64_t start, uint64_t end, unsigned pages)
{
    const uint64_t table = (uint64_t)ASPEN_TABLE_ENTRIES * ASPEN_PAGE_SIZE;
    uint64_t low = aspen_max_u64(start, aspen_align_down(address, table));
    uint64_t high =
        aspen_min_u64(end - 1, aspen_align_down(address, table) + table - 1);

    if (!is_swap(aspen_load_relaxed(slot->entry)))
        return 0; /* it has changed */
    uint64_t wanted =
        beside(slot->entry, 1, (high - address) >> ASPEN_PAGE_SHIFT, &pages);
    return wanted |
           beside(slot->entry, -1, (address - low) >> ASPEN_PAGE_SHIFT, &pages);
}

/* All of the area's part of that size. */
static uint64_t
wanted_by_slot(uint32_t slot, unsigned pages)
{
    uint32_t first = slot - slot % pages;
    uint64_t all = ((uint64_t)1 << pages) - 1;

    return all << (ASPEN_SWAP_BESIDE - (slot - first)) &
           ~((uint64_t)1 << ASPEN_SWAP_BESIDE);
}

/* ---- The window --------------------------------------------------------- */

/* swap_window: bits 0-15 the page of the last fault, 16-23 the window, 24: a
 * page that was read ahead was found since. */
#define PAGE_BITS 16
#define FOUND     ((uint32_t)1 << 24)

/* For the fault at this page, and what the next one is told. */
static unsigned
window_for(struct aspen_vma *vma, uint64_t address)
{
    uint32_t most = vma->mm->aspen->config.swap_ahead_pages;
    uint32_t old = aspen_load_relaxed(&vma->swap_window);
    uint16_t page = (uint16_t)(address >> ASPEN_PAGE_SHIFT);
    uint32_t window = old >> PAGE_BITS & 0xff;

    window = old & FOUND ? window * 2 : window / 2;
    if (window < 2)
        window = (uint16_t)(page - (uint16_t)old) == 1 ? 2 : 1;
    if (window > most || vma->flags & ASPEN_VM_SEQ_READ)
        window = most;
    if (vma->flags & ASPEN_VM_RAND_READ)
        window = 1;
    aspen_store_relaxed(&vma->swap_window, window << PAGE_BITS | page);
    return window;
}

uint64_t
aspen_swap_wanted_by_fault(struct aspen_vma *vma, const struct aspen_slot *slot,
                           uint64_t address)
{
    uint64_t entry = aspen_load_relaxed(slot->entry);
    unsigned window = window_for(vma, address);

    if (window < 2 || !is_swap(entry))
        return 0;
    if (aspen_load_relaxed(
            &vma->mm->aspen->swap[aspen_entry_swap_type(entry)].by_slot))
        return wanted_by_slot(aspen_entry_swap_slot(entry), window);
    return aspen_swap_wanted(slot, address, vma->start, vma->end, window);
}

void
aspen_swap_found(struct aspen_vma *vma, uint32_t frame)
{
    struct aspen *aspen = vma->mm->aspen;

    if (!aspen_swap_ahead_take(aspen, frame))
        return;
    aspen_fetch_add_relaxed(&aspen->swap_ra_hit, 1);
    aspen_fetch_or(&vma->swap_window, FOUND);
}
