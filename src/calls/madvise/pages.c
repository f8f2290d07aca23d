/* SPDX-License-Identifier: MIT */
/*
 * calls/madvise/pages.c - advice about the pages of a mapping: they are not
 * needed at all (DONTNEED), not unless they are written again (FREE), or not
 * soon (COLD, PAGEOUT).
 *
 * I1  Entries change under their table's lock; what the processor sets
 *     meanwhile is looked at again.
 * I2  A page with ASPEN_FRAME_LAZY may be dropped instead of saved, unless it
 *     was written since: then one of its entries is DIRTY, or the frame is.
 *     Where no processor sets DIRTY in entries, a page that becomes lazy is
 *     write-protected, and the fault of the next write takes it back.
 *
 * Called by madvise.c. The first test to break is
 * tests/host/test_advise_host.c.
 */
#include "calls/madvise/madvise.h"

#include "frames/policy.h"
#include "machine/notify.h"
#include "rmap/split.h"
#include "machine/swap_map.h"
#include "object/page_cache.h"
#include "reclaim/reclaim.h"
#include "space/zap.h"

/* ---- DONTNEED ---------------------------------------------------------- */

/* Inside a page of a huge-page object: all that are there as a whole. */
static uint64_t
end_of(const struct aspen_vma *vma, uint64_t end)
{
    struct aspen_slot slot;

    if (!(vma->flags & ASPEN_VM_HUGETLB) || !aspen_vma_check_huge(vma, end))
        return end;
    aspen_table_walk(vma->mm, end, &slot);
    return aspen_align_down(end, aspen_entry_span(slot.level ? slot.level : 1));
}

static int
check_discard(const struct aspen_advise *advise, const struct aspen_vma *vma,
              uint64_t start, uint64_t end)
{
    bool locked = advise->advice == ASPEN_MADV_DONTNEED_LOCKED;
    uint64_t never = ASPEN_VM_PFNMAP | (locked ? 0 : ASPEN_VM_LOCKED);

    if (!(vma->flags & ASPEN_VM_HUGETLB) && vma->flags & never)
        return -ASPEN_EINVAL;
    int error = aspen_vma_check_huge(vma, start);
    return error ? error : aspen_vma_check_huge(vma, end);
}

int
aspen_advise_dontneed(struct aspen_advise *advise, struct aspen_vma *vma,
                      uint64_t start, uint64_t end)
{
    struct aspen_gather gather;

    end = end_of(vma, end);
    int error = check_discard(advise, vma, start, end);
    if (error || start >= end)
        return error;
    aspen_notify_start(vma->mm, start, end);
    aspen_gather_begin(&gather, vma->mm, false);
    aspen_zap_only(&gather, vma, start, end, ASPEN_ZAP_NOT_GUARDS);
    aspen_gather_end(&gather);
    aspen_notify_end(vma->mm, start, end);
    return 0;
}

/* ---- Entry by entry ---------------------------------------------------- */

/* PAGEOUT: how many pages leave together. */
#define SWEEP_PAGES ASPEN_RECLAIM_BATCH

struct sweep {
    struct aspen *aspen;
    struct aspen_vma *vma;
    struct aspen_gather gather;
    bool pageout;
    bool comes_back;               /* what the VMA's object has could */
    uint32_t leaving[SWEEP_PAGES]; /* PAGEOUT: each held */
    unsigned leaving_count;
};

typedef void visit_entry(struct sweep *sweep, uint64_t *slot, uint64_t entry,
                         uint64_t address);

/* [start, end) lies in the one table of level 0. */
static void
sweep_table(struct sweep *sweep, const struct aspen_slot *slot, uint64_t start,
            uint64_t end, visit_entry *visit)
{
    uint64_t *entry = slot->entry;

    aspen_table_own(sweep->aspen, slot->table);
    aspen_table_lock(sweep->aspen, slot->table, ASPEN_LOCK_TABLE);
    for (uint64_t at = start; at < end; at += ASPEN_PAGE_SIZE, entry++) {
        uint64_t now = aspen_load_relaxed(entry);
        if (now)
            visit(sweep, entry, now, at);
    }
    aspen_table_unlock(sweep->aspen, slot->table);
}

