/* SPDX-License-Identifier: MIT */
/**
 * aspen/calls/reclaim.h - pages leave memory for others.
 *
 * Pages of files that their pager could read again (ASPEN_OBJECT_FILE with
 * `read`) leave when they are clean, whether or not they are mapped: what maps
 * them faults, and they are read again. Anonymous memory goes to a swap device
 * with room (aspen/calls/swap.h), or, if MADV_FREE gave it up, nowhere.
 * docs/design/reclaim.md says which go first. Locked and pinned pages stay, and
 * so do dirty ones and pages of other objects.
 */
#ifndef ASPEN_CALLS_RECLAIM_H
#define ASPEN_CALLS_RECLAIM_H

#include <aspen/compiler.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aspen;

/* Faults, reads and writes of objects do the same when no frame is free. */

/**
 * Take up to `pages` pages out of memory, those first that were not accessed
 * for longest. It looks at as many pages as four times those that may leave at
 * the most, only tries their locks, and waits for no pager, but for swap
 * devices.
 *
 * Context: may sleep; no lock of the core is held, no hook of an object or a
 *          space is running.
 * Returns: how many left.
 * Source:  Linux's memory.reclaim.
 */
uint64_t aspen_reclaim(struct aspen *aspen, uint64_t pages);

#ifdef __cplusplus
}
#endif

#endif
