/* SPDX-License-Identifier: MIT */
/**
 * aspen/calls/mincore.h - which pages are resident.
 */
#ifndef ASPEN_MINCORE_H
#define ASPEN_MINCORE_H

#include <aspen/compiler.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aspen_mm;

/**
 * Which pages could be read without waiting, as mincore(2): a byte for each
 * page, bit 0 set when it is mapped, or, where nothing is mapped, when the
 * object has it in its cache. Pages in swap are resident while they are in the
 * swap cache. All pages of an object whose pager says so (may_see_cache) are.
 *
 * Units:   `address` is page aligned, the length is rounded up to pages.
 * Context: may sleep. Takes the mmap lock for reading, again and again.
 * Returns: 0, -ASPEN_EINVAL (not aligned), -ASPEN_ENOMEM (not all is mapped:
 *          the bytes of the pages before the hole are written; or it reaches
 *          beyond user space: none is).
 * Source:  mincore(2); Linux v6.12.
 */
ASPEN_MUST_USE int aspen_mincore(struct aspen_mm *mm, uint64_t address,
                                 uint64_t length_bytes, uint8_t *vector);

#ifdef __cplusplus
}
#endif

#endif
