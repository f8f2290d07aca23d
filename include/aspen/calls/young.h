/* SPDX-License-Identifier: MIT */
/**
 * aspen/calls/young.h - which pages are in use: for whoever measures a working
 * set, or looks for what nobody would miss.
 */
#ifndef ASPEN_YOUNG_H
#define ASPEN_YOUNG_H

#include <aspen/compiler.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aspen_mm;

/** Forget it: from now on an access counts anew. */
#define ASPEN_YOUNG_CLEAR 1u

/**
 * How many pages of [address, address + length) were accessed since that was
 * last cleared, by this call or by MADV_COLD or _FREE: by processors, as the
 * accessed bits of entries say, or by second MMUs, as the hooks test_young and
 * clear_young (aspen/hooks.h). Only what is mapped counts, and all of that was
 * accessed when it came. With CLEAR processors are flushed, so that no access
 * after the call goes unseen.
 *
 * Other spaces that map the same pages are not asked: their accesses are
 * theirs. What is not mapped is passed over.
 *
 * Units:   `address` and length are page aligned; *pages counts 4 KiB each.
 * Context: may sleep. Takes the mmap lock for reading.
 * Returns: 0 and *pages, or -ASPEN_EINVAL (not aligned, beyond the top, an
 *          unknown flag).
 */
ASPEN_MUST_USE int aspen_young(struct aspen_mm *mm, uint64_t address,
                               uint64_t length_bytes, unsigned flags,
                               uint64_t *pages);

#ifdef __cplusplus
}
#endif

#endif
