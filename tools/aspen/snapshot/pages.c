/* SPDX-License-Identifier: MIT */
/*
 * pages.c - what the page-table entries of another process hold.
 *
 * Two ways. The PAGEMAP_SCAN ioctl (Linux 6.7) walks the page tables and
 * reports what is there: file or not, zero page, huge, swapped, guard (6.15).
 * It costs what the tables cost, so it is asked about every area.
 * /proc/P/pagemap has 8 bytes for each page of the *range*: it is read only
 * over areas with resident or swapped pages, and where the ioctl found
 * something but leaves it open: swap slots, raw frames among pages. Without
 * the ioctl nothing says where the pages of a large area are, and a TiB of it
 * takes a second, in which the process stands still: unless it was asked for
 * by name, both ends of such areas are read, and the middle is not looked at.
 *
 * Where an entry alone does not tell its kind it gets a tentative one, and
 * what smaps counted for the area decides (settle()): whether pages without a
 * file are anonymous or the zero page, whether "swapped" means swap or a
 * marker, whether 512 pages in a row are one huge page. What even that leaves
 * open is counted as ambiguous.
 *
 * I1  Runs are added in address order, aligned to their level.
 *
 * Called by capture.c. tests/unit/tools/test_capture.c breaks first.
 */
#define _GNU_SOURCE
#include "snapshot/pages.h"

#include <aspen/flags.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* Bits of a pagemap entry: the kernel's manual, admin-guide/mm/pagemap. */
#define ENTRY_FRAME_MASK (((uint64_t)1 << 55) - 1)
#define ENTRY_EXCLUSIVE  ((uint64_t)1 << 56)
#define ENTRY_UFFD_WP    ((uint64_t)1 << 57)
#define ENTRY_GUARD      ((uint64_t)1 << 58)
#define ENTRY_FILE       ((uint64_t)1 << 61)
#define ENTRY_SWAP       ((uint64_t)1 << 62)
#define ENTRY_PRESENT    ((uint64_t)1 << 63)

/*
 * Types of a "swap" entry. The last is a marker, whose low "slot" bits say
 * of what; those from 23 on stand for pages that move, sit in a device or are
 * poisoned. No system has that many swap areas.
 */
#define SWAP_TYPES_REAL   23u
#define SWAP_TYPE_MARKER  31u
#define SWAP_MARKER_GUARD 4u

/* The ioctl, as the same manual describes it; older headers lack it. */
struct scan_region {
    uint64_t start;
    uint64_t end;
    uint64_t categories;
};

struct scan_argument {
    uint64_t size;
    uint64_t flags;
    uint64_t start;
    uint64_t end;
    uint64_t walk_end;
    uint64_t vec;
    uint64_t vec_len;
    uint64_t max_pages;
    uint64_t category_inverted;
    uint64_t category_mask;
    uint64_t category_anyof_mask;
    uint64_t return_mask;
};

#define SCAN_IOCTL   _IOWR('f', 16, struct scan_argument)
#define SCAN_FILE    ((uint64_t)1 << 2)
#define SCAN_PRESENT ((uint64_t)1 << 3)
#define SCAN_SWAPPED ((uint64_t)1 << 4)
#define SCAN_ZERO    ((uint64_t)1 << 5)
#define SCAN_HUGE    ((uint64_t)1 << 6)
#define SCAN_GUARD   ((uint64_t)1 << 8)
#define SCAN_REGIONS 4096u

#define WINDOW_ENTRIES 65536u
/* Above 64 GiB pagemap is read only until everything counted is found. */
#define PATIENT_PAGES ((uint64_t)1 << 24)
/* And not more than this of all such areas together: 0.15 s. */
#define PATIENCE_PAGES ((uint64_t)1 << 25)

/* Areas of raw frames up to 1 GiB are taken as mapped in full. */
#define ASSUMED_PAGES ((uint64_t)1 << 18)

