/* SPDX-License-Identifier: MIT */
/*
 * inspect/walk.c - look at every entry of a range.
 *
 * A walk takes as long as there are tables: an area of terabytes without a
 * table is four loads. Called by maps, smaps, dumps and hashes; the validator
 * has a walk of its own, which trusts no table.
 */
#include "inspect/walk.h"

/* How far ahead of the entry at work its frame is fetched into the cache. */
#define PREFETCH_ENTRIES 8

struct walk {
    struct aspen *aspen;
    aspen_walk_visit *visit;
    void *context;
};

/* [start, end) lies in one table of level 0. */
static void
walk_last_level(const struct walk *walk, const uint64_t *entries,
                uint64_t start, uint64_t end)
{
    for (uint64_t address = start; address < end; address += ASPEN_PAGE_SIZE) {
        unsigned i = aspen_table_index(address, 0);
        uint64_t entry = aspen_load_relaxed(&entries[i]);
        if (!entry)
            continue;
        unsigned ahead = (i + PREFETCH_ENTRIES) % ASPEN_TABLE_ENTRIES;
        uint64_t next = aspen_load_relaxed(&entries[ahead]);
        aspen_prefetch(aspen_frame_ahead(walk->aspen, aspen_entry_frame(next)));
        walk->visit(walk->context, address, entry, 0);
    }
}

static void
walk_table(const struct walk *walk, uint32_t table, unsigned level,
           uint64_t start, uint64_t end)
{
    const uint64_t *entries = aspen_table_entries(walk->aspen, table);
    uint64_t span = aspen_entry_span(level);
    uint64_t stop;

    if (level == 0) {
        walk_last_level(walk, entries, start, end);
        return;
    }
    for (uint64_t address = start; address < end; address = stop) {
        uint64_t base = aspen_align_down(address, span);
        uint64_t entry =
            aspen_load(&entries[aspen_table_index(address, level)]);
        stop = aspen_min_u64(base + span, end);
        if (aspen_entry_is_table(entry, level))
            walk_table(walk, (uint32_t)aspen_entry_frame(entry), level - 1,
                       address, stop);
        else if (entry)
            walk->visit(walk->context, base, entry, level);
    }
}

void
aspen_walk_entries(struct aspen_mm *mm, uint64_t start, uint64_t end,
                   aspen_walk_visit *visit, void *context)
{
    struct walk walk = {mm->aspen, visit, context};

    if (start < end)
        walk_table(&walk, mm->root, ASPEN_TABLE_LEVELS - 1, start, end);
}
