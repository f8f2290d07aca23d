/* SPDX-License-Identifier: MIT */
/*
 * space/protect.h - page-table entries follow their VMAs' flags.
 */
#ifndef ASPEN_SPACE_PROTECT_H
#define ASPEN_SPACE_PROTECT_H

#include "space/vma.h"

/*
 * Give the entries in [start, end) the access that their VMAs have now. If
 * `whole` is not NULL it covers the whole range; else look the VMAs up. An
 * entry never becomes writable: the next write does that, by a fault. Cannot
 * fail; flushes the TLB if anything changed.
 *
 * Context: the mmap lock is held for writing, and the VMAs are write-locked.
 *          No huge page lies across an edge.
 */
void aspen_protect_range(struct aspen_mm *mm, const struct aspen_vma *whole,
                         uint64_t start, uint64_t end);

#endif