/* Kinds that settle() replaces; they fit into the four bits of a run. */
#define TENTATIVE_HUGE_ZERO 13 /* part of it: a "file" page without a file */
#define TENTATIVE_ANON      14 /* anonymous or the zero page */
#define TENTATIVE_SWAP      15 /* swapped or a marker */

#define PAGE SNAPSHOT_PAGE_SIZE

/* One area while it is read. */
struct reading {
    struct pages *pages;
    struct snapshot *snapshot;
    const struct smaps_area *area;
    struct tool_error *error;
    uint64_t flags;
    unsigned level; /* of hugetlb pages; 0 else */
    uint64_t ambiguous;
    uint64_t present; /* 4 KiB pages found that Rss counts */
    uint64_t swapped;
    uint64_t next; /* where the last run added ends */
};

/*
 * A report may reach back before the last one, or past its mapping: when the
 * process runs on while it is read, or when a huge page straddles an edge.
 * What is left of it is what is new and inside. False: nothing.
 */
static bool
clip(const struct reading *reading, uint64_t *address, uint64_t *pages)
{
    uint64_t first = *address;
    uint64_t end = first + *pages * PAGE;

    if (first < reading->area->start)
        first = reading->area->start;
    if (first < reading->next)
        first = reading->next;
    if (end > reading->area->end)
        end = reading->area->end;
    *address = first;
    *pages = first < end ? (end - first) / PAGE : 0;
    return first < end;
}

static int
add(struct reading *reading, uint64_t address, uint64_t pages, unsigned level,
    unsigned kind, uint64_t value)
{
    uint64_t span = snapshot_level_pages(level);

    if (!clip(reading, &address, &pages))
        return 0;
    reading->next = address + pages * PAGE;
    /* A leaf that does not lie straight (a torn read): as small pages. */
    if (level > 0 && (address >> SNAPSHOT_PAGE_SHIFT | pages) % span != 0) {
        level = 0;
        span = 1;
    }
    if (kind == SNAPSHOT_SWAP || kind == TENTATIVE_SWAP)
        reading->swapped += pages;
    else if (kind != SNAPSHOT_GUARD && kind != SNAPSHOT_OTHER &&
             kind != SNAPSHOT_ZERO)
        reading->present += pages;
    if (snapshot_add_run(reading->snapshot, address, pages / span, level,
                         (enum snapshot_kind)kind, value) != 0)
        return tool_fail(reading->error, "no memory for the pages");
    return 0;
}

/* Fill the window; fewer entries than asked for only at an error. */
static int
read_entries(struct reading *reading, uint64_t address, size_t count)
{
    char *to = (char *)reading->pages->entries;
    size_t left = count * sizeof(uint64_t);
    off_t offset = (off_t)(address / PAGE * sizeof(uint64_t));

    while (left > 0) {
        ssize_t got = pread(reading->pages->fd, to, left, offset);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return tool_fail(reading->error, "cannot read pagemap: %s",
                             got < 0 ? strerror(errno)
                                     : "the process has ended");
        to += got;
        offset += got;
        left -= (size_t)got;
    }
    return 0;
}

/* --- what one pagemap entry is ------------------------------------------- */

/* Whether it is private memory without a file behind it. */
static bool
is_anonymous(const struct reading *reading)
{
    const struct snapshot *snapshot = reading->snapshot;

    return (reading->flags & (ASPEN_VM_SHARED | ASPEN_VM_HUGETLB)) == 0 &&
           snapshot->vmas[snapshot->vma_count - 1].object == SNAPSHOT_NO_OBJECT;
}

