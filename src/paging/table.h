/* SPDX-License-Identifier: MIT */
/*
 * paging/table.h - page tables: make them, walk them, give them back.
 *
 * I1  A table is a frame of type TABLE whose owner is its mm, whose offset is
 *     first address >> 12 plus its level, and whose reference count is the
 *     number of entries that lead to it (the top table: 1).
 * I2  Entries of a table change only under that table's lock and after
 *     aspen_table_own(). Readers may look without it, under RCU.
 * I3  mm->page_tables counts all tables of the mm but the top one: whoever
 *     links a table adds one, aspen_gather_table() subtracts one.
 *
 * A table has three stages. ASPEN_COUNT_TABLE counts it while it is in use;
 * tables_waiting[].count counts it while readers under RCU may still look at it
 * (its owner is NULL then); at last it is a free frame.
 */
#ifndef ASPEN_PAGING_TABLE_H
#define ASPEN_PAGING_TABLE_H

#include "frames/frames.h"
#include "paging/entry.h"

/* One entry, where it is. */
struct aspen_slot {
    uint64_t *entry;
    uint32_t table; /* the frame of the table that holds it */
    unsigned level;
};

static inline uint64_t *
aspen_table_entries(struct aspen *aspen, uint32_t table)
{
    return aspen_frame_pointer(aspen, table);
}

/* How many entries of a top table are the core's, from the first on; the others
 * are the kernel's half. */
static inline unsigned
aspen_table_top_entries(const struct aspen *aspen)
{
    uint64_t start = aspen->config.kernel_start;

    return start ? aspen_table_index(start, ASPEN_TABLE_LEVELS - 1)
                 : ASPEN_TABLE_ENTRIES;
}

/* The slot of `address` in a table of `level`. */
static inline void
aspen_slot_at(struct aspen *aspen, struct aspen_slot *slot, uint32_t table,
              unsigned level, uint64_t address)
{
    slot->table = table;
    slot->level = level;
    slot->entry =
        &aspen_table_entries(aspen, table)[aspen_table_index(address, level)];
}

static inline void
aspen_table_lock(struct aspen *aspen, uint32_t table,
                 enum aspen_lock_class lock_class)
{
    aspen_spin_lock(&aspen_frame_at(aspen, table)->table_lock, lock_class);
}

static inline void
aspen_table_unlock(struct aspen *aspen, uint32_t table)
{
    aspen_spin_unlock(&aspen_frame_at(aspen, table)->table_lock);
}

/*
 * Change a live entry, under its table's lock. Where the processor itself
 * writes accessed and dirty bits into entries (the port then defines
 * ASPEN_PORT_MMU_WRITES_ENTRIES) a plain store could lose one that it writes
 * at the same moment, so these are atomic there. They return what was there
 * (clear), or what is there now (write_protect).
 */
static inline uint64_t
aspen_slot_clear(uint64_t *slot, uint64_t entry)
{
#ifdef ASPEN_PORT_MMU_WRITES_ENTRIES
    (void)entry;
    return aspen_exchange(slot, (uint64_t)0);
#else
    aspen_store(slot, (uint64_t)0); /* after it was counted as pending */
    return entry;
#endif
}

/* The page of a leaf of level 0, or what stands for one, goes, and its place
 * stays marked if that was (paging/entry.h). Returns what was there. */
static inline uint64_t
aspen_slot_clear_to_mark(uint64_t *slot, uint64_t entry)
{
    if (aspen_unlikely(aspen_entry_is_marked(entry, 0)))
        return aspen_exchange(slot,
                              aspen_entry_make_marker(ASPEN_MARKER_UFFD_WP));
    return aspen_slot_clear(slot, entry);
}

static inline uint64_t
aspen_slot_write_protect(uint64_t *slot, uint64_t entry)
{
#ifdef ASPEN_PORT_MMU_WRITES_ENTRIES
    while (
        !aspen_compare_exchange(slot, &entry, aspen_entry_write_protect(entry)))
        ;
    return aspen_entry_write_protect(entry);
#else
    entry = aspen_entry_write_protect(entry);
    aspen_store_relaxed(slot, entry);
    return entry;
#endif
}

/* Take bits off, whatever the processor sets meanwhile. False: there were
 * none. */
