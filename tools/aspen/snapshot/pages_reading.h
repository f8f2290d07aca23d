/* SPDX-License-Identifier: MIT */
/*
 * pages_reading.h - one area while its pages are read: what the files pages*.c
 * share.
 */
#ifndef ASPEN_PAGES_READING_H
#define ASPEN_PAGES_READING_H

#include "snapshot/pages.h"

#define PAGE SNAPSHOT_PAGE_SIZE

/* Bits of a pagemap entry: the kernel's manual, admin-guide/mm/pagemap. */
#define ENTRY_FRAME_MASK (((uint64_t)1 << 55) - 1)
#define ENTRY_EXCLUSIVE  ((uint64_t)1 << 56)
#define ENTRY_UFFD_WP    ((uint64_t)1 << 57)
#define ENTRY_GUARD      ((uint64_t)1 << 58)
#define ENTRY_FILE       ((uint64_t)1 << 61)
#define ENTRY_SWAP       ((uint64_t)1 << 62)
#define ENTRY_PRESENT    ((uint64_t)1 << 63)

/* What the window on pagemap holds. */
#define WINDOW_ENTRIES 65536u

/* Kinds that pages_settle() replaces; they fit into the four bits of a run. */
#define TENTATIVE_HUGE_ZERO 13 /* part of it: a "file" page without a file */
#define TENTATIVE_ANON      14 /* anonymous or the zero page */
#define TENTATIVE_SWAP      15 /* swapped or a marker */

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

/* ---- pages.c ------------------------------------------------------------ */

/* Adds a run, or what of it is new and inside of the area. -1: no memory. */
int pages_add(struct reading *reading, uint64_t address, uint64_t pages,
              unsigned level, unsigned kind, uint64_t value);

static inline struct snapshot_vma *
last_vma(struct snapshot *snapshot)
{
    return &snapshot->vmas[snapshot->vma_count - 1];
}

/* ---- pages_pagemap.c ---------------------------------------------------- */

/* Fill the window; fewer entries than asked for only at an error. */
int pages_read_entries(struct reading *reading, uint64_t address, size_t count);
/* Read pagemap over [start, end). */
int pages_read_pagemap(struct reading *reading, uint64_t start, uint64_t end);
/* All of an area, without the ioctl. */
int pages_read_by_pagemap(struct reading *reading);

/* ---- pages_scan.c ------------------------------------------------------- */

/* An empty range: does the kernel know the ioctl, and the guard category? */
bool pages_learn_scan(struct pages *pages);
int pages_read_by_scan(struct reading *reading);
/* What pages->regions is for. */
size_t pages_regions_bytes(void);

/* ---- pages_settle.c ----------------------------------------------------- */

/* What smaps' counts decide of what the entries left open. */
int pages_settle(struct reading *reading);

#endif