static unsigned
kind_of_swap(struct reading *reading, uint64_t entry, uint64_t *value)
{
    uint64_t frame = entry & ENTRY_FRAME_MASK;
    unsigned type = frame & 31;
    uint64_t slot = frame >> 5;
    bool shared = (reading->flags & ASPEN_VM_SHARED) != 0;

    *value = 0;
    if ((entry & ENTRY_GUARD) != 0)
        return SNAPSHOT_GUARD;
    if (frame == 0) { /* slot 0 is never used: it is not told */
        *value = SNAPSHOT_NO_SLOT;
        return shared ? SNAPSHOT_OTHER : TENTATIVE_SWAP;
    }
    if (type == SWAP_TYPE_MARKER)
        return (slot & SWAP_MARKER_GUARD) != 0 ? SNAPSHOT_GUARD
                                               : SNAPSHOT_OTHER;
    if (type >= SWAP_TYPES_REAL) { /* on the move, mostly */
        reading->ambiguous++;
        return (entry & ENTRY_FILE) != 0 || shared ? SNAPSHOT_OBJECT
                                                   : SNAPSHOT_ANON;
    }
    *value = snapshot_swap_value(type, slot);
    return SNAPSHOT_SWAP;
}

static unsigned
kind_of_present(struct reading *reading, uint64_t entry, uint64_t *value)
{
    uint64_t frame = entry & ENTRY_FRAME_MASK;

    *value = 0;
    if ((entry & ENTRY_FILE) != 0)
        return is_anonymous(reading) ? TENTATIVE_HUGE_ZERO : SNAPSHOT_OBJECT;
    if ((reading->flags & ASPEN_VM_HUGETLB) != 0 ||
        (entry & ENTRY_EXCLUSIVE) != 0)
        return SNAPSHOT_ANON;
    if (reading->pages->frames_told && frame == reading->pages->zero_frame)
        return SNAPSHOT_ZERO;
    if ((reading->flags & ASPEN_VM_MIXEDMAP) != 0) {
        *value = frame;
        reading->ambiguous++;
        return SNAPSHOT_RAW;
    }
    return TENTATIVE_ANON;
}

/* The first of entries [i, count) that is no hole. */
static size_t
skip_holes(const uint64_t *entries, size_t i, size_t count)
{
    const uint64_t mask = ENTRY_PRESENT | ENTRY_SWAP;

    for (; i + 8 <= count; i += 8)
        if (((entries[i] | entries[i + 1] | entries[i + 2] | entries[i + 3] |
              entries[i + 4] | entries[i + 5] | entries[i + 6] |
              entries[i + 7]) &
             mask) != 0)
            break;
    while (i < count && (entries[i] & mask) == 0)
        i++;
    return i;
}

/* Add the runs of [address, + count pages) from the window. */
static int
add_entries(struct reading *reading, uint64_t address, size_t count)
{
    unsigned level = reading->level;

    const uint64_t *entries = reading->pages->entries;

    for (size_t i = skip_holes(entries, 0, count); i < count;
         i = skip_holes(entries, i, count)) {
        uint64_t entry = entries[i];
        uint64_t value = 0;
        uint64_t pages = 1;
        unsigned kind;

        if ((entry & ENTRY_PRESENT) != 0)
            kind = kind_of_present(reading, entry, &value);
        else
            kind = kind_of_swap(reading, entry, &value);
        level = reading->level;
        if (kind == TENTATIVE_HUGE_ZERO) {
            kind = SNAPSHOT_ZERO;
            level = 1;
        }
        if (level > 0 && kind != SNAPSHOT_OTHER) {
            pages = snapshot_level_pages(level);
            pages -= (address / PAGE + i) % pages;
            if (pages > count - i)
                pages = count - i;
        }
        if (add(reading, address + i * PAGE, pages, level, kind, value) != 0)
            return -1;
        i += pages;
    }
    return 0;
}

/* A 1 GiB page has more entries than the window: one will do. */
static int
read_gigantic(struct reading *reading, uint64_t address)
{
    uint64_t entry;

    if (read_entries(reading, address, 1) != 0)
        return -1;
    entry = reading->pages->entries[0];
    if ((entry & ENTRY_PRESENT) == 0)
        return 0;
    return add(reading, address, snapshot_level_pages(2), 2,
               (entry & ENTRY_FILE) != 0 ? SNAPSHOT_OBJECT : SNAPSHOT_ANON, 0);
}