static inline bool
aspen_slot_clear_bits(uint64_t *slot, uint64_t entry, unsigned bits)
{
    uint64_t cleared;

    do {
        cleared = aspen_entry_clear_bits(entry, bits);
        if (cleared == entry)
            return false;
    } while (!aspen_compare_exchange(slot, &entry, cleared));
    return true;
}

/*
 * Call it before every write of an entry of `table`: it makes the table this
 * space's own. Tables are not shared yet, so it only asserts that.
 */
static inline void
aspen_table_own(struct aspen *aspen, uint32_t table)
{
    (void)aspen;
    (void)table;
    ASPEN_ASSERT_TEST(aspen_frame_references(aspen_frame_at(aspen, table)) ==
                      1);
}

/* A zeroed table of `level` for `address`; not linked anywhere yet, and not
 * counted in mm->page_tables. 0 or -ASPEN_ENOMEM (ASPEN_STEP_PAGE_TABLE). */
ASPEN_MUST_USE int aspen_table_alloc(struct aspen_mm *mm, uint64_t address,
                                     unsigned level, uint32_t *table);

/* Free a table that no walker can reach (never linked, or its space is gone):
 * at once. */
void aspen_table_free(struct aspen *aspen, uint32_t table);

/* Free a list of tables (linked by table_next, ended by 0) that walkers may
 * still read, after a grace period. The TLB has been flushed. */
void aspen_table_free_waiting(struct aspen *aspen, uint32_t list);

/* Tables that wait for a grace period. Exact when nothing runs. */
uint64_t aspen_tables_waiting(const struct aspen *aspen);

/*
 * Bound the tables that wait: when they are more than an eighth of the
 * machine's frames this waits for their grace period. Whoever may have freed
 * some calls it when its locks are dropped, so that nobody waits for readers
 * with it. Context: may sleep; no lock is held.
 */
void aspen_tables_settle(struct aspen *aspen);

/* Wait until no table waits any more. Context: may sleep. */
void aspen_tables_drain(struct aspen *aspen);

/*
 * The entry of `address` at `level`; makes the tables above it. 0 and *slot, or
 * -ASPEN_ENOMEM (tables made so far stay: an empty table is not state), or
 * -ASPEN_EEXIST: there is a leaf above, and *slot is that one.
 *
 * Context: mmap lock or VMA lock held; takes and drops table locks.
 */
ASPEN_MUST_USE int aspen_table_walk_alloc_from(struct aspen_mm *mm,
                                               uint64_t address, unsigned level,
                                               enum aspen_frames_from from,
                                               struct aspen_slot *slot);

ASPEN_MUST_USE static inline int
aspen_table_walk_alloc(struct aspen_mm *mm, uint64_t address, unsigned level,
                       struct aspen_slot *slot)
{
    return aspen_table_walk_alloc_from(mm, address, level, ASPEN_FRAMES_ALL,
                                       slot);
}

/*
 * The deepest entry that exists for `address`: a leaf, swap entry or marker,
 * or none at the level where the tables end. Returns the entry as read.
 *
 * Context: mmap or VMA lock, or RCU, or a lock of rmap.
 */
uint64_t aspen_table_walk(struct aspen_mm *mm, uint64_t address,
                          struct aspen_slot *slot);

/* Where the next walk has to begin, after one of `address` that found `slot`:
 * behind the table of level 0, whose entries are side by side, or behind the
 * entry of a higher level. */
static inline uint64_t
aspen_slot_end(const struct aspen_slot *slot, uint64_t address)
{
    uint64_t span =
        slot->level ? aspen_entry_span(slot->level) : aspen_table_span(0);

    return aspen_align_down(address, span) + span;
}

/* ASPEN_ENTRY_* that a VMA's flags allow, and its key: without WRITE for a
 * private page that others may share. */
unsigned aspen_entry_bits_of(const struct aspen *aspen, uint64_t vm_flags);

/* And what the leaf of a raw frame has besides: it is not counted, and cached
 * as its mapping says. */
static inline unsigned
aspen_entry_raw_bits(uint64_t vm_flags)
{
    unsigned mode =
        (unsigned)((vm_flags & ASPEN_VM_CACHE) >> ASPEN_VM_CACHE_SHIFT);

    if (mode > ASPEN_ENTRY_CACHE_LAST)
        mode = ASPEN_ENTRY_CACHE_LAST;
    return ASPEN_ENTRY_SPECIAL | mode << ASPEN_ENTRY_CACHE_SHIFT;
}

