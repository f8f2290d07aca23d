/* SPDX-License-Identifier: MIT */
/*
 * pages_scan.c - what the PAGEMAP_SCAN ioctl reports (Linux 6.7 on).
 *
 * Called by pages.c. tests/unit/tools/test_capture.c breaks first.
 */
#define _GNU_SOURCE
#include "snapshot/pages_reading.h"

#include <aspen/flags.h>

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

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

size_t
pages_regions_bytes(void)
{
    return SCAN_REGIONS * sizeof(struct scan_region);
}

/* A huge page without a file: anonymous, or the huge zero page. */
static int
add_huge(struct reading *reading, uint64_t start, uint64_t end)
{
    uint64_t span = snapshot_level_pages(1) * PAGE;

    if ((start | end) % span != 0)
        return pages_add(reading, start, (end - start) / PAGE, 0,
                         TENTATIVE_ANON, 0);
    for (; start < end; start += span) {
        unsigned kind = TENTATIVE_ANON;

        if (pages_read_entries(reading, start, 1) != 0)
            return -1;
        if ((reading->pages->entries[0] & ENTRY_EXCLUSIVE) != 0)
            kind = SNAPSHOT_ANON;
        if (pages_add(reading, start, snapshot_level_pages(1), 1, kind, 0) != 0)
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
        return pages_add(reading, region->start, pages, 0, SNAPSHOT_GUARD, 0);
    /* Slots, raw frames and, before 6.15, guards: pagemap knows more. */
    if ((what & SCAN_PRESENT) == 0 || (reading->flags & ASPEN_VM_MIXEDMAP) != 0)
        return pages_read_pagemap(reading, region->start, region->end);
    if ((what & SCAN_ZERO) != 0)
        return pages_add(reading, region->start, pages, level, SNAPSHOT_ZERO,
                         0);
    if ((what & SCAN_FILE) != 0)
        return pages_add(reading, region->start, pages, level, SNAPSHOT_OBJECT,
                         0);
    if (huge && reading->level == 0)
        return add_huge(reading, region->start, region->end);
    return pages_add(reading, region->start, pages, level, SNAPSHOT_ANON, 0);
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

bool
pages_learn_scan(struct pages *pages)
{
    struct scan_argument argument = {0};

    pages->guards_told = true;
    if (scan(pages, &argument) >= 0)
        return true;
    pages->guards_told = false;
    memset(&argument, 0, sizeof(argument));
    return scan(pages, &argument) >= 0;
}

int
pages_read_by_scan(struct reading *reading)
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
