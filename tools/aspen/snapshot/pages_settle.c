/* SPDX-License-Identifier: MIT */
/*
 * pages_settle.c - what smaps' counts of an area decide, where entries alone do
 * not tell: whether pages without a file are anonymous or the zero page,
 * whether "swapped" means swap or a marker, whether 512 pages in a row are one
 * huge page. What even that leaves open is counted as ambiguous.
 *
 * Called by pages.c. tests/unit/tools/test_capture.c breaks first.
 */
#define _GNU_SOURCE
#include "snapshot/pages_reading.h"

#include <stdlib.h>
#include <string.h>

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

    if (pages_read_entries(reading, address, 512) != 0)
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

int
pages_settle(struct reading *reading)
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
