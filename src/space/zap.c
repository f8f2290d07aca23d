/* SPDX-License-Identifier: MIT */
/*
 * space/zap.c - takes the pages of a range away: clears entries, and puts what
 * they led to into a gather.
 *
 * I1  Allocates nothing and cannot fail.
 * I2  An entry is cleared under its table's lock; its frame is given back only
 *     after the TLB flush (paging/gather.h).
 *
 * Called by unmap, madvise, guards and truncation. The first test to break is
 * tests/unit/calls/test_munmap.c.
 */
#include "space/zap.h"

#include "machine/swap_map.h"

/* How far ahead of the entry at work a frame is fetched into the cache. */
#define PREFETCH_ENTRIES 8

struct zap {
    struct aspen_gather *gather;
    struct aspen *aspen;
    struct aspen_vma *vma;
    enum aspen_zap what;
    uint64_t zapped[ASPEN_RSS_KINDS]; /* pages, by kind */
};

/* The entry leads to a page that others may find: it was written, or may be
 * until the flush. At once, under the table's lock: who moves the page looks
 * there when he finds the entry gone (migrate/move.c, I4). */
static inline void
carry_dirt(struct aspen_frame *frame, unsigned bits)
{
    if (bits & (ASPEN_ENTRY_DIRTY | ASPEN_ENTRY_WRITE) &&
        !(aspen_load_relaxed(&frame->index) & ASPEN_FRAME_DIRTY))
        aspen_fetch_or(&frame->index, ASPEN_FRAME_DIRTY);
}

static void
zap_leaf(struct zap *zap, uint64_t address, uint64_t entry, unsigned level)
{
    unsigned bits = aspen_entry_bits(entry);

    aspen_gather_leaf(zap->gather, address, level);
    if (bits & ASPEN_ENTRY_SPECIAL) {
        /* Who takes raw memory back goes by the reverse maps: I3 of
         * rmap/unmap.c. */
        if (aspen_entry_frame(entry) != zap->aspen->zero_frame)
            zap->gather->before_unlink = true;
        return;
    }

    uint32_t frame = (uint32_t)aspen_entry_frame(entry);
    enum aspen_rss kind = ASPEN_RSS_ANON;
    if (zap->vma->object) {
        kind = aspen_rss_of(aspen_frame_at(zap->aspen, frame));
        if (kind != ASPEN_RSS_ANON)
            carry_dirt(aspen_frame_at(zap->aspen, frame), bits);
    }
    if (!(aspen_load_settled_relaxed(&zap->vma->flags) & ASPEN_VM_HUGETLB))
        zap->zapped[kind] += (uint64_t)1 << (ASPEN_TABLE_SHIFT * level);
    if (kind != ASPEN_RSS_ANON && bits & ASPEN_ENTRY_WRITE)
        aspen_gather_written(zap->gather, frame);
    else
        aspen_gather_frame(zap->gather, frame);
}

/* As on Linux a page of an object may go, and its place stays protected; of
 * private zeroes nothing is left. The table's lock is held. */
static bool
keeps_mark(const struct zap *zap, uint64_t entry, unsigned level)
{
    return (zap->what == ASPEN_ZAP_NOT_GUARDS ||
            zap->what == ASPEN_ZAP_OBJECT) &&
           level == 0 && aspen_entry_is_marked(entry, level) &&
           aspen_vma_backing(zap->vma);
}

/* It goes: what was there. */
static uint64_t
take_entry(const struct zap *zap, uint64_t *slot, uint64_t entry,
           unsigned level)
{
    return aspen_unlikely(zap->what != ASPEN_ZAP_ALL) &&
                   keeps_mark(zap, entry, level)
               ? aspen_slot_clear_to_mark(slot, entry)
               : aspen_slot_clear(slot, entry);
}

