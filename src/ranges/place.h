/* SPDX-License-Identifier: MIT */
/*
 * ranges/place.h - where a new mapping goes.
 */
#ifndef ASPEN_RANGES_PLACE_H
#define ASPEN_RANGES_PLACE_H

#include "space/mm.h"
#include <aspen/calls/mmap.h>

/* The address of args as a hint of mmap; a fixed one as it is. */
uint64_t aspen_place_hint(const struct aspen_mm *mm,
                          const struct aspen_mmap_args *args);

/*
 * Choose the address for `bytes` (a multiple of the page size, not 0). It
 * depends on `hint` (fixed: the address), args->flags, object with
 * offset_bytes, and whether vm_flags has SHARED; the rest of args does not
 * matter. docs/use/semantics.md, "Where", has the rules.
 *
 * Context: the mmap lock is held.
 * Returns: 0 and *start, or -ASPEN_ENOMEM (beyond the top, or no place),
 *          -ASPEN_EINVAL (a fixed address that is not page-aligned),
 *          -ASPEN_EPERM (a fixed address too low), -ASPEN_EEXIST.
 */
ASPEN_MUST_USE int aspen_place(struct aspen_mm *mm,
                               const struct aspen_mmap_args *args,
                               uint64_t hint, uint64_t bytes, uint64_t *start);

/* A place that may be named, but that page tables do not reach: the last thing
 * to be looked at. 0 or -ASPEN_ENOMEM. */
ASPEN_MUST_USE int aspen_place_check_top(const struct aspen_mm *mm,
                                         uint64_t start, uint64_t bytes);

#endif
