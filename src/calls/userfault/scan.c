/* SPDX-License-Identifier: MIT */
/*
 * calls/userfault/scan.c - what pages of a range are, and in the same step
 * their protection, and the memory of accesses.
 *
 *     batch            under the mmap lock, one flush
 *       VMA            what all its pages are
 *         table        second MMUs are asked, without its lock; then under it:
 *           page       told, if it matches: then marked, or made old
 *
 * I1  A page is marked, or made old, only after it was told: what does not fit
 *     stays as it is, for the next call.
 * I2  What a second MMU forgets for a page that is not told then is noted in
 *     the entry.
 *
 * Called by the embedder. The first test to break is
 * tests/unit/track/test_pagemap.c.
 */
#include <aspen/track/pagemap.h>

#include "calls/userfault/userfault.h"
#include "machine/notify.h"
#include "reclaim/attempt.h"

/* Pages under one hold of the mmap lock. */
#define BATCH_PAGES 4096u
#define WORDS       (ASPEN_TABLE_ENTRIES / 64)
#define FLAGS                                                                  \
    (ASPEN_PAGEMAP_PROTECT | ASPEN_PAGEMAP_CHECK | ASPEN_PAGEMAP_CLEAR_ACCESSED)

struct scan {
    struct aspen_mm *mm;
    struct aspen_pagemap_scan *args;
    bool asks_second; /* second MMUs, what was accessed */
    struct aspen_vma *vma;
    unsigned category; /* of all pages of the VMA */
    uint64_t at;       /* where it is */
    uint64_t found;    /* pages told */
    bool full;         /* what is at `at` does not fit */
    bool changed;      /* something was marked, or made old */
    struct aspen_gather *gather;
    uint64_t second[WORDS]; /* of one table: accessed by one of them */
};

static bool
protects(const struct scan *scan)
{
    return scan->args->flags & ASPEN_PAGEMAP_PROTECT;
}

static bool
clears(const struct scan *scan)
{
    return scan->args->flags & ASPEN_PAGEMAP_CLEAR_ACCESSED;
}

/* ---- What a page is ---------------------------------------------------- */

static bool
matches(const struct scan *scan, unsigned category)
{
    const struct aspen_pagemap_scan *args = scan->args;

    category ^= args->inverted;
    return (category & args->mask) == args->mask &&
           (!args->any_of || category & args->any_of);
}

static unsigned
category_of_leaf(const struct scan *scan, uint64_t entry, unsigned level)
{
    const struct aspen *aspen = scan->mm->aspen;
    unsigned bits = aspen_entry_bits(entry);
    unsigned category = ASPEN_PAGE_PRESENT;

    if (!(bits & ASPEN_ENTRY_UFFD_WP))
        category |= ASPEN_PAGE_WRITTEN;
    if (bits & ASPEN_ENTRY_YOUNG)
        category |= ASPEN_PAGE_ACCESSED;
    if (level > 0)
        category |= ASPEN_PAGE_HUGE;
    if (bits & ASPEN_ENTRY_SPECIAL)
        return aspen_entry_frame(entry) == aspen->zero_frame
                   ? category | ASPEN_PAGE_ZERO
                   : category;
    if (aspen_frame_type(aspen_frame_at(
            aspen, (uint32_t)aspen_entry_frame(entry))) == ASPEN_FRAME_OBJECT)
        category |= ASPEN_PAGE_FILE;
    return category;
}

/* The table's lock is held: a leaf keeps its frame. */
static unsigned
category_of(const struct scan *scan, uint64_t entry, unsigned level)
{
    if (!entry)
        return scan->category | ASPEN_PAGE_WRITTEN;
    if (aspen_entry_is_leaf(entry, level))
        return scan->category | category_of_leaf(scan, entry, level);
    unsigned category = scan->category | ASPEN_PAGE_SWAPPED;
    if (aspen_entry_is_marker(entry) &&
        aspen_entry_marker(entry) == ASPEN_MARKER_GUARD)
        return category | ASPEN_PAGE_GUARD; /* nobody writes to it */
    return aspen_entry_is_marked(entry, level) ? category
                                               : category | ASPEN_PAGE_WRITTEN;
}