/* Read what the window holds of [*start, end), and go behind it. */
static int
read_window(struct reading *reading, uint64_t *start, uint64_t end)
{
    uint64_t at = *start;
    /* Nor may a 2 MiB page be cut in two by the window. */
    size_t count = WINDOW_ENTRIES - at / PAGE % 512;

    if (reading->level == 2) {
        *start = at + snapshot_level_pages(2) * PAGE;
        return read_gigantic(reading, at);
    }
    if (count > (end - at) / PAGE)
        count = (size_t)((end - at) / PAGE);
    *start = at + count * PAGE;
    if (read_entries(reading, at, count) != 0)
        return -1;
    return add_entries(reading, at, count);
}

/* Read pagemap over [start, end). */
static int
read_pagemap(struct reading *reading, uint64_t start, uint64_t end)
{
    while (start < end)
        if (read_window(reading, &start, end) != 0)
            return -1;
    return 0;
}

/* Of a large area: until all that is counted is found. */
static int
read_until_found(struct reading *reading, uint64_t start, uint64_t end)
{
    const struct smaps_area *area = reading->area;
    uint64_t counted = (area->rss_kb + area->swap_kb + area->hugetlb_kb) / 4;
    uint64_t begin = start;

    while (start < end && reading->present + reading->swapped < counted)
        if (read_window(reading, &start, end) != 0)
            return -1;
    reading->pages->patience -= (start - begin) / PAGE;
    reading->snapshot->unread += (end - start) / PAGE;
    return 0;
}

/* As far as our patience goes: half of it from each end. */
static int
read_large(struct reading *reading, uint64_t start, uint64_t end)
{
    uint64_t pages = (end - start) / PAGE;
    uint64_t half = reading->pages->patience / 2;

    if (pages <= reading->pages->patience)
        return read_until_found(reading, start, end);
    half -= half % snapshot_level_pages(2); /* cuts no huge page */
    reading->snapshot->unread += pages - 2 * half;
    if (read_until_found(reading, start, start + half * PAGE) != 0)
        return -1;
    return read_until_found(reading, end - half * PAGE, end);
}

/* Without the ioctl. */
static int
read_by_pagemap(struct reading *reading)
{
    const struct smaps_area *area = reading->area;

    if ((area->rss_kb | area->swap_kb | area->hugetlb_kb) == 0) {
        reading->snapshot->unread += (area->end - area->start) / PAGE;
        return 0;
    }
    if ((area->end - area->start) / PAGE > PATIENT_PAGES)
        return read_large(reading, area->start, area->end);
    return read_pagemap(reading, area->start, area->end);
}

/* --- what the ioctl reports ---------------------------------------------- */

/* A huge page without a file: anonymous, or the huge zero page. */
static int
add_huge(struct reading *reading, uint64_t start, uint64_t end)
{
    uint64_t span = snapshot_level_pages(1) * PAGE;

    if ((start | end) % span != 0)
        return add(reading, start, (end - start) / PAGE, 0, TENTATIVE_ANON, 0);
    for (; start < end; start += span) {
        unsigned kind = TENTATIVE_ANON;

        if (read_entries(reading, start, 1) != 0)
            return -1;
        if ((reading->pages->entries[0] & ENTRY_EXCLUSIVE) != 0)
            kind = SNAPSHOT_ANON;
        if (add(reading, start, snapshot_level_pages(1), 1, kind, 0) != 0)
            return -1;
    }
    return 0;
}