/* For who does not know which levels the leaves have (aspen/tlb.h). */
#define ASPEN_LEVELS_ALL ((1u << (ASPEN_ORDER_MAX / ASPEN_TABLE_SHIFT + 1)) - 1)

/*
 * Flush [start, end) of mm from the TLBs of its CPUs, and raise its generation.
 * Context: no spin lock is held, and the caller is no RCU reader: other CPUs
 * are waited for, and they may spin for a lock with interrupts off.
 */
void aspen_tlb_flush(struct aspen_mm *mm, uint64_t start, uint64_t end,
                     unsigned levels, bool tables);

/*
 * Pending: nobody flushes under a table's lock. Who takes entries away, or
 * rights off them, counts itself before it looks at the first entry, and off
 * after the flush. So who finds nothing left to do knows whether that is so for
 * the processors as well: if others are pending it flushes what it looked at.
 * (Linux has mm_tlb_flush_nested for it.)
 *
 * He counts himself in the part of the space that is his CPU's, and notes in
 * each table that he takes something from which part that is; a table made
 * where one was taken has the notes of the table above it. So who fills an
 * entry asks the table, whose lock he has, and then those parts alone: faults
 * of pages that nobody takes away write nothing together, and read nothing that
 * others write.
 *
 *     table_taken   31               8 7         0
 *                  | how often taken | parts      |
 */
#define ASPEN_TAKEN_PARTS 0xffu
#define ASPEN_TAKEN_ONCE  0x100u

ASPEN_STATIC_ASSERT(ASPEN_MM_PARTS <= 8, "a bit for each part");

/* Returns the part, for the others. */
ASPEN_MUST_USE static inline unsigned
aspen_tlb_pending_begin(struct aspen_mm *mm)
{
    unsigned part = aspen_mm_part();

    aspen_fetch_add(&mm->parts[part].tlb_pending, 1);
    return part;
}

static inline void
aspen_tlb_pending_end(struct aspen_mm *mm, unsigned part)
{
    aspen_fetch_sub(&mm->parts[part].tlb_pending, 1);
}

/* More than `own`, the caller's, in any part? */
bool aspen_tlb_pending(const struct aspen_mm *mm, uint32_t own);

/* An entry that led to a page, or to a table, does not any more, or allows
 * less; the table's lock is held, or nobody else knows the table. */
static inline void
aspen_table_note_taken(struct aspen *aspen, uint32_t table, unsigned part)
{
    struct aspen_frame *frame = aspen_frame_at(aspen, table);

    frame->table_taken = (frame->table_taken + ASPEN_TAKEN_ONCE) | 1u << part;
}

/* `table` is about to be where something may have been taken from `above`,
 * whose lock is held. */
static inline void
aspen_table_inherit_taken(struct aspen *aspen, uint32_t table, uint32_t above)
{
    aspen_frame_at(aspen, table)->table_taken =
        aspen_frame_at(aspen, above)->table_taken & ASPEN_TAKEN_PARTS;
}

/*
 * Flush [start, end), which lies in the table. The table's lock is held, given
 * back for the flush, and taken again; and all that once more if entries were
 * taken away meanwhile, which the flush may not have covered. So when this
 * returns no processor has anything cached of [start, end) but what the table
 * has. Context: no other spin lock is held.
 */
void aspen_table_settle(struct aspen_mm *mm, uint32_t table, uint64_t start,
                        uint64_t end);

/* Is a flush to come of what was taken from the table, whose lock is held? If
 * not, its notes are gone. */
ASPEN_MUST_USE bool aspen_table_is_pending(struct aspen_mm *mm, uint32_t table);

/*
 * Lock a table before entries of [start, end), which lies in it, lead to pages
 * that they did not lead to, or allow more: no processor goes on reading what
 * stood there once others write to what stands there now.
 */
static inline void
aspen_table_lock_settled(struct aspen_mm *mm, uint32_t table, uint64_t start,
                         uint64_t end)
{
    aspen_table_lock(mm->aspen, table, ASPEN_LOCK_TABLE);
    if (aspen_unlikely(aspen_frame_at(mm->aspen, table)->table_taken &
                       ASPEN_TAKEN_PARTS) &&
        aspen_table_is_pending(mm, table))
        aspen_table_settle(mm, table, start, end);
}

#endif
