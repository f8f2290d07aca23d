/* SPDX-License-Identifier: MIT */
/*
 * calls/map.h - a new mapping, whoever asks for it: mmap, special mappings.
 */
#ifndef ASPEN_CALLS_MAP_H
#define ASPEN_CALLS_MAP_H

#include <aspen/calls/mmap.h>
#include <aspen/special.h>

/*
 * aspen_mmap(), or aspen_map_special() when `special` is not NULL. The caller
 * checks for flags that only the core may set.
 */
ASPEN_MUST_USE int aspen_map(struct aspen_mm *mm,
                             const struct aspen_mmap_args *args,
                             const struct aspen_special *special,
                             uint64_t *address);

/*
 * mmap at a fixed place, and munmap, for calls that are made of them. Arguments
 * are valid; nothing is faulted in. `alone`: a mapping of its own, whatever its
 * neighbours are.
 *
 * Context: the mmap lock is held for writing, and is left by
 *          aspen_mm_write_end().
 */
ASPEN_MUST_USE int aspen_mmap_locked(struct aspen_mm *mm,
                                     const struct aspen_mmap_args *args,
                                     bool alone);
ASPEN_MUST_USE int aspen_munmap_locked(struct aspen_mm *mm, uint64_t start,
                                       uint64_t end);

#endif