static int
add_region(struct reading *reading, const struct scan_region *region)
{
    uint64_t what = region->categories;
    uint64_t pages = (region->end - region->start) / PAGE;
    bool huge = (what & SCAN_HUGE) != 0;
    unsigned level = reading->level > 0 ? reading->level : huge ? 1 : 0;

    if ((what & SCAN_GUARD) != 0)
        return add(reading, region->start, pages, 0, SNAPSHOT_GUARD, 0);
    /* Slots, raw frames and, before 6.15, guards: pagemap knows more. */
    if ((what & SCAN_PRESENT) == 0 || (reading->flags & ASPEN_VM_MIXEDMAP) != 0)
        return read_pagemap(reading, region->start, region->end);
    if ((what & SCAN_ZERO) != 0)
        return add(reading, region->start, pages, level, SNAPSHOT_ZERO, 0);
    if ((what & SCAN_FILE) != 0)
        return add(reading, region->start, pages, level, SNAPSHOT_OBJECT, 0);
    if (huge && reading->level == 0)
        return add_huge(reading, region->start, region->end);
    return add(reading, region->start, pages, level, SNAPSHOT_ANON, 0);
}

static int
scan(struct pages *pages, struct scan_argument *argument)
{
    int got;

    argument->size = sizeof(*argument);
    argument->category_anyof_mask = SCAN_PRESENT | SCAN_SWAPPED;
    argument->return_mask =
        SCAN_FILE | SCAN_PRESENT | SCAN_SWAPPED | SCAN_ZERO | SCAN_HUGE;
    if (pages->guards_told) {
        argument->category_anyof_mask |= SCAN_GUARD;
        argument->return_mask |= SCAN_GUARD;
    }
    argument->vec = (uint64_t)(uintptr_t)pages->regions;
    argument->vec_len = SCAN_REGIONS;
    do
        got = ioctl(pages->fd, SCAN_IOCTL, argument);
    while (got < 0 && errno == EINTR);
    return got;
}

static int
read_by_scan(struct reading *reading)
{
    const struct scan_region *regions = reading->pages->regions;
    uint64_t end = reading->area->end;
    struct scan_argument argument = {0};

    for (uint64_t at = reading->area->start; at < end;) {
        int got;

        argument.start = at;
        argument.end = end;
        got = scan(reading->pages, &argument);
        if (got < 0)
            return tool_fail(reading->error, "cannot scan the pages: %s",
                             strerror(errno));
        for (int i = 0; i < got; i++)
            if (add_region(reading, &regions[i]) != 0)
                return -1;
        if (argument.walk_end <= at)
            break;
        at = argument.walk_end;
    }
    return 0;
}

/* --- what smaps' counts decide ------------------------------------------- */

static struct snapshot_vma *
last_vma(struct snapshot *snapshot)
{
    return &snapshot->vmas[snapshot->vma_count - 1];
}

/* 4 KiB pages of the area's runs of one kind. */
static uint64_t
pages_of(const struct reading *reading, unsigned kind)
{
    const struct snapshot_vma *vma = last_vma(reading->snapshot);
    uint64_t pages = 0;

    for (uint32_t i = 0; i < vma->run_count; i++) {
        const struct snapshot_run *run =
            &reading->snapshot->runs[vma->first_run + i];

        if (snapshot_run_kind(run) == kind)
            pages += snapshot_run_pages(run);
    }
    return pages;
}

/* Take the area's runs out and add them again, so that neighbours join. */
static int
change_kind(struct reading *reading, unsigned from, unsigned to)
{
    struct snapshot *snapshot = reading->snapshot;
    struct snapshot_vma *vma = last_vma(snapshot);
    uint32_t count = vma->run_count;

    vma->run_count = 0;
    snapshot->run_count = vma->first_run;
    for (uint32_t i = 0; i < count; i++) {
        /* Never written past what is still to be read: joining only
         * shortens. */
        struct snapshot_run run = snapshot->runs[vma->first_run + i];
        unsigned kind = snapshot_run_kind(&run);

        if (kind == from) {
            kind = to;
            if (to != SNAPSHOT_SWAP)
                run.value = 0;
        }
        if (snapshot_add_run(snapshot, snapshot_run_address(&run), run.count,
                             snapshot_run_level(&run), (enum snapshot_kind)kind,
                             run.value) != 0)
            return tool_fail(reading->error, "no memory for the pages");
    }
    return 0;
}

