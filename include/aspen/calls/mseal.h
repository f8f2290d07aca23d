/* SPDX-License-Identifier: MIT */
/**
 * aspen/calls/mseal.h - mappings that nobody can change any more.
 */
#ifndef ASPEN_MSEAL_H
#define ASPEN_MSEAL_H

#include <aspen/compiler.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aspen_mm;

/**
 * Seal a range for good: until the space ends nobody can unmap, move or replace
 * what is mapped there, or change its access.
 *
 * Units:   bytes; the length is rounded up to pages, and may be 0.
 * Context: may sleep. Takes the mmap lock for writing.
 * Returns: 0, or -ASPEN_EINVAL (address not page-aligned, the range wraps; an
 *          edge inside a page of a huge-page object or a special mapping),
 *          -ASPEN_ENOMEM (a hole, map count, no memory), -ASPEN_EOPNOTSUPP (an
 *          edge inside a huge page), -ASPEN_EINTR, or the error of an object's
 *          open hook. On error the address space is as it was.
 * Source:  mseal(2).
 */
ASPEN_MUST_USE int aspen_mseal(struct aspen_mm *mm, uint64_t address,
                               uint64_t length_bytes);

#ifdef __cplusplus
}
#endif

#endif
