/* SPDX-License-Identifier: MIT */
/*
 * space/young.c - pages that were accessed, counted and cleared.
 *
 *     for each table   under its lock: which pages are there, which are young,
 *                      which are so no more
 *                      without it: the second MMUs are asked of each page
 *     at the end       one flush
 *
 * Called by the embedder. The first test to break is
 * tests/unit/calls/test_young.c.
 */
#include <aspen/calls/young.h>

#include "machine/notify.h"
#include "paging/gather.h"

#define WORDS (ASPEN_TABLE_ENTRIES / 64)

struct age {
    struct aspen_mm *mm;
    bool clear;
    uint64_t pages;
    struct aspen_gather gather;
    /* Of one table of level 0, a bit for each entry. */
    uint64_t there[WORDS];
    uint64_t young[WORDS];
};

/* Was it young? The table's lock is held. */
static bool
age_leaf(struct age *age, uint64_t *slot, uint64_t entry, uint64_t address,
         unsigned level)
{
    if (!age->clear)
        return aspen_entry_bits(entry) & ASPEN_ENTRY_YOUNG;
    if (!aspen_slot_clear_bits(slot, entry, ASPEN_ENTRY_YOUNG))
        return false;
    aspen_gather_leaf(&age->gather, address, level);
    return true;
}

/* No spin lock is held. */
static bool
second_was_there(const struct age *age, uint64_t address, uint64_t bytes)
{
    return age->clear
               ? aspen_notify_clear_young(age->mm, address, address + bytes)
               : aspen_notify_test_young(age->mm, address, address + bytes);
}

/* ---- Pages of one table ------------------------------------------------ */

static void
look(struct age *age, const struct aspen_slot *slot, uint64_t start,
     uint64_t end)
{
    struct aspen *aspen = age->mm->aspen;
    uint64_t *at = slot->entry;
    unsigned i = aspen_table_index(start, 0);

    aspen_table_own(aspen, slot->table);
    aspen_table_lock(aspen, slot->table, ASPEN_LOCK_TABLE);
    for (; start < end; start += ASPEN_PAGE_SIZE, at++, i++) {
        uint64_t entry = aspen_load_relaxed(at);
        if (!aspen_entry_is_leaf(entry, 0))
            continue;
        age->there[i / 64] |= (uint64_t)1 << i % 64;
        if (age_leaf(age, at, entry, start, 0))
            age->young[i / 64] |= (uint64_t)1 << i % 64;
    }
    aspen_table_unlock(aspen, slot->table);
}

/* [start, end) lies in the one table of level 0. */
static void
age_table(struct age *age, const struct aspen_slot *slot, uint64_t start,
          uint64_t end)
{
    const uint64_t base = aspen_align_down(start, aspen_table_span(0));

    memset(age->there, 0, sizeof(age->there));
    memset(age->young, 0, sizeof(age->young));
    look(age, slot, start, end);
    for (unsigned word = 0; word < WORDS; word++) {
        for (uint64_t left = age->there[word]; left; left &= left - 1) {
            unsigned bit = aspen_lowest_bit(left);
            uint64_t page =
                base + ((uint64_t)(word * 64 + bit) << ASPEN_PAGE_SHIFT);
            bool second = second_was_there(age, page, ASPEN_PAGE_SIZE);
            age->pages += second || age->young[word] >> bit & 1;
        }
    }
}

/* ---- A huge page ------------------------------------------------------- */

/* [start, end) lies in the slot's, which has all of it or nothing. */
static void
age_huge(struct age *age, const struct aspen_slot *slot, uint64_t start,
         uint64_t end)
{
    struct aspen *aspen = age->mm->aspen;
    uint64_t span = aspen_entry_span(slot->level);
    uint64_t first = aspen_align_down(start, span);
    bool young = false;

    aspen_table_own(aspen, slot->table);
    aspen_table_lock(aspen, slot->table, ASPEN_LOCK_TABLE);
    uint64_t entry = aspen_load_relaxed(slot->entry);
    bool there = aspen_entry_is_leaf(entry, slot->level);
    if (there)
        young = age_leaf(age, slot->entry, entry, first, slot->level);
    aspen_table_unlock(aspen, slot->table);
    if (there && (second_was_there(age, first, span) || young))
        age->pages += (end - start) >> ASPEN_PAGE_SHIFT;
}

/* ---- The whole --------------------------------------------------------- */

static void
age_range(struct age *age, uint64_t start, uint64_t end)
{
    struct aspen_slot slot;
    uint64_t stop;

    aspen_gather_begin(&age->gather, age->mm, false);
    for (; start < end; start = stop) {
        uint64_t entry = aspen_table_walk(age->mm, start, &slot);
        stop = aspen_min_u64(aspen_slot_end(&slot, start), end);
        if (slot.level == 0)
            age_table(age, &slot, start, stop);
        else if (entry)
            age_huge(age, &slot, start, stop);
    }
    aspen_gather_end(&age->gather);
}

int
aspen_young(struct aspen_mm *mm, uint64_t address, uint64_t length_bytes,
            unsigned flags, uint64_t *pages)
{
    struct age age = {.mm = mm, .clear = flags & ASPEN_YOUNG_CLEAR};

    if (flags & ~ASPEN_YOUNG_CLEAR || address > mm->address_limit ||
        length_bytes > mm->address_limit - address ||
        !aspen_is_aligned(address | length_bytes, ASPEN_PAGE_SIZE))
        return -ASPEN_EINVAL;
    aspen_read_lock(&mm->mmap_lock, ASPEN_LOCK_MM);
    age_range(&age, address, address + length_bytes);
    aspen_read_unlock(&mm->mmap_lock);
    *pages = age.pages;
    return 0;
}