/* Does what stands there stay? */
static bool
is_kept(const struct zap *zap, uint64_t entry, unsigned level)
{
    bool object = zap->what == ASPEN_ZAP_OBJECT;

    if (aspen_entry_is_marker(entry) && level == 0)
        return object || aspen_entry_marker(entry) == ASPEN_MARKER_GUARD ||
               keeps_mark(zap, entry, level);
    if (!object)
        return false;
    if (!aspen_entry_is_leaf(entry, level))
        return true;
    if (aspen_entry_bits(entry) & ASPEN_ENTRY_SPECIAL)
        return false;
    const struct aspen_frame *frame =
        aspen_frame_at(zap->aspen, (uint32_t)aspen_entry_frame(entry));
    return aspen_frame_type(frame) == ASPEN_FRAME_ANON;
}

/* What stands in a slot, and room in the gather if that is a frame. The
 * table's lock is held; to make room it is given back for a moment. */
static uint64_t
entry_with_room(struct zap *zap, uint32_t table, uint64_t *slot)
{
    uint64_t entry = aspen_load_relaxed(slot);

    return entry && aspen_gather_make_room(zap->gather, table)
               ? aspen_load_relaxed(slot)
               : entry;
}

/* Whatever stands in a slot goes; the table's lock is held. */
static void
zap_entry(struct zap *zap, uint32_t table, uint64_t *slot, uint64_t entry,
          uint64_t address, unsigned level)
{
    if (aspen_unlikely(zap->what != ASPEN_ZAP_ALL) &&
        is_kept(zap, entry, level))
        return;
    entry = take_entry(zap, slot, entry, level);
    if (aspen_entry_is_leaf(entry, level)) {
        aspen_table_note_taken(zap->aspen, table, zap->gather->part);
        zap_leaf(zap, address, entry, level);
    } else if (aspen_entry_is_swap(entry)) {
        zap->zapped[ASPEN_RSS_SWAP]++;
        aspen_swap_free(zap->aspen, aspen_entry_swap_type(entry),
                        aspen_entry_swap_slot(entry));
    }
}

/* [start, end) lies inside the one table, which is of level 0. */
static void
zap_last_level(struct zap *zap, uint32_t table, uint64_t start, uint64_t end)
{
    uint64_t *entries = aspen_table_entries(zap->aspen, table);

    aspen_table_own(zap->aspen, table);
    aspen_table_lock(zap->aspen, table, ASPEN_LOCK_TABLE);
    for (uint64_t address = start; address < end; address += ASPEN_PAGE_SIZE) {
        unsigned i = aspen_table_index(address, 0);
        uint64_t entry = entry_with_room(zap, table, &entries[i]);
        if (!entry)
            continue;
        unsigned ahead = (i + PREFETCH_ENTRIES) % ASPEN_TABLE_ENTRIES;
        aspen_prefetch_write(
            aspen_frame_ahead(zap->aspen, aspen_entry_frame(entries[ahead])));
        zap_entry(zap, table, &entries[i], entry, address, 0);
    }
    aspen_table_unlock(zap->aspen, table);
}

/* The same, and guards take the place of what was there or was not. */
static void
guard_last_level(struct zap *zap, uint32_t table, uint64_t start, uint64_t end)
{
    const uint64_t guard = aspen_entry_make_marker(ASPEN_MARKER_GUARD);
    uint64_t *entries = aspen_table_entries(zap->aspen, table);

    aspen_table_own(zap->aspen, table);
    aspen_table_lock(zap->aspen, table, ASPEN_LOCK_TABLE);
    for (uint64_t address = start; address < end; address += ASPEN_PAGE_SIZE) {
        uint64_t *slot = &entries[aspen_table_index(address, 0)];
        uint64_t entry = entry_with_room(zap, table, slot);
        if (entry)
            zap_entry(zap, table, slot, entry, address, 0);
        aspen_store(slot, guard);
    }
    aspen_table_unlock(zap->aspen, table);
}

/* An entry above the last level; its table's lock is held. Somebody else may
 * have taken a huge leaf away, and a fault put a table there: answers that,
 * else 0. */
