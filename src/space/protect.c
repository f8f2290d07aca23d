/* SPDX-License-Identifier: MIT */
/*
 * space/protect.c - page-table entries follow their VMAs' flags.
 *
 * I1  Bits that the processor sets in an entry meanwhile (accessed, dirty)
 *     stay: entries change by compare and exchange under their table's lock.
 * I2  Entries that are no leaf (swap, markers) say nothing about access.
 *
 * Called by mprotect. The first test to break is
 * tests/unit/calls/test_mprotect.c.
 */
#include "space/protect.h"

#include "machine/notify.h"
#include "paging/gather.h"
#include "paging/icache.h"

struct protect {
    struct aspen *aspen;
    unsigned bits; /* READ, WRITE, EXEC that the VMA allows, and its key */
    struct aspen_gather gather; /* no frames: what has to be flushed */
};

static void
protect_leaf(struct protect *protect, uint64_t *slot, uint64_t entry,
             uint64_t address, unsigned level)
{
    const unsigned access = ASPEN_ENTRY_ACCESS | ASPEN_ENTRY_PKEY;
    uint64_t new;

    do {
        unsigned have = aspen_entry_bits(entry) & access;
        /* What it may be, but writable only if it is. */
        unsigned want = protect->bits & (have | (access & ~ASPEN_ENTRY_WRITE));
        new = aspen_icache_entry(
            protect->aspen,
            aspen_entry_set_bits(aspen_entry_clear_bits(entry, access & ~want),
                                 want));
        if (new == entry)
            return;
    } while (!aspen_compare_exchange(slot, &entry, new));
    aspen_gather_leaf(&protect->gather, address, level);
}

static void
protect_table(struct protect *protect, uint32_t table, unsigned level,
              uint64_t start, uint64_t end)
{
    struct aspen *aspen = protect->aspen;
    uint64_t *entries = aspen_table_entries(aspen, table);
    uint64_t span = aspen_entry_span(level);
    uint64_t stop;

    aspen_table_own(aspen, table);
    aspen_table_lock(aspen, table, ASPEN_LOCK_TABLE);
    for (uint64_t address = start; address < end; address = stop) {
        stop = aspen_min_u64(aspen_align_down(address, span) + span, end);
        uint64_t *slot = &entries[aspen_table_index(address, level)];
        uint64_t entry = aspen_load(slot);
        if (aspen_entry_is_leaf(entry, level))
            protect_leaf(protect, slot, entry, address, level);
    }
    aspen_table_unlock(aspen, table);
}

/* The tables below `table`, then its own leaves: one lock at a time. */
static void
protect_level(struct protect *protect, uint32_t table, unsigned level,
              uint64_t start, uint64_t end)
{
    uint64_t *entries = aspen_table_entries(protect->aspen, table);
    uint64_t span = aspen_entry_span(level);
    bool leaves = level == 0;
    uint64_t stop;

    for (uint64_t address = start; level > 0 && address < end; address = stop) {
        stop = aspen_min_u64(aspen_align_down(address, span) + span, end);
        uint64_t entry =
            aspen_load(&entries[aspen_table_index(address, level)]);
        leaves |= aspen_entry_is_leaf(entry, level);
        if (aspen_entry_is_table(entry, level))
            protect_level(protect, (uint32_t)aspen_entry_frame(entry),
                          level - 1, address, stop);
    }
    if (leaves)
        protect_table(protect, table, level, start, end);
}

/* What entries of the VMA may allow, WRITE included. */
static unsigned
bits_of(const struct aspen_vma *vma)
{
    unsigned bits = aspen_entry_bits_of(vma->mm->aspen, vma->flags);

    return vma->flags & ASPEN_VM_WRITE ? bits | ASPEN_ENTRY_WRITE : bits;
}

static void
protect_vma(struct protect *protect, const struct aspen_vma *vma,
            uint64_t start, uint64_t end)
{
    protect->bits = bits_of(vma);
    protect_level(protect, vma->mm->root, ASPEN_TABLE_LEVELS - 1,
                  aspen_max_u64(vma->start, start),
                  aspen_min_u64(vma->end, end));
}

void
aspen_protect_range(struct aspen_mm *mm, const struct aspen_vma *whole,
                    uint64_t start, uint64_t end)
{
    struct protect protect;
    struct aspen_tree_cursor cursor;

    protect.aspen = mm->aspen;
    aspen_notify_start(mm, start, end);
    aspen_gather_begin(&protect.gather, mm, false);
    aspen_gather_looks(&protect.gather, start, end);
    if (whole) {
        protect_vma(&protect, whole, start, end);
    } else {
        const struct aspen_vma *vma;
        aspen_tree_cursor_init(&cursor, &mm->vmas, start);
        while ((vma = aspen_tree_next(&cursor, end - 1)) != NULL)
            protect_vma(&protect, vma, start, end);
    }
    aspen_gather_end(&protect.gather);
    aspen_notify_end(mm, start, end);
}
