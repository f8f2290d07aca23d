/* SPDX-License-Identifier: MIT */
/*
 * calls/place.h - where a new mapping goes.
 */
#ifndef ASPEN_CALLS_PLACE_H
#define ASPEN_CALLS_PLACE_H

#include "space/mm.h"
#include <aspen/mmap.h>

/*
 * Choose the address of `bytes` (a multiple of the page size, not 0) by the
 * caller's wish.
 *
 *   FIXED            there, whatever is mapped
 *   FIXED_NOREPLACE  there, -ASPEN_EEXIST if something is
 *   neither          at the hint, rounded down to a page, if that is free;
 *                    else the highest place below mm->mmap_base; else the
 *                    lowest from a third of the address space on
 *
 * A place that is chosen stays out of the guard gap below areas that grow
 * down, and above ASPEN_MMAP_MIN_ADDRESS.
 *
 * Context: the mmap lock is held.
 * Returns: 0 and *start, or -ASPEN_EINVAL (a fixed address that is not
 *          page-aligned), -ASPEN_EPERM (a fixed address too low),
 *          -ASPEN_EEXIST, -ASPEN_ENOMEM (beyond the top, or no place).
 */
ASPEN_MUST_USE int aspen_place(struct aspen_mm *mm,
                               const struct aspen_mmap_args *args,
                               uint64_t bytes, uint64_t *start);

#endif
