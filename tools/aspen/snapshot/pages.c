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
 * what smaps counted for the area decides (pages_settle.c): whether pages
 * without a file are anonymous or the zero page, whether "swapped" means swap
 * or a marker, whether 512 pages in a row are one huge page. What even that
 * leaves open is counted as ambiguous.
 *
 * I1  Runs are added in address order, aligned to their level.
 *
 * Called by capture.c. tests/unit/tools/test_capture.c breaks first.
 */
#define _GNU_SOURCE
#include "snapshot/pages_reading.h"

#include <aspen/flags.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Of all areas that are read only until everything counted is found: 0.15 s. */
#define PATIENCE_PAGES ((uint64_t)1 << 25)

/* Areas of raw frames up to 1 GiB are taken as mapped in full. */
#define ASSUMED_PAGES ((uint64_t)1 << 18)

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

int
pages_add(struct reading *reading, uint64_t address, uint64_t pages,
          unsigned level, unsigned kind, uint64_t value)
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
    return pages_add(reading, reading->area->start, pages, 0, SNAPSHOT_RAW, 0);
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
    pages->regions = malloc(pages_regions_bytes());
    if (pages->entries == NULL || pages->regions == NULL) {
        pages_close(pages);
        return tool_fail(error, "no memory");
    }
    learn_zero_frame(pages);
    has_scan = pages_learn_scan(pages);
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
        result = pages_read_by_scan(&reading);
    else
        result = pages_read_by_pagemap(&reading);
    return result == 0 ? pages_settle(&reading) : -1;
}
