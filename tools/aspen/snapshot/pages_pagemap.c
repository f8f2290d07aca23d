/* SPDX-License-Identifier: MIT */
/*
 * pages_pagemap.c - what /proc/P/pagemap says: 8 bytes for each page of a
 * range.
 *
 * Called by pages.c. tests/unit/tools/test_capture.c breaks first.
 */
#define _GNU_SOURCE
#include "snapshot/pages_reading.h"

#include <aspen/flags.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

/*
 * Types of a "swap" entry. The last is a marker, whose low "slot" bits say
 * of what; those from 23 on stand for pages that move, sit in a device or are
 * poisoned. No system has that many swap areas.
 */
#define SWAP_TYPES_REAL   23u
#define SWAP_TYPE_MARKER  31u
#define SWAP_MARKER_GUARD 4u

/* Above 64 GiB pagemap is read only until everything counted is found. */
#define PATIENT_PAGES ((uint64_t)1 << 24)

int
pages_read_entries(struct reading *reading, uint64_t address, size_t count)
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
    return (reading->flags & (ASPEN_VM_SHARED | ASPEN_VM_HUGETLB)) == 0 &&
           last_vma(reading->snapshot)->object == SNAPSHOT_NO_OBJECT;
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
    const uint64_t *entries = reading->pages->entries;

    for (size_t i = skip_holes(entries, 0, count); i < count;
         i = skip_holes(entries, i, count)) {
        uint64_t entry = entries[i];
        uint64_t value = 0;
        uint64_t pages = 1;
        unsigned level = reading->level;
        unsigned kind;

        if ((entry & ENTRY_PRESENT) != 0)
            kind = kind_of_present(reading, entry, &value);
        else
            kind = kind_of_swap(reading, entry, &value);
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
        if (pages_add(reading, address + i * PAGE, pages, level, kind, value) !=
            0)
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

    if (pages_read_entries(reading, address, 1) != 0)
        return -1;
    entry = reading->pages->entries[0];
    if ((entry & ENTRY_PRESENT) == 0)
        return 0;
    return pages_add(
        reading, address, snapshot_level_pages(2), 2,
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
    if (pages_read_entries(reading, at, count) != 0)
        return -1;
    return add_entries(reading, at, count);
}

int
pages_read_pagemap(struct reading *reading, uint64_t start, uint64_t end)
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

int
pages_read_by_pagemap(struct reading *reading)
{
    const struct smaps_area *area = reading->area;

    if ((area->rss_kb | area->swap_kb | area->hugetlb_kb) == 0) {
        reading->snapshot->unread += (area->end - area->start) / PAGE;
        return 0;
    }
    if ((area->end - area->start) / PAGE > PATIENT_PAGES)
        return read_large(reading, area->start, area->end);
    return pages_read_pagemap(reading, area->start, area->end);
}