/* What all pages of the VMA are: 1, 0: it is passed over, or -ASPEN_EPERM. */
static int
enter_vma(struct scan *scan, struct aspen_vma *vma)
{
    const struct aspen_pagemap_scan *args = scan->args;
    bool allowed = aspen_userfault_is_async(vma);

    if (!allowed && args->flags & ASPEN_PAGEMAP_CHECK)
        return -ASPEN_EPERM;
    if ((!allowed && protects(scan)) || vma->flags & ASPEN_VM_PFNMAP)
        return 0;
    scan->vma = vma;
    scan->category =
        (allowed ? ASPEN_PAGE_WP_ALLOWED : 0) |
        (vma->flags & ASPEN_VM_SOFTDIRTY ? ASPEN_PAGE_SOFT_DIRTY : 0);
    unsigned required = args->mask & ASPEN_PAGE_WP_ALLOWED;
    return ((scan->category ^ args->inverted) & required) == required;
}

/* ---- Told -------------------------------------------------------------- */

/* Add [start, end), all of it alike, to the regions: false if there is no room.
 */
static bool
push(struct scan *scan, uint64_t start, uint64_t end, unsigned category)
{
    struct aspen_pagemap_scan *args = scan->args;
    struct aspen_pagemap_region *last =
        args->count ? &args->regions[args->count - 1] : NULL;

    category &= args->returned;
    if (last && last->end == start && last->categories == category) {
        last->end = end;
        return true;
    }
    if (args->count == args->regions_max)
        return false;
    args->regions[args->count++] =
        (struct aspen_pagemap_region){start, end, category};
    return true;
}

/* The pages of [start, end), which match: where those end that fit. */
static uint64_t
tell(struct scan *scan, uint64_t start, uint64_t end, unsigned category)
{
    const struct aspen_pagemap_scan *args = scan->args;
    uint64_t stop = end;

    if (!args->regions)
        return end;
    if (args->max_pages &&
        (end - start) >> ASPEN_PAGE_SHIFT > args->max_pages - scan->found)
        stop = start + ((args->max_pages - scan->found) << ASPEN_PAGE_SHIFT);
    if (stop == start || !push(scan, start, stop, category))
        stop = start;
    scan->found += (stop - start) >> ASPEN_PAGE_SHIFT;
    scan->full = stop < end;
    return stop;
}

/* ---- Second MMUs ------------------------------------------------------- */

static bool
ask(const struct scan *scan, uint64_t start, uint64_t end)
{
    return clears(scan) ? aspen_notify_clear_young(scan->mm, start, end)
                        : aspen_notify_test_young(scan->mm, start, end);
}

/* Of [start, end), in one table. No spin lock is held. */
static void
ask_second(struct scan *scan, const struct aspen_slot *slot, uint64_t start,
           uint64_t end)
{
    const uint64_t *entry = slot->entry;

    memset(scan->second, 0, sizeof(scan->second));
    if (!scan->asks_second)
        return;
    for (; start < end; start += ASPEN_PAGE_SIZE, entry++) {
        unsigned i = aspen_table_index(start, 0);
        if (aspen_entry_is_leaf(aspen_load_relaxed(entry), 0) &&
            ask(scan, start, start + ASPEN_PAGE_SIZE))
            scan->second[i / 64] |= (uint64_t)1 << i % 64;
    }
}

static bool
second_has(const struct scan *scan, uint64_t address)
{
    unsigned i = aspen_table_index(address, 0);

    return scan->second[i / 64] >> i % 64 & 1;
}

/* I2. The table's lock is held. */
static void
keep_second(const struct scan *scan, const struct aspen_slot *slot,
            uint64_t address)
{
    uint64_t entry = aspen_load_relaxed(slot->entry);

    if (!clears(scan) || !second_has(scan, address))
        return;
    while (
        aspen_entry_is_leaf(entry, 0) &&
        !aspen_compare_exchange(slot->entry, &entry,
                                aspen_entry_set_bits(entry, ASPEN_ENTRY_YOUNG)))
        ;
}

/* ---- Pages of one table ------------------------------------------------ */

