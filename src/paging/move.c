/* SPDX-License-Identifier: MIT */
/*
 * paging/move.c - page-table entries go to another address.
 *
 *     from [      table 1      |      table 2      |  table 3 ]
 *     to       [      table 4      |      table 5      |  ...  ]
 *            extents: <-1-4-><-1-5-><-2-5-> ...
 *
 * An extent is what moves under one pair of locks: entries of one table to one
 * table, or, where both sides are aligned, one entry that leads to a whole
 * table or is a huge page.
 *
 * I1  Every entry is at one of the two places. The caller keeps walkers of
 *     reverse maps away, so nobody sees the moment in between.
 * I2  Counts of frames, swap slots and resident pages do not change.
 * I3  Entries that moved are flushed from the TLBs before walkers come back:
 *     none may write-protect a page at its new place while the program still
 *     writes to it through the old one.
 *
 * Called by mremap. The first test to break is tests/unit/calls/test_mremap.c.
 */
#include "paging/move.h"

#include "paging/gather.h"

struct extent {
    uint64_t offset; /* from the start of both ranges */
    uint64_t bytes;
    unsigned level; /* of the entry that moves; 0: several of one table */
    bool huge;
};

/* ---- Extents ----------------------------------------------------------- */

/* Bytes to the end of the last-level table of `address`. */
static uint64_t
table_rest(uint64_t address)
{
    const uint64_t span = aspen_table_span(0);

    return span - (address & (span - 1));
}

/* What is below a last-level table: all of it, or some entries. */
static void
extent_of_table(const struct aspen_table_move *move, struct extent *extent)
{
    uint64_t bytes = move->bytes - extent->offset;

    bytes = aspen_min_u64(bytes, table_rest(move->from + extent->offset));
    bytes = aspen_min_u64(bytes, table_rest(move->to + extent->offset));
    extent->bytes = bytes;
    /* Where entries change on the way they are moved one by one. */
    extent->level =
        bytes == aspen_table_span(0) && !move->drop_userfault ? 1 : 0;
    extent->huge = false;
}

/* The next one; zero before the first. A hole in the tables is none. */
static bool
next_extent(const struct aspen_table_move *move, struct extent *extent)
{
    extent->offset += extent->bytes;
    while (extent->offset < move->bytes) {
        struct aspen_slot slot;
        uint64_t from = move->from + extent->offset;
        uint64_t entry = aspen_table_walk(move->mm, from, &slot);
        uint64_t span = aspen_entry_span(slot.level);

        if (slot.level == 0) {
            extent_of_table(move, extent);
            return true;
        }
        if (entry) {
            extent->bytes = span;
            extent->level = slot.level;
            extent->huge = true;
            return true;
        }
        extent->offset += span - (from & (span - 1));
    }
    return false;
}

int
aspen_table_move_check(const struct aspen_table_move *move)
{
    struct extent extent = {0};

    while (next_extent(move, &extent)) {
        uint64_t from = move->from + extent.offset;
        uint64_t to = move->to + extent.offset;
        if (extent.huge && (!aspen_is_aligned(from | to, extent.bytes) ||
                            extent.bytes > move->bytes - extent.offset))
            return -ASPEN_EOPNOTSUPP;
    }
    return 0;
}

/* ---- Tables put aside -------------------------------------------------- */

static int
put_aside(struct aspen_table_move *move, uint64_t address, unsigned level)
{
    uint32_t table;

    int error = aspen_table_alloc(move->mm, address, level, &table);
    if (error)
        return error;
    aspen_frame_at(move->mm->aspen, table)->table_next = move->spare;
    move->spare = table;
    return 0;
}

/* The tables on the way to the entry of `address` at `level`. */
static int
reserve_way(struct aspen_table_move *move, uint64_t address, unsigned level)
{
    unsigned have = ASPEN_TABLE_LEVELS - 1; /* the lowest that is there */
    struct aspen_slot slot;

    if (!move->target_goes) {
        aspen_table_walk(move->mm, address, &slot);
        have = slot.level;
    }
    for (unsigned i = level; i < have; i++) {
        uint64_t span = aspen_table_span(i);
        if (move->counted[i] > address)
            continue;
        int error = put_aside(move, address, i);
        if (error)
            return error;
        move->counted[i] = aspen_align_down(address, span) + span;
    }
    return 0;
}

int
aspen_table_move_reserve(struct aspen_table_move *move)
{
    struct extent extent = {0};

    move->spare = 0;
    memset(move->counted, 0, sizeof(move->counted));
    while (next_extent(move, &extent)) {
        int error = reserve_way(move, move->to + extent.offset, extent.level);
        if (error) {
            aspen_table_move_finish(move);
            return error;
        }
    }
    return 0;
}

/* Put a table that was put aside into a slot where none is; somebody who
 * faults next to the target may be quicker. Returns what stands there. */
static uint64_t
install_spare(struct aspen_table_move *move, const struct aspen_slot *slot,
              uint64_t address)
{
    struct aspen *aspen = move->mm->aspen;
    uint32_t table = move->spare;
    unsigned level = slot->level - 1;
    uint64_t first = aspen_align_down(address, aspen_table_span(level));

    ASPEN_ASSERT(table != 0);
    aspen_table_own(aspen, slot->table);
    aspen_table_lock(aspen, slot->table, ASPEN_LOCK_TABLE);
    uint64_t entry = aspen_load_relaxed(slot->entry);
    if (!entry) {
        move->spare = aspen_frame_at(aspen, table)->table_next;
        aspen_frame_set(aspen_frame_at(aspen, table), ASPEN_FRAME_TABLE,
                        move->mm, aspen_bytes_to_pages(first) | level, 0);
        aspen_table_inherit_taken(aspen, table, slot->table);
        entry = aspen_entry_make_table(table);
        aspen_store(slot->entry, entry);
        aspen_fetch_add_relaxed(&move->mm->page_tables, 1);
    }
    aspen_table_unlock(aspen, slot->table);
    return entry;
}

