/* SPDX-License-Identifier: MIT */
/**
 * aspen/track/pagemap.h - what pages of a range are: written since they were
 * protected, accessed, swapped, ... For checkpoints, migration of guests,
 * working sets: what a kernel puts behind ioctl(PAGEMAP_SCAN).
 */
#ifndef ASPEN_PAGEMAP_H
#define ASPEN_PAGEMAP_H

#include <aspen/compiler.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aspen_mm;

/** Categories; their values are Linux's, but ACCESSED. */
#define ASPEN_PAGE_WP_ALLOWED                                                  \
    (1u << 0) /* its mapping is registered for writes,                         \
                 with ASPEN_USERFAULT_WP_ASYNC */
#define ASPEN_PAGE_WRITTEN                                                     \
    (1u << 1)                        /* not protected, so it may have been;    \
                                        also where nothing is */
#define ASPEN_PAGE_FILE    (1u << 2) /* an object's page is mapped */
#define ASPEN_PAGE_PRESENT (1u << 3) /* a page is mapped, raw frames too */
#define ASPEN_PAGE_SWAPPED                                                     \
    (1u << 4)                     /* none, but something is noted there: it    \
                                     is swapped out, a guard, or nothing and   \
                                     protected */
#define ASPEN_PAGE_ZERO (1u << 5) /* the page of zeroes is mapped */
#define ASPEN_PAGE_HUGE (1u << 6) /* a huge page */
#define ASPEN_PAGE_SOFT_DIRTY                                                  \
    (1u << 7) /* its mapping is SOFTDIRTY: pages are not asked, as in a kernel \
                 that does not keep it (CONFIG_MEM_SOFT_DIRTY) */
#define ASPEN_PAGE_GUARD (1u << 8) /* a guard page */
/** It is mapped, and was accessed since that was last cleared: by processors,
 * or by second MMUs (aspen/calls/young.h). */
#define ASPEN_PAGE_ACCESSED   (1u << 31)
#define ASPEN_PAGE_CATEGORIES (0x1ffu | ASPEN_PAGE_ACCESSED)

/** Pages in a row that are alike. */
struct aspen_pagemap_region {
    uint64_t start;
    uint64_t end;
    unsigned categories; /* of those that were asked for */
};

/** Flags. Protect what matches, in one step with the look at it; mappings that
 * are not WP_ALLOWED are passed over. */
#define ASPEN_PAGEMAP_PROTECT 1u
/** Refuse mappings that are not WP_ALLOWED. */
#define ASPEN_PAGEMAP_CHECK 2u
/** Forget that what matches was accessed: from now on it counts anew. */
#define ASPEN_PAGEMAP_CLEAR_ACCESSED 4u

/**
 * A page matches if, after the categories in `inverted` were turned round, it
 * has all in `mask`, and one in `any_of` unless that is 0. Raw memory (PFNMAP)
 * is passed over, and so is what is not mapped.
 */
struct aspen_pagemap_scan {
    uint64_t start; /* in: as all down to max_pages; page aligned */
    uint64_t end;   /* rounded up to pages */
    unsigned flags;
    unsigned inverted;
    unsigned mask;
    unsigned any_of;
    unsigned returned;                    /* what regions tell, not turned */
    struct aspen_pagemap_region *regions; /* or NULL: protect and clear alone */
    uint64_t regions_max;
    uint64_t max_pages; /* that match; 0: any number. Of no effect without
                           regions */

    uint64_t count;    /* out: regions */
    uint64_t walk_end; /* out: all pages below it were looked at */
};

/**
 * Look through a range, up to where regions or pages are enough.
 *
 * With PROTECT a write is never missed: it comes before, and the page is told,
 * or after, and it is told by the next scan. Processors are flushed before the
 * call returns.
 *
 * Units:   addresses in bytes. `regions` is memory of the caller's that does
 *          not fault in this space.
 * Context: may sleep. Takes the mmap lock for reading, several times.
 * Returns: 0, `count` and `walk_end`. Else an error, when nothing was told,
 *          protected or cleared: where one comes later the call ends before,
 *          with 0, and the next from `walk_end` on has it.
 *   -ASPEN_EINVAL     unknown flags or categories; `start` is not aligned, the
 *                     range is turned round or beyond the top; `regions_max`
 *                     without `regions`, or the other way round
 *   -ASPEN_EPERM      CHECK, and a mapping is not WP_ALLOWED
 *   -ASPEN_ENOMEM     PROTECT, and no memory for page tables
 *   -ASPEN_EOPNOTSUPP PROTECT, and a huge page
 *   -ASPEN_EINTR      a fatal signal
 * Source:  Linux v6.12 do_pagemap_scan(). There PROTECT (PM_SCAN_WP_MATCHING)
 *          without regions protects what page tables hold, matching or not;
 *          here all that matches and nothing else. There guards are WRITTEN
 *          until they are protected, here they never are.
 */
ASPEN_MUST_USE int aspen_pagemap_scan(struct aspen_mm *mm,
                                      struct aspen_pagemap_scan *scan);

#ifdef __cplusplus
}
#endif

#endif