/* The page was told, or has no need to be. */
static void
change_page(struct scan *scan, const struct aspen_slot *slot, uint64_t address)
{
    uint64_t entry = aspen_load_relaxed(slot->entry);

    if (protects(scan) && !aspen_entry_is_marked(entry, 0)) {
        aspen_userfault_mark(scan->mm, scan->gather, slot, address);
        scan->changed = true;
        entry = aspen_load_relaxed(slot->entry);
    }
    if (!clears(scan) || !aspen_entry_is_leaf(entry, 0))
        return;
    scan->changed |= second_has(scan, address);
    if (aspen_slot_clear_bits(slot->entry, entry, ASPEN_ENTRY_YOUNG)) {
        aspen_gather_leaf(scan->gather, address, 0);
        scan->changed = true;
    }
}

/* False: it has to be told, and does not fit. The table's lock is held. */
static bool
scan_page(struct scan *scan, const struct aspen_slot *slot, uint64_t address)
{
    uint64_t entry = aspen_load_relaxed(slot->entry);
    unsigned category = category_of(scan, entry, 0);

    if (second_has(scan, address) && aspen_entry_is_leaf(entry, 0))
        category |= ASPEN_PAGE_ACCESSED;
    if (!matches(scan, category)) {
        keep_second(scan, slot, address);
        return true;
    }
    if (tell(scan, address, address + ASPEN_PAGE_SIZE, category) == address)
        return false;
    change_page(scan, slot, address);
    return true;
}

/* Up to `stop`, in the one table. */
static void
scan_table(struct scan *scan, struct aspen_slot slot, uint64_t stop)
{
    struct aspen *aspen = scan->mm->aspen;

    ask_second(scan, &slot, scan->at, stop);
    aspen_table_own(aspen, slot.table);
    aspen_table_lock(aspen, slot.table, ASPEN_LOCK_TABLE);
    while (scan->at < stop && scan_page(scan, &slot, scan->at)) {
        scan->at += ASPEN_PAGE_SIZE;
        slot.entry++;
    }
    for (uint64_t at = scan->at; at < stop; at += ASPEN_PAGE_SIZE, slot.entry++)
        keep_second(scan, &slot, at);
    aspen_table_unlock(aspen, slot.table);
}

/* ---- Where there is no table ------------------------------------------- */

/* Nothing is there up to `stop`, and nothing is to be. */
static void
scan_hole(struct scan *scan, uint64_t stop)
{
    unsigned category = category_of(scan, 0, 0);

    scan->at =
        matches(scan, category) ? tell(scan, scan->at, stop, category) : stop;
}

/* A huge page, or a part of one. */
static int
scan_huge(struct scan *scan, const struct aspen_slot *slot, uint64_t stop)
{
    struct aspen *aspen = scan->mm->aspen;
    uint64_t span = aspen_entry_span(slot->level);
    uint64_t first = aspen_align_down(scan->at, span);
    bool second = scan->asks_second && ask(scan, first, first + span);

    aspen_table_own(aspen, slot->table);
    aspen_table_lock(aspen, slot->table, ASPEN_LOCK_TABLE);
    uint64_t entry = aspen_load_relaxed(slot->entry);
    unsigned category = category_of(scan, entry, slot->level) |
                        (second ? ASPEN_PAGE_ACCESSED : 0);
    bool fits = matches(scan, category);
    uint64_t end = stop;
    if (fits && !protects(scan))
        end = tell(scan, scan->at, stop, category);
    bool told = fits && end > scan->at;
    if (clears(scan) && told &&
        aspen_slot_clear_bits(slot->entry, entry, ASPEN_ENTRY_YOUNG)) {
        aspen_gather_leaf(scan->gather, first, slot->level);
        scan->changed = true;
    }
    aspen_table_unlock(aspen, slot->table);
    if (fits && protects(scan))
        return -ASPEN_EOPNOTSUPP;
    scan->at = end;
    return 0;
}

/* ---- The range --------------------------------------------------------- */

/* Up to `stop`, in the VMA. 0, also if it is full; -ASPEN_ENOMEM,
 * -ASPEN_EOPNOTSUPP. */
