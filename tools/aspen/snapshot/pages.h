/* SPDX-License-Identifier: MIT */
/*
 * pages.h - what the page-table entries of another process hold, by the
 * PAGEMAP_SCAN ioctl or by reading /proc/P/pagemap.
 */
#ifndef ASPEN_PAGES_H
#define ASPEN_PAGES_H

#include "snapshot/smaps.h"

enum pages_method {
    PAGES_BEST, /* the ioctl where the kernel has it */
    PAGES_SCAN,
    PAGES_PAGEMAP,
};

struct pages {
    int fd; /* /proc/P/pagemap */
    enum pages_method method;
    bool guards_told;    /* the ioctl names guard pages (6.15 on) */
    bool frames_told;    /* we may see frame numbers and swap slots */
    uint64_t zero_frame; /* the zero page's number, when frames_told */
    uint64_t patience;   /* entries of large areas that are still read */
    uint64_t *entries;   /* a window on pagemap */
    void *regions;       /* what the ioctl fills */
};

/**
 * Open. `directory` is /proc/P or /proc/P/task/T.
 * Returns: 0, or -1 and a reason (also: PAGES_SCAN on a kernel without it).
 */
int pages_open(struct pages *pages, const char *directory,
               enum pages_method method, struct tool_error *error);
void pages_close(struct pages *pages);

/**
 * Add the runs of the snapshot's last VMA, which is `area`. Adds what the
 * kernel does not tell to snapshot->ambiguous, what is not looked at to
 * snapshot->unread, raw frames that it shows nobody to snapshot->assumed.
 */
int pages_read(struct pages *pages, struct snapshot *snapshot,
               const struct smaps_area *area, struct tool_error *error);

#endif