/* Huge leaves are passed over. */
static void
sweep_range(struct sweep *sweep, uint64_t start, uint64_t end,
            visit_entry *visit)
{
    struct aspen_mm *mm = sweep->vma->mm;
    struct aspen_slot slot;
    uint64_t stop;

    aspen_gather_begin(&sweep->gather, mm, false);
    aspen_gather_looks(&sweep->gather, start, end);
    for (uint64_t at = start; at < end; at = stop) {
        aspen_table_walk(mm, at, &slot);
        stop = aspen_min_u64(aspen_slot_end(&slot, at), end);
        if (slot.level == 0)
            sweep_table(sweep, &slot, at, stop, visit);
    }
    aspen_gather_end(&sweep->gather);
}

/* The same, with what a second MMU has of the range gone meanwhile. */
static void
sweep_in_brackets(struct sweep *sweep, uint64_t start, uint64_t end,
                  visit_entry *visit)
{
    struct aspen_mm *mm = sweep->vma->mm;

    aspen_notify_start(mm, start, end);
    sweep_range(sweep, start, end, visit);
    aspen_notify_end(mm, start, end);
}

/* Take bits off a leaf; the TLB hears of it. */
static void
clear_bits(struct sweep *sweep, uint64_t *slot, uint64_t entry,
           uint64_t address, unsigned bits)
{
    if (aspen_slot_clear_bits(slot, entry, bits))
        aspen_gather_leaf(&sweep->gather, address, 0);
}

/* The frame of a leaf that is counted, or NULL. What is just being moved is
 * nobody's to hold, or to say something about: as on Linux it is passed over.
 */
static struct aspen_frame *
page_of(const struct sweep *sweep, uint64_t entry)
{
    if (!aspen_entry_is_leaf(entry, 0) ||
        aspen_entry_bits(entry) & (ASPEN_ENTRY_SPECIAL | ASPEN_ENTRY_MOVING))
        return NULL;
    return aspen_frame_at(sweep->aspen, (uint32_t)aspen_entry_frame(entry));
}

/* ---- FREE -------------------------------------------------------------- */

/* Do others have the page, which is locked, in memory or in swap? */
static bool
others_have(const struct aspen *aspen, uint32_t number)
{
    unsigned type;
    uint32_t slot;

    return aspen_frame_map_count(aspen_frame_at(aspen, number)) != 1 ||
           aspen_swap_slot_of(aspen, number, &type, &slot);
}

/* The frame itself remembers a write: forget it, unless others might mind. */
static bool
forget_dirt(const struct aspen *aspen, uint32_t number)
{
    struct aspen_frame *frame = aspen_frame_at(aspen, number);

    if (!(aspen_load_relaxed(&frame->index) & ASPEN_FRAME_DIRTY))
        return true;
    if (!aspen_frame_trylock(frame))
        return false;
    bool forget = !others_have(aspen, number);
    if (forget)
        aspen_fetch_and(&frame->index, ~ASPEN_FRAME_DIRTY);
    aspen_frame_unlock(frame);
    return forget;
}

static void
free_swapped(struct sweep *sweep, uint64_t *slot, uint64_t entry)
{
    aspen_store_relaxed(slot, (uint64_t)0);
    aspen_mm_rss_sub(sweep->vma->mm, ASPEN_RSS_SWAP, 1);
    aspen_swap_free(sweep->aspen, aspen_entry_swap_type(entry),
                    aspen_entry_swap_slot(entry));
}

static void
free_entry(struct sweep *sweep, uint64_t *slot, uint64_t entry,
           uint64_t address)
{
#ifdef ASPEN_PORT_MMU_WRITES_ENTRIES
    const unsigned bits = ASPEN_ENTRY_YOUNG | ASPEN_ENTRY_DIRTY;
#else
    const unsigned bits =
        ASPEN_ENTRY_YOUNG | ASPEN_ENTRY_DIRTY | ASPEN_ENTRY_WRITE; /* I2 */
#endif

    if (aspen_entry_is_swap(entry)) {
        free_swapped(sweep, slot, entry);
        return;
    }
    if (aspen_entry_is_marker(entry)) {
        if (aspen_entry_marker(entry) == ASPEN_MARKER_POISON)
            aspen_store_relaxed(slot, (uint64_t)0);
        return;
    }
    struct aspen_frame *frame = page_of(sweep, entry);
    if (!frame ||
        !forget_dirt(sweep->aspen, (uint32_t)aspen_entry_frame(entry)))
        return;
    clear_bits(sweep, slot, entry, address, bits);
    aspen_fetch_or(&frame->index, ASPEN_FRAME_LAZY);
    if (aspen_frame_type(frame) == ASPEN_FRAME_ANON)
        aspen_policy_enter_anon(sweep->aspen,
                                (uint32_t)aspen_entry_frame(entry));
}