static int
settle_anon(struct reading *reading)
{
    uint64_t open = pages_of(reading, TENTATIVE_ANON);
    uint64_t sure = pages_of(reading, SNAPSHOT_ANON);
    uint64_t counted = reading->area->anonymous_kb / 4;

    if (open == 0)
        return 0;
    if (counted == sure)
        return change_kind(reading, TENTATIVE_ANON, SNAPSHOT_ZERO);
    if (counted != sure + open)
        reading->ambiguous += open;
    return change_kind(reading, TENTATIVE_ANON, SNAPSHOT_ANON);
}

static int
settle_swap(struct reading *reading)
{
    uint64_t open = pages_of(reading, TENTATIVE_SWAP);
    uint64_t sure = pages_of(reading, SNAPSHOT_SWAP);
    uint64_t counted = reading->area->swap_kb / 4;

    if (open == 0)
        return 0;
    if (counted == sure) {
        /* A marker. Guards are told apart where the kernel knows them by
         * name; where it does not, they are by far the likeliest. */
        if (reading->pages->guards_told)
            return change_kind(reading, TENTATIVE_SWAP, SNAPSHOT_OTHER);
        reading->ambiguous += open;
        return change_kind(reading, TENTATIVE_SWAP, SNAPSHOT_GUARD);
    }
    if (counted != sure + open)
        reading->ambiguous += open;
    return change_kind(reading, TENTATIVE_SWAP, SNAPSHOT_SWAP);
}

/* Whether a 2 MiB range is one block of frames: 1, 0; -1: cannot read. */
static int
is_one_block(struct reading *reading, uint64_t address)
{
    const uint64_t *entries = reading->pages->entries;
    uint64_t first;

    if (read_entries(reading, address, 512) != 0)
        return -1;
    first = entries[0] & ENTRY_FRAME_MASK;
    for (uint64_t i = 0; i < 512; i++)
        if ((entries[i] & ENTRY_FRAME_MASK) != first + i)
            return 0;
    return first % 512 == 0;
}

/* Whole 2 MiB ranges inside a run of small pages: [*first, *last). */
static void
whole_ranges(const struct snapshot_run *run, uint64_t *first, uint64_t *last)
{
    uint64_t span = 512 * PAGE;

    *first = (snapshot_run_address(run) + span - 1) & ~(span - 1);
    *last = snapshot_run_end(run) & ~(span - 1);
}

/*
 * Read by pagemap, a huge page looks like 512 small ones. smaps says how much
 * of the area is mapped huge: nothing, or every range that could be, or, when
 * frames are told, as many as lie in one block. Else: told as ambiguous, and
 * the first that fit are taken.
 */
static int
split_run(struct reading *reading, const struct snapshot_run *run,
          bool only_blocks, uint64_t *left)
{
    uint64_t at = snapshot_run_address(run);
    unsigned kind = snapshot_run_kind(run);
    uint64_t span = 512 * PAGE;
    uint64_t first;
    uint64_t last;

    whole_ranges(run, &first, &last);
    for (uint64_t huge = first; huge<last && * left> 0; huge += span) {
        int take = only_blocks ? is_one_block(reading, huge) : 1;

        if (take < 0)
            return -1;
        if (take == 0)
            continue;
        (*left)--;
        if (snapshot_add_run(reading->snapshot, at, (huge - at) / PAGE, 0,
                             (enum snapshot_kind)kind, 0) != 0 ||
            snapshot_add_run(reading->snapshot, huge, 1, 1,
                             (enum snapshot_kind)kind, 0) != 0)
            return tool_fail(reading->error, "no memory for the pages");
        at = huge + span;
    }
    if (snapshot_add_run(reading->snapshot, at,
                         (snapshot_run_end(run) - at) / PAGE, 0,
                         (enum snapshot_kind)kind, 0) != 0)
        return tool_fail(reading->error, "no memory for the pages");
    return 0;
}