static int
scan_vma(struct scan *scan, uint64_t stop)
{
    struct aspen_mm *mm = scan->mm;
    struct aspen_slot slot;
    int error = 0;

    while (!error && !scan->full && scan->at < stop) {
        uint64_t entry = aspen_table_walk(mm, scan->at, &slot);
        if (slot.level > 0 && !entry && protects(scan) &&
            matches(scan, category_of(scan, 0, 0)))
            error = aspen_table_walk_alloc(mm, scan->at, 0, &slot);
        if (error)
            return error == -ASPEN_EEXIST ? -ASPEN_EOPNOTSUPP : error;
        uint64_t end = aspen_min_u64(aspen_slot_end(&slot, scan->at), stop);
        if (slot.level == 0)
            scan_table(scan, slot, end);
        else if (entry)
            error = scan_huge(scan, &slot, end);
        else
            scan_hole(scan, end);
    }
    return error;
}

/* Up to `stop`; the mmap lock is held for reading. */
static int
scan_all(struct scan *scan, uint64_t stop)
{
    int error = 0;

    while (!error && !scan->full && scan->at < stop) {
        struct aspen_vma *vma = aspen_vma_find(scan->mm, scan->at);
        if (!vma || vma->start >= stop) {
            scan->at = stop;
            break;
        }
        scan->at = aspen_max_u64(scan->at, vma->start);
        uint64_t end = aspen_min_u64(vma->end, stop);
        int verdict = enter_vma(scan, vma);
        if (verdict < 0)
            return verdict;
        if (verdict)
            error = scan_vma(scan, end);
        else
            scan->at = end;
    }
    return error;
}

static ASPEN_NOINLINE int
scan_batch(struct scan *scan, uint64_t stop)
{
    struct aspen_mm *mm = scan->mm;
    const uint64_t start = scan->at;
    struct aspen_gather gather;

    scan->gather = &gather;
    aspen_read_lock(&mm->mmap_lock, ASPEN_LOCK_MM);
    if (protects(scan))
        aspen_notify_start(mm, start, stop);
    aspen_gather_begin(scan->gather, mm, false);
    if (protects(scan) || clears(scan))
        aspen_gather_looks(scan->gather, start, stop);
    int error = scan_all(scan, stop);
    aspen_gather_end(scan->gather);
    if (protects(scan))
        aspen_notify_end(mm, start, stop);
    aspen_read_unlock(&mm->mmap_lock);
    return error;
}

static int
scan_patiently(struct scan *scan, uint64_t stop)
{
    struct aspen *aspen = scan->mm->aspen;
    struct aspen_attempt attempt;
    int error = 0;

    aspen_attempt_begin(&attempt, aspen, scan->mm, ASPEN_ATTEMPT_ALONE);
    while (aspen_attempt_next(&attempt, &error)) {
        error = aspen_poll_fatal(aspen);
        if (!error)
            error = scan_batch(scan, stop);
    }
    return error;
}

static bool
is_valid(const struct aspen_mm *mm, const struct aspen_pagemap_scan *args)
{
    unsigned categories =
        args->inverted | args->mask | args->any_of | args->returned;

    return !(args->flags & ~FLAGS) && !(categories & ~ASPEN_PAGE_CATEGORIES) &&
           aspen_is_aligned(args->start, ASPEN_PAGE_SIZE) &&
           args->start <= args->end && args->end <= mm->address_limit &&
           !args->regions == !args->regions_max;
}

int
aspen_pagemap_scan(struct aspen_mm *mm, struct aspen_pagemap_scan *args)
{
    const struct aspen_notifier_ops *second = mm->aspen->config.hooks.notifier;
    unsigned seen = args->inverted | args->mask | args->any_of | args->returned;
    struct scan scan = {.mm = mm, .args = args, .at = args->start};
    int error = 0;

    if (!is_valid(mm, args))
        return -ASPEN_EINVAL;
    scan.asks_second = second && (clears(&scan) || seen & ASPEN_PAGE_ACCESSED);
    args->count = 0;
    uint64_t end = aspen_align_up(args->end, ASPEN_PAGE_SIZE);
    while (!error && !scan.full && scan.at < end)
        error = scan_patiently(
            &scan, aspen_min_u64(end, scan.at + (uint64_t)BATCH_PAGES *
                                                    ASPEN_PAGE_SIZE));
    args->walk_end = scan.at;
    return error && !args->count && !scan.changed ? error : 0;
}