int
aspen_advise_free(struct aspen_advise *advise, struct aspen_vma *vma,
                  uint64_t start, uint64_t end)
{
    struct sweep sweep = {.aspen = vma->mm->aspen, .vma = vma};

    if (!aspen_vma_is_anonymous(vma))
        return -ASPEN_EINVAL;
    int error = check_discard(advise, vma, start, end);
    if (!error) {
        sweep_in_brackets(&sweep, start, end, free_entry);
    }
    return error;
}

/* ---- COLD, PAGEOUT ----------------------------------------------------- */

/* Could it leave memory and come back? Huge pages stay. */
static bool
can_leave(const struct sweep *sweep, const struct aspen_frame *frame)
{
    if (aspen_load_relaxed(&frame->index) & ASPEN_FRAME_HEAD)
        return false;
    return aspen_frame_type(frame) == ASPEN_FRAME_ANON || sweep->comes_back;
}

static void
cool_entry(struct sweep *sweep, uint64_t *slot, uint64_t entry,
           uint64_t address)
{
    struct aspen_frame *frame = page_of(sweep, entry);

    /* What others map, they may need. */
    if (!frame || aspen_frame_map_count(frame) != 1)
        return;
    clear_bits(sweep, slot, entry, address, ASPEN_ENTRY_YOUNG);
    uint32_t number = (uint32_t)aspen_entry_frame(entry);
    if (!sweep->pageout) {
        aspen_policy_cool(sweep->aspen, number);
    } else if (can_leave(sweep, frame)) {
        aspen_frame_get(frame);
        sweep->leaving[sweep->leaving_count++] = number;
    }
}

/* Where there is no table of the last level there are no pages that could
 * leave, however large that is. */
static uint64_t
skip_empty(struct aspen_mm *mm, uint64_t at, uint64_t end)
{
    struct aspen_slot slot;

    while (at < end) {
        aspen_table_walk(mm, at, &slot);
        if (slot.level == 0)
            return at;
        at = aspen_slot_end(&slot, at);
    }
    return end;
}

/* As far as to the first that can leave and some that stand beside it: these
 * leave without any lock. What cannot stays: this is advice. */
static void
page_out(struct aspen_advise *advise, struct sweep *sweep, uint64_t start,
         uint64_t end)
{
    struct aspen_mm *mm = advise->mm;
    uint64_t at = skip_empty(mm, start, end);

    while (at < end && !sweep->leaving_count) {
        uint64_t stop = aspen_min_u64(end, at + SWEEP_PAGES * ASPEN_PAGE_SIZE);
        sweep_range(sweep, at, stop, cool_entry);
        at = skip_empty(mm, stop, end);
    }
    advise->next = at;
    if (!sweep->leaving_count)
        return;
    aspen_read_unlock(&mm->mmap_lock);
    aspen_reclaim_pages(mm->aspen, sweep->leaving, sweep->leaving_count);
    aspen_read_lock(&mm->mmap_lock, ASPEN_LOCK_MM);
}

int
aspen_advise_cold(struct aspen_advise *advise, struct aspen_vma *vma,
                  uint64_t start, uint64_t end)
{
    struct sweep sweep = {
        .aspen = vma->mm->aspen,
        .vma = vma,
        .pageout = advise->advice == ASPEN_MADV_PAGEOUT,
        .comes_back =
            vma->object && (aspen_object_can_read_again(vma->object) ||
                            aspen_object_may_swap(vma->object)),
    };

    if (vma->flags & (ASPEN_VM_LOCKED | ASPEN_VM_PFNMAP | ASPEN_VM_HUGETLB))
        return -ASPEN_EINVAL;
    if (sweep.pageout) {
        /* It waits for devices: whoever is killed stops. As on Linux the answer
         * is the same. */
        if (!aspen_poll_fatal(sweep.aspen))
            page_out(advise, &sweep, start, end);
        return 0;
    }
    (void)aspen_notify_clear_young(vma->mm, start, end);
    sweep_range(&sweep, start, end, cool_entry);
    return 0;
}