static int
split_runs(struct reading *reading, unsigned kind, bool only_blocks,
           uint64_t left)
{
    struct snapshot *snapshot = reading->snapshot;
    struct snapshot_vma *vma = last_vma(snapshot);
    uint32_t count = vma->run_count;
    struct snapshot_run *old = calloc(count, sizeof(*old));
    int result = 0;

    if (old == NULL)
        return tool_fail(reading->error, "no memory for the pages");
    memcpy(old, &snapshot->runs[vma->first_run], count * sizeof(*old));
    vma->run_count = 0;
    snapshot->run_count = vma->first_run;
    for (uint32_t i = 0; i < count && result == 0; i++) {
        if (snapshot_run_kind(&old[i]) == kind &&
            snapshot_run_level(&old[i]) == 0)
            result = split_run(reading, &old[i], only_blocks, &left);
        else if (snapshot_add_run(
                     snapshot, snapshot_run_address(&old[i]), old[i].count,
                     snapshot_run_level(&old[i]),
                     (enum snapshot_kind)snapshot_run_kind(&old[i]),
                     old[i].value) != 0)
            result = tool_fail(reading->error, "no memory for the pages");
    }
    free(old);
    return result;
}

/* How many ranges could be huge, and how many of them lie in one block. */
static int
count_ranges(struct reading *reading, unsigned kind, uint64_t *could,
             uint64_t *blocks)
{
    const struct snapshot_vma *vma = last_vma(reading->snapshot);

    *could = 0;
    *blocks = 0;
    for (uint32_t i = 0; i < vma->run_count; i++) {
        const struct snapshot_run *run =
            &reading->snapshot->runs[vma->first_run + i];
        uint64_t first;
        uint64_t last;

        if (snapshot_run_kind(run) != kind || snapshot_run_level(run) != 0)
            continue;
        whole_ranges(run, &first, &last);
        for (; first < last; first += 512 * PAGE) {
            int block =
                reading->pages->frames_told ? is_one_block(reading, first) : 0;

            if (block < 0)
                return -1;
            *could += 1;
            *blocks += (uint64_t)block;
        }
    }
    return 0;
}

static int
settle_huge(struct reading *reading, unsigned kind, uint64_t huge_kb)
{
    uint64_t huge = huge_kb / 2048;
    uint64_t could;
    uint64_t blocks;

    if (huge == 0)
        return 0;
    if (count_ranges(reading, kind, &could, &blocks) != 0)
        return -1;
    if (could == 0)
        return 0;
    if (huge != could && huge != blocks)
        reading->ambiguous += could * 512;
    return split_runs(reading, kind, huge < could && huge <= blocks, huge);
}

/* smaps does not count the huge zero page; only frames can tell it. */
static int
settle_huge_zero(struct reading *reading)
{
    uint64_t could;
    uint64_t blocks;

    if (count_ranges(reading, SNAPSHOT_ZERO, &could, &blocks) != 0)
        return -1;
    if (could == 0)
        return 0;
    if (!reading->pages->frames_told) {
        reading->ambiguous += could * 512;
        return 0;
    }
    return split_runs(reading, SNAPSHOT_ZERO, true, blocks);
}

static int
settle(struct reading *reading)
{
    if (settle_anon(reading) != 0 || settle_swap(reading) != 0)
        return -1;
    if (reading->pages->method == PAGES_PAGEMAP && reading->level == 0 &&
        (settle_huge(reading, SNAPSHOT_ANON, reading->area->anon_huge_kb) !=
             0 ||
         settle_huge(reading, SNAPSHOT_OBJECT, reading->area->file_huge_kb) !=
             0 ||
         settle_huge_zero(reading) != 0))
        return -1;
    reading->snapshot->ambiguous += reading->ambiguous;
    return 0;
}

/* --- opening ------------------------------------------------------------- */

