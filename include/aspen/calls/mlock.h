/* SPDX-License-Identifier: MIT */
/**
 * aspen/calls/mlock.h - memory that stays resident.
 */
#ifndef ASPEN_MLOCK_H
#define ASPEN_MLOCK_H

#include <aspen/compiler.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aspen_mm;

/** Of aspen_mlockall(), with Linux's numbers. */
#define ASPEN_MCL_CURRENT 1u /* what is mapped now */
#define ASPEN_MCL_FUTURE  2u /* what will be mapped */
#define ASPEN_MCL_ONFAULT 4u /* pages as they come, none is faulted in */

/** Of aspen_mlock(), with Linux's number: none is faulted in, those that come
 * stay (mlock2(2)). */
#define ASPEN_MLOCK_ONFAULT 1u

/**
 * Fault in a range and lock it: its pages count as locked and are not taken
 * away. Raw memory and huge-page objects in it are passed over.
 *
 * Units:   bytes; the range is rounded out to pages.
 *          `flags`: 0 or ASPEN_MLOCK_ONFAULT.
 * Context: may sleep; no lock is held. Takes the mmap lock for writing, and for
 *          reading while pages come.
 * Returns: 0, or -ASPEN_EPERM (not a byte may be locked), -ASPEN_EINVAL
 *          (another flag, which is looked at first; the range wraps),
 *          -ASPEN_ENOMEM (a hole, or memory that may not be accessed, beyond
 *          the limit, map count, no memory for the split), -ASPEN_EAGAIN (no
 *          memory for a page, or for all at once; others discard pages as fast
 *          as they come), -ASPEN_EOPNOTSUPP (an edge inside a huge page;
 *          a page that cannot be faulted in yet), -ASPEN_EINTR, or the error of
 *          an object's open hook.
 *          On error no mapping has changed; pages that were faulted in stay.
 * Source:  mlock(2), mlock2(2).
 */
ASPEN_MUST_USE int aspen_mlock(struct aspen_mm *mm, uint64_t address,
                               uint64_t length_bytes, unsigned flags);

/**
 * Let the pages of a range go again.
 *
 * Units, context: as aspen_mlock(); no page is faulted in.
 * Returns: as aspen_mlock(), but -ASPEN_EPERM and -ASPEN_EAGAIN.
 * Source:  munlock(2).
 */
ASPEN_MUST_USE int aspen_munlock(struct aspen_mm *mm, uint64_t address,
                                 uint64_t length_bytes);

/**
 * Lock all that is mapped, all that will be, or both. Pages of what is mapped
 * are faulted in; as mlockall(2) does, this ignores errors of that.
 *
 * Context: may sleep; no lock is held. Takes the mmap lock for writing, and for
 *          reading while pages come.
 * Returns: 0, or -ASPEN_EINVAL (no flag, an unknown one, ONFAULT alone),
 *          -ASPEN_EPERM, -ASPEN_ENOMEM (beyond the limit, no memory),
 *          -ASPEN_EINTR. On error nothing has changed.
 * Source:  mlockall(2).
 */
ASPEN_MUST_USE int aspen_mlockall(struct aspen_mm *mm, unsigned flags);

/**
 * Let everything go, now and in future.
 *
 * Context: may sleep; no lock is held. Takes the mmap lock for writing.
 * Returns: 0, or -ASPEN_ENOMEM (no memory), -ASPEN_EINTR. On error nothing has
 *          changed.
 * Source:  munlockall(2).
 */
ASPEN_MUST_USE int aspen_munlockall(struct aspen_mm *mm);

#ifdef __cplusplus
}
#endif

#endif
