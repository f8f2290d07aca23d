/* SPDX-License-Identifier: MIT */
/*
 * inspect/walk.h - look at every entry of a range of an address space.
 */
#ifndef ASPEN_INSPECT_WALK_H
#define ASPEN_INSPECT_WALK_H

#include "paging/table.h"

/* Called for each entry that is neither none nor a table, in order of
 * address. `address` is where the entry begins. */
typedef void aspen_walk_visit(void *context, uint64_t address, uint64_t entry,
                              unsigned level);

/*
 * Walk the entries that map something in [start, end). Entries may change
 * meanwhile (faults); each is read once.
 *
 * Context: mmap lock.
 */
void aspen_walk_entries(struct aspen_mm *mm, uint64_t start, uint64_t end,
                        aspen_walk_visit *visit, void *context);

/* A leaf of a page that is counted: no raw frame, not the zero page. */
static inline bool
aspen_walk_is_page(uint64_t entry, unsigned level)
{
    return aspen_entry_is_leaf(entry, level) &&
           !(aspen_entry_bits(entry) & ASPEN_ENTRY_SPECIAL);
}

/* Pages of 4 KiB that an entry of this level covers. */
static inline uint64_t
aspen_walk_pages(unsigned level)
{
    return (uint64_t)1 << (ASPEN_TABLE_SHIFT * level);
}

#endif