/* What our own zero page's entry says: its frame, if frames are told. */
static void
learn_zero_frame(struct pages *pages)
{
    int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    volatile const char *page =
        mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint64_t entry = 0;

    if (fd >= 0 && page != MAP_FAILED && *page == 0 &&
        pread(fd, &entry, sizeof(entry),
              (off_t)((uintptr_t)page / PAGE * sizeof(entry))) ==
            sizeof(entry)) {
        pages->zero_frame = entry & ENTRY_FRAME_MASK;
        pages->frames_told = pages->zero_frame != 0;
    }
    if (page != MAP_FAILED)
        munmap((void *)(uintptr_t)page, PAGE);
    if (fd >= 0)
        close(fd);
}

/* An empty range: does the kernel know the ioctl, and the guard category? */
static bool
learn_scan(struct pages *pages)
{
    struct scan_argument argument = {0};

    pages->guards_told = true;
    if (scan(pages, &argument) >= 0)
        return true;
    pages->guards_told = false;
    memset(&argument, 0, sizeof(argument));
    return scan(pages, &argument) >= 0;
}

/*
 * The kernel shows nobody what is in an area of raw frames: both ways report
 * a hole, and no counter holds them. Such areas (vvar, devices) are mostly
 * mapped in full, and a fork copies them: taken so, and counted as assumed.
 * The very large ones are left out, since that would be all table.
 */
static int
assume_raw(struct reading *reading, uint64_t pages)
{
    if (pages > ASSUMED_PAGES) {
        reading->snapshot->unread += pages;
        return 0;
    }
    reading->snapshot->assumed += pages;
    return add(reading, reading->area->start, pages, 0, SNAPSHOT_RAW, 0);
}

int
pages_open(struct pages *pages, const char *directory, enum pages_method method,
           struct tool_error *error)
{
    char path[96];
    bool has_scan;

    memset(pages, 0, sizeof(*pages));
    snprintf(path, sizeof(path), "%s/pagemap", directory);
    pages->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (pages->fd < 0)
        return tool_fail(error, "cannot open %s: %s", path,
                         errno == ENOENT ? "the process has ended"
                                         : strerror(errno));
    pages->entries = malloc(WINDOW_ENTRIES * sizeof(uint64_t));
    pages->regions = malloc(SCAN_REGIONS * sizeof(struct scan_region));
    if (pages->entries == NULL || pages->regions == NULL) {
        pages_close(pages);
        return tool_fail(error, "no memory");
    }
    learn_zero_frame(pages);
    has_scan = learn_scan(pages);
    if (method == PAGES_SCAN && !has_scan) {
        pages_close(pages);
        return tool_fail(error, "this kernel has no PAGEMAP_SCAN (6.7 on)");
    }
    pages->patience = method == PAGES_BEST ? PATIENCE_PAGES : UINT64_MAX;
    pages->method = method == PAGES_BEST && has_scan ? PAGES_SCAN : method;
    if (method == PAGES_BEST && !has_scan)
        pages->method = PAGES_PAGEMAP;
    return 0;
}

void
pages_close(struct pages *pages)
{
    free(pages->entries);
    free(pages->regions);
    if (pages->fd >= 0)
        close(pages->fd);
    memset(pages, 0, sizeof(*pages));
    pages->fd = -1;
}

int
pages_read(struct pages *pages, struct snapshot *snapshot,
           const struct smaps_area *area, struct tool_error *error)
{
    struct reading reading = {
        .pages = pages,
        .snapshot = snapshot,
        .area = area,
        .error = error,
        .flags = last_vma(snapshot)->flags,
    };
    uint64_t pages_of_area = (area->end - area->start) / PAGE;
    int result;

    if ((reading.flags & ASPEN_VM_PFNMAP) != 0)
        return assume_raw(&reading, pages_of_area);
    if (area->page_kb >= 2048)
        reading.level = area->page_kb >= 1048576 ? 2 : 1;
    if (pages->method == PAGES_SCAN)
        result = read_by_scan(&reading);
    else
        result = read_by_pagemap(&reading);
    return result == 0 ? settle(&reading) : -1;
}
