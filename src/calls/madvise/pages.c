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
#include "space/zap.h"
#include "swap/swap.h"

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

/* PAGEOUT: how many pages go to swap together. */
#define SWEEP_PAGES ASPEN_SWAP_IO_PAGES

struct sweep {
    struct aspen *aspen;
    struct aspen_vma *vma;
    struct aspen_gather gather;
    uint32_t table; /* at work, and locked */
    bool pageout;
    uint32_t leaving[SWEEP_PAGES]; /* PAGEOUT: for swap, each held */
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

    sweep->table = slot->table;
    aspen_table_own(sweep->aspen, slot->table);
    aspen_table_lock(sweep->aspen, slot->table, ASPEN_LOCK_TABLE);
    for (uint64_t at = start; at < end; at += ASPEN_PAGE_SIZE, entry++) {
        (void)aspen_gather_make_room(&sweep->gather, slot->table);
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

/* The frame of a leaf that is counted, or NULL. */
static struct aspen_frame *
page_of(const struct sweep *sweep, uint64_t entry)
{
    if (!aspen_entry_is_leaf(entry, 0) ||
        aspen_entry_bits(entry) & ASPEN_ENTRY_SPECIAL)
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
    aspen_fetch_sub_relaxed(&sweep->vma->mm->rss[ASPEN_RSS_SWAP], 1);
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

/* A page that a fault finds again as it is. */
static bool
is_clean_object_page(const struct aspen_frame *frame, uint64_t entry)
{
    return aspen_frame_type(frame) == ASPEN_FRAME_OBJECT &&
           aspen_rss_of(frame) == ASPEN_RSS_FILE &&
           !(aspen_entry_bits(entry) & ASPEN_ENTRY_DIRTY) &&
           !(aspen_load_relaxed(&frame->index) & ASPEN_FRAME_DIRTY);
}

/* I2. The entry is the only one, and its table's lock is held: nobody can come
 * who holds the page. Who did says that he wrote before he lets go, so that is
 * looked at after he has. */
static bool
is_free_to_go(const struct aspen_frame *frame, uint64_t entry)
{
    uint64_t counts = aspen_load(&frame->counts);
    if ((counts & ~ASPEN_FRAME_EXCLUSIVE) != ASPEN_FRAME_REF + ASPEN_FRAME_MAP)
        return false;
    uint64_t index = aspen_load_relaxed(&frame->index);

    return index & ASPEN_FRAME_LAZY && !(index & ASPEN_FRAME_DIRTY) &&
           !(aspen_entry_bits(entry) & ASPEN_ENTRY_DIRTY);
}

static void
unmap_entry(struct sweep *sweep, uint64_t *slot, uint64_t entry,
            uint64_t address)
{
    struct aspen_frame *frame = page_of(sweep, entry);

    /* The processor may have written meanwhile: then it stays. */
    if (!aspen_compare_exchange(slot, &entry, (uint64_t)0))
        return;
    aspen_table_note_taken(sweep->aspen, sweep->table);
    aspen_gather_leaf(&sweep->gather, address, 0);
    aspen_fetch_sub_relaxed(&sweep->vma->mm->rss[aspen_rss_of(frame)], 1);
    aspen_gather_frame(&sweep->gather, (uint32_t)aspen_entry_frame(entry));
}

static void
cool_entry(struct sweep *sweep, uint64_t *slot, uint64_t entry,
           uint64_t address)
{
    struct aspen_frame *frame = page_of(sweep, entry);

    /* What others map, they may need. */
    if (!frame || aspen_frame_map_count(frame) != 1)
        return;
    /* Shared memory has no swap to go to. */
    if (sweep->pageout &&
        (is_clean_object_page(frame, entry) || is_free_to_go(frame, entry))) {
        unmap_entry(sweep, slot, entry, address);
        return;
    }
    clear_bits(sweep, slot, entry, address, ASPEN_ENTRY_YOUNG);
    if (sweep->pageout && aspen_frame_type(frame) == ASPEN_FRAME_ANON) {
        aspen_frame_get(frame);
        sweep->leaving[sweep->leaving_count++] =
            (uint32_t)aspen_entry_frame(entry);
    }
}

/* What cannot go stays: this is advice. */
static void
swap_out(struct sweep *sweep)
{
    struct aspen_swap_batch batch = {.aspen = sweep->aspen};

    for (unsigned i = 0; i < sweep->leaving_count; i++)
        aspen_swap_out_try(&batch, sweep->leaving[i]);
    (void)aspen_swap_out_end(&batch);
    sweep->leaving_count = 0;
}

static void
page_out(struct sweep *sweep, uint64_t start, uint64_t end)
{
    uint64_t stop;

    for (uint64_t at = start; at < end; at = stop) {
        stop = aspen_min_u64(end, at + SWEEP_PAGES * ASPEN_PAGE_SIZE);
        sweep_in_brackets(sweep, at, stop, cool_entry);
        swap_out(sweep);
    }
}

int
aspen_advise_cold(struct aspen_advise *advise, struct aspen_vma *vma,
                  uint64_t start, uint64_t end)
{
    struct sweep sweep = {
        .aspen = vma->mm->aspen,
        .vma = vma,
        .pageout = advise->advice == ASPEN_MADV_PAGEOUT,
    };

    if (vma->flags & (ASPEN_VM_LOCKED | ASPEN_VM_PFNMAP | ASPEN_VM_HUGETLB))
        return -ASPEN_EINVAL;
    if (sweep.pageout) {
        page_out(&sweep, start, end);
        return 0;
    }
    (void)aspen_notify_clear_young(vma->mm, start, end);
    sweep_range(&sweep, start, end, cool_entry);
    return 0;
}