/* The slot of `address` at `level`; tables on the way are made. */
static struct aspen_slot
slot_to(struct aspen_table_move *move, uint64_t address, unsigned level)
{
    struct aspen_mm *mm = move->mm;
    struct aspen_slot slot;

    aspen_slot_at(mm->aspen, &slot, mm->root, ASPEN_TABLE_LEVELS - 1, address);
    while (slot.level > level) {
        uint64_t entry = aspen_load(slot.entry);
        if (!entry)
            entry = install_spare(move, &slot, address);
        ASPEN_ASSERT(aspen_entry_is_table(entry, slot.level));
        aspen_slot_at(mm->aspen, &slot, (uint32_t)aspen_entry_frame(entry),
                      slot.level - 1, address);
    }
    return slot;
}

/* ---- Commit ------------------------------------------------------------ */

/* What an entry becomes; 0: nothing is left of it. */
static uint64_t
moved_entry(const struct aspen_table_move *move, uint64_t entry, unsigned level)
{
    return aspen_likely(!move->drop_userfault)
               ? entry
               : aspen_entry_unmark(entry, level);
}

static bool
any_entry(const struct aspen_slot *slot, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        if (aspen_load_relaxed(&slot->entry[i]))
            return true;
    return false;
}

static void
move_entries(struct aspen_table_move *move, const struct aspen_gather *gather,
             const struct extent *extent)
{
    struct aspen *aspen = move->mm->aspen;
    struct aspen_slot from = slot_to(move, move->from + extent->offset, 0);
    uint64_t count = extent->bytes >> ASPEN_PAGE_SHIFT;

    /* Somebody who faults next to the source has made the table since others
     * were put aside, and there is none for the target. */
    if (!any_entry(&from, count))
        return;
    struct aspen_slot to = slot_to(move, move->to + extent->offset, 0);
    bool one = from.table == to.table;

    aspen_table_own(aspen, from.table);
    aspen_table_own(aspen, to.table);
    aspen_table_lock(aspen, to.table,
                     one ? ASPEN_LOCK_TABLE : ASPEN_LOCK_TABLE_CHILD);
    if (!one)
        aspen_table_lock(aspen, from.table, ASPEN_LOCK_TABLE_PARENT);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t entry = aspen_load_relaxed(&from.entry[i]);
        if (!entry)
            continue;
        entry = aspen_slot_clear(&from.entry[i], entry);
        aspen_store(&to.entry[i], moved_entry(move, entry, 0));
    }
    aspen_table_note_taken(aspen, from.table, gather->part);
    if (!one)
        aspen_table_unlock(aspen, from.table);
    aspen_table_unlock(aspen, to.table);
}

static uint64_t
exchange_slot(struct aspen *aspen, const struct aspen_slot *slot,
              uint64_t entry, unsigned part)
{
    aspen_table_own(aspen, slot->table);
    aspen_table_lock(aspen, slot->table, ASPEN_LOCK_TABLE);
    uint64_t old =
        aspen_slot_clear(slot->entry, aspen_load_relaxed(slot->entry));
    aspen_table_note_taken(aspen, slot->table, part);
    if (aspen_entry_is_table(entry, slot->level))
        aspen_table_inherit_taken(aspen, (uint32_t)aspen_entry_frame(entry),
                                  slot->table);
    aspen_store(slot->entry, entry);
    aspen_table_unlock(aspen, slot->table);
    return old;
}

/* A table, or a huge page, at once. */
static void
move_whole(struct aspen_table_move *move, struct aspen_gather *gather,
           const struct extent *extent)
{
    struct aspen *aspen = move->mm->aspen;
    uint64_t address = move->to + extent->offset;
    unsigned level = extent->level;
    struct aspen_slot from = slot_to(move, move->from + extent->offset, level);
    struct aspen_slot to = slot_to(move, address, level);

    uint64_t entry = exchange_slot(aspen, &from, 0, gather->part);
    if (!extent->huge) {
        aspen_frame_set(
            aspen_frame_at(aspen, (uint32_t)aspen_entry_frame(entry)),
            ASPEN_FRAME_TABLE, move->mm,
            aspen_bytes_to_pages(address) | (level - 1), 0);
        gather->tables_freed = true;
    } else {
        entry = moved_entry(move, entry, level);
    }
    uint64_t old = exchange_slot(aspen, &to, entry, gather->part);
    /* An empty table may have been left there. */
    if (old)
        aspen_gather_table(gather, (uint32_t)aspen_entry_frame(old));
}

/* The leaves that move: what moves, or all below the table that does. */
static unsigned
levels_of(const struct extent *extent)
{
    unsigned bit = 1u << extent->level;

    return extent->level == 0 || extent->huge ? bit : bit - 1;
}

void
aspen_table_move_commit(struct aspen_table_move *move)
{
    struct extent extent = {0};
    struct aspen_gather gather;

    aspen_gather_begin(&gather, move->mm, false);
    while (next_extent(move, &extent)) {
        if (extent.level > 0)
            move_whole(move, &gather, &extent);
        else
            move_entries(move, &gather, &extent);
        aspen_gather_range(&gather, move->from + extent.offset, extent.bytes,
                           levels_of(&extent));
    }
    aspen_gather_end(&gather);
}

void
aspen_table_move_finish(struct aspen_table_move *move)
{
    struct aspen *aspen = move->mm->aspen;

    while (move->spare) {
        uint32_t next = aspen_frame_at(aspen, move->spare)->table_next;
        aspen_table_free(aspen, move->spare);
        move->spare = next;
    }
}
