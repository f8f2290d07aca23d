/* SPDX-License-Identifier: MIT */
/*
 * rmap/unmap.c - takes mappings down. There is one code path; a descriptor
 * (struct aspen_unmap) says what to zap, which tables to free and how far to
 * walk.
 *
 * I1  Allocates nothing and cannot fail.
 * I2  Zap, then unlink from the reverse maps, then free tables: a reverse-map
 *     walker takes no mmap lock, so a table may go only when no VMA leads to
 *     it any more.
 * I3  Who writes an object's pages back, or takes raw memory away, finds the
 *     processors that could still write there through its reverse map: so what
 *     they can write is flushed before the VMA is unlinked. So is what reclaim
 *     has taken and not flushed yet (take.c).
 *
 * Called by remove.c, exit and the recovery of fork. The first test to break is
 * tests/unit/life/test_fork.c.
 */
#include "rmap/unmap.h"

#include "object/i_mmap.h"
#include "object/object.h"
#include "rmap/anon_vma.h"
#include "machine/notify.h"
#include "space/vma_hooks.h"
#include "space/zap.h"

/* ---- The VMAs of a descriptor, in order -------------------------------- */

struct walk {
    const struct aspen_unmap *unmap;
    struct aspen_tree_cursor cursor;
    struct aspen_vma *next;
};

static void
walk_begin(struct walk *walk, const struct aspen_unmap *unmap)
{
    walk->unmap = unmap;
    walk->next = unmap->first;
    if (walk->next && !unmap->detached) {
        aspen_tree_cursor_init(&walk->cursor, &unmap->mm->vmas,
                               walk->next->start);
        walk->next = aspen_tree_next(&walk->cursor, unmap->tree_end - 1);
    }
}

/* The next VMA. What it returned before may be freed by then: the tree is
 * asked by position, never through the VMA. */
static struct aspen_vma *
walk_next(struct walk *walk)
{
    struct aspen_vma *vma = walk->next;
    if (!vma)
        return NULL;
    walk->next =
        walk->unmap->detached
            ? vma->detached
            : aspen_tree_next(&walk->cursor, walk->unmap->tree_end - 1);
    return vma;
}

/* ---- Page tables ------------------------------------------------------- */

struct table_range {
    struct aspen_gather *gather;
    uint64_t floor;
    uint64_t ceiling;
};

/*
 * Free the tables below `table` that lie wholly between floor and ceiling.
 * Everything in [start, end) is unmapped already, and nothing else is between
 * floor and ceiling, so such a table maps nothing.
 */
static void
free_tables_below(const struct table_range *range, uint32_t table,
                  unsigned level, uint64_t start, uint64_t end)
{
    struct aspen *aspen = range->gather->mm->aspen;
    uint64_t *entries = aspen_table_entries(aspen, table);
    uint64_t span = aspen_entry_span(level);

    for (uint64_t base = aspen_align_down(start, span); base < end;
         base += span) {
        uint64_t *slot = &entries[aspen_table_index(base, level)];
        uint64_t entry = aspen_load(slot);
        if (!aspen_entry_is_table(entry, level))
            continue;

        bool whole = base >= range->floor && base + span <= range->ceiling;
        uint32_t below = (uint32_t)aspen_entry_frame(entry);
        if (level > 1)
            free_tables_below(range, below, level - 1,
                              whole ? base : aspen_max_u64(base, start),
                              whole ? base + span
                                    : aspen_min_u64(base + span, end));
        if (!whole)
            continue;
        aspen_table_own(aspen, table);
        aspen_table_lock(aspen, table, ASPEN_LOCK_TABLE);
        aspen_store(slot, 0);
        aspen_table_note_taken(aspen, table, range->gather->part);
        aspen_table_unlock(aspen, table);
        aspen_gather_table(range->gather, below);
    }
}

void
aspen_free_page_tables(struct aspen_gather *gather, uint64_t start,
                       uint64_t end, uint64_t floor, uint64_t ceiling)
{
    const uint64_t all = aspen_table_span(ASPEN_TABLE_LEVELS - 1);
    struct aspen_mm *mm = gather->mm;
    struct table_range range = {gather, floor, ceiling};

    /* Beyond the bounds of user space nothing is mapped: a table that lies
     * across one of them may go as well. */
    if (floor <= mm->address_floor)
        range.floor = 0;
    if (ceiling >= mm->address_limit)
        range.ceiling = all;
    free_tables_below(&range, mm->root, ASPEN_TABLE_LEVELS - 1, start, end);
}

/* ---- Regions ----------------------------------------------------------- */

static void
unmap_vmas(struct aspen_gather *gather, const struct aspen_unmap *unmap)
{
    struct walk walk;
    struct aspen_vma *vma;

    walk_begin(&walk, unmap);
    while ((vma = walk_next(&walk)) != NULL)
        aspen_zap_range(gather, vma, aspen_max_u64(vma->start, unmap->start),
                        aspen_min_u64(vma->end, unmap->end));
}

static void
unlink_vmas(const struct aspen_unmap *unmap)
{
    struct walk walk;
    struct aspen_vma *vma;

    walk_begin(&walk, unmap);
    while ((vma = walk_next(&walk)) != NULL) {
        aspen_anon_vma_unlink(vma);
        if (vma->object)
            aspen_i_mmap_remove(vma);
    }
}

void
aspen_unmap_region(const struct aspen_unmap *unmap)
{
    struct aspen_mm *mm = unmap->mm;
    struct aspen_gather gather;

    if (!unmap->first)
        return;
    aspen_port_cache_flush(mm->root);
    aspen_notify_start(mm, unmap->start, unmap->end);
    aspen_gather_begin(&gather, mm, unmap->quiet);
    unmap_vmas(&gather, unmap);
    aspen_gather_before_unlink(&gather); /* I3 */
    unlink_vmas(unmap);
    aspen_free_page_tables(&gather, unmap->start, unmap->end,
                           unmap->table_floor, unmap->table_ceiling);
    aspen_gather_end(&gather);
    aspen_notify_end(mm, unmap->start, unmap->end);
}

/* Undo what made the VMA part of its mm, and free it. */
static void
tear_down_vma(struct aspen_mm *mm, struct aspen_vma *vma)
{
    struct aspen_object *object = vma->object;

    aspen_mm_account_vma(mm, vma->flags, aspen_vma_pages(vma), false);
    mm->map_count--;
    aspen_vma_close(vma);
    aspen_vma_free(vma);
    if (object)
        aspen_object_put(object);
}

uint64_t
aspen_tear_down_vmas(const struct aspen_unmap *unmap, uint64_t *vmas)
{
    struct walk walk;
    struct aspen_vma *vma;
    uint64_t charge = 0;
    uint64_t count = 0;

    walk_begin(&walk, unmap);
    while ((vma = walk_next(&walk)) != NULL) {
        if (vma->flags & ASPEN_VM_ACCOUNT)
            charge += aspen_vma_pages(vma);
        tear_down_vma(unmap->mm, vma);
        count++;
    }
    if (vmas)
        *vmas = count;
    return charge;
}