static uint64_t
zap_high(struct zap *zap, uint32_t table, uint64_t *slot, uint64_t start,
         uint64_t end, unsigned level)
{
    uint64_t entry = entry_with_room(zap, table, slot);

    if (aspen_entry_is_table(entry, level))
        return entry;
    if (end - start == aspen_entry_span(level))
        zap_entry(zap, table, slot, entry, start, level);
    else /* callers never split a huge leaf that goes: aspen_zap_check() */
        ASPEN_ASSERT(!entry || is_kept(zap, entry, level));
    return 0;
}

static void
zap_table(struct zap *zap, uint32_t table, unsigned level, uint64_t start,
          uint64_t end)
{
    if (level == 0) {
        if (aspen_unlikely(zap->what == ASPEN_ZAP_TO_GUARDS))
            guard_last_level(zap, table, start, end);
        else
            zap_last_level(zap, table, start, end);
        return;
    }

    uint64_t *entries = aspen_table_entries(zap->aspen, table);
    uint64_t span = aspen_entry_span(level);
    uint64_t stop;
    for (uint64_t address = start; address < end; address = stop) {
        stop = aspen_min_u64(aspen_align_down(address, span) + span, end);
        uint64_t *slot = &entries[aspen_table_index(address, level)];
        uint64_t entry = aspen_load(slot);
        if (entry && !aspen_entry_is_table(entry, level)) {
            aspen_table_own(zap->aspen, table);
            aspen_table_lock(zap->aspen, table, ASPEN_LOCK_TABLE);
            entry = zap_high(zap, table, slot, address, stop, level);
            aspen_table_unlock(zap->aspen, table);
        }
        if (entry)
            zap_table(zap, (uint32_t)aspen_entry_frame(entry), level - 1,
                      address, stop);
    }
}

/* Would [start, end) cut a huge leaf that goes at `address`, one of its ends?
 */
static int
check_end(const struct zap *zap, uint64_t address)
{
    const struct aspen_vma *vma = zap->vma;
    struct aspen_slot slot;

    if (address <= vma->start || address >= vma->end)
        return 0;
    uint64_t entry = aspen_table_walk(vma->mm, address, &slot);
    if (!aspen_entry_is_leaf(entry, slot.level) ||
        aspen_is_aligned(address, aspen_entry_span(slot.level)) ||
        (zap->what != ASPEN_ZAP_ALL && is_kept(zap, entry, slot.level)))
        return 0;
    return aspen_load_settled_relaxed(&vma->flags) & ASPEN_VM_HUGETLB
               ? -ASPEN_EINVAL
               : -ASPEN_EOPNOTSUPP;
}

int
aspen_zap_check(struct aspen_vma *vma, uint64_t start, uint64_t end,
                enum aspen_zap what)
{
    struct zap zap = {.aspen = vma->mm->aspen, .vma = vma, .what = what};

    int error = check_end(&zap, start);
    return error ? error : check_end(&zap, end);
}

static void
count_zapped(const struct zap *zap, struct aspen_mm *mm)
{
    bool noted = false;

    for (unsigned kind = 0; kind < ASPEN_RSS_KINDS; kind++) {
        if (!zap->zapped[kind])
            continue;
        if (!noted)
            aspen_mm_note_resident(mm);
        noted = true;
        aspen_mm_rss_sub(mm, (enum aspen_rss)kind, zap->zapped[kind]);
    }
}

void
aspen_zap_only(struct aspen_gather *gather, struct aspen_vma *vma,
               uint64_t start, uint64_t end, enum aspen_zap what)
{
    struct aspen_mm *mm = gather->mm;
    struct zap zap = {
        .gather = gather, .aspen = mm->aspen, .vma = vma, .what = what};

    aspen_gather_looks(gather, start, end);
    zap_table(&zap, mm->root, ASPEN_TABLE_LEVELS - 1, start, end);
    count_zapped(&zap, mm);
}
