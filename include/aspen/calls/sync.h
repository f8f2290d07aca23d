/* SPDX-License-Identifier: MIT */
/**
 * aspen/calls/sync.h - msync: what was written through shared mappings goes to
 * their objects.
 */
#ifndef ASPEN_SYNC_H
#define ASPEN_SYNC_H

#include <aspen/compiler.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aspen_mm;

/** Flags of aspen_msync(), Linux's numbers. */
#define ASPEN_MS_ASYNC      1u
#define ASPEN_MS_INVALIDATE 2u
#define ASPEN_MS_SYNC       4u

/**
 * Write back the parts of shared mappings of objects that lie in the range and
 * could be written (SYNC). ASYNC starts nothing, as on Linux: dirty pages are
 * written back anyway. INVALIDATE only checks that nothing is locked: mappings
 * of an object share its pages. Progressive: mapping by mapping, up to the
 * first error of a write; holes are passed over and reported at the end.
 *
 * Units:   bytes; the length is rounded up to pages.
 * Context: may sleep; no lock is held. Takes the mmap lock for reading, and
 *          drops it while an object is written.
 * Returns: 0, or -ASPEN_EINVAL (address not page-aligned, unknown flag, SYNC
 *          with ASYNC, or SYNC met a device's mapping that could be written),
 *          -ASPEN_ENOMEM (a hole, after the rest was done but for ASYNC alone,
 *          which ends there; the end wraps), -ASPEN_EBUSY (INVALIDATE met a
 *          locked mapping), -ASPEN_EINTR, or the error of a pager's write hook,
 *          unchanged.
 * Source:  msync(2); Linux v6.12.
 */
ASPEN_MUST_USE int aspen_msync(struct aspen_mm *mm, uint64_t address,
                               uint64_t length_bytes, unsigned flags);

#ifdef __cplusplus
}
#endif

#endif
