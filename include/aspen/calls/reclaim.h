/* SPDX-License-Identifier: MIT */
/**
 * aspen/calls/reclaim.h - pages leave memory for others.
 *
 * Pages of files that their pager could read again (ASPEN_OBJECT_FILE with
 * `read`) leave, whether or not they are mapped: what maps them faults, and
 * they are read again. Dirty ones are written before, with their neighbours, if
 * the pager has `write`: what it answers is kept for aspen_object_sync().
 * Anonymous memory and shared memory (ASPEN_OBJECT_SHMEM whose pager, if there
 * is one, has none of `read`, `write`, `mkwrite`, `fault`) go to a swap device
 * with room (aspen/calls/swap.h), or, what MADV_FREE gave up, nowhere.
 * docs/design/reclaim.md says which go first.
 * Locked and pinned pages stay, and so do pages of other objects.
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
 * the most, and only tries their locks; it waits for a pager's `write` and for
 * swap devices alone.
 *
 * Context: may sleep; no lock of the core is held, no hook of an object or a
 *          space is running.
 * Returns: how many left.
 * Source:  Linux's memory.reclaim.
 */
uint64_t aspen_reclaim(struct aspen *aspen, uint64_t pages);

/**
 * Keep memory free: for a thread of the embedder's, which calls it again and
 * again until it answers false, and then waits until the hook `wake` is called.
 * Up to 128 pages leave, as aspen_reclaim(), if fewer frames are free than
 * config.watermark_high. One thread is enough; several may.
 *
 * Context: as aspen_reclaim().
 * Returns: whether there is more to do. false: as many are free, or nothing can
 *          leave now.
 */
ASPEN_MUST_USE bool aspen_reclaim_tick(struct aspen *aspen);

#ifdef __cplusplus
}
#endif

#endif
