/* SPDX-License-Identifier: MIT */
/**
 * aspen/calls/populate.h - fault the pages of a range in, before anybody
 * accesses them.
 */
#ifndef ASPEN_POPULATE_H
#define ASPEN_POPULATE_H

#include <aspen/compiler.h>
#include <aspen/flags.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aspen_mm;

/**
 * Fault in the pages of a range, as madvise(2) does for MADV_POPULATE_READ and
 * MADV_POPULATE_WRITE (`access`: ASPEN_ACCESS_READ or _WRITE). With `access` 0
 * as mmap(2) does for MAP_POPULATE: a write where the mapping is private and
 * writable, else a read; pages that cannot be had are passed over.
 *
 * Progressive: page by page. *done, unless NULL, gets the bytes that were
 * dealt with.
 *
 * Units:   `address` is page aligned, the length is rounded up.
 * Context: may sleep. Takes the mmap lock for reading, again and again.
 * Returns: 0, -ASPEN_EINVAL (not aligned; beyond the address limit; another
 *          access; a mapping does not allow it, or is raw memory),
 *          -ASPEN_ENOMEM (a hole; no memory), -ASPEN_EFAULT (a fault failed),
 *          -ASPEN_EHWPOISON, -ASPEN_EINTR, -ASPEN_EOPNOTSUPP. With `access` 0
 *          only -ASPEN_EINVAL and -ASPEN_EINTR.
 *          On error the pages that came before it stay.
 * Source:  madvise(2), mmap(2).
 */
ASPEN_MUST_USE int aspen_populate(struct aspen_mm *mm, uint64_t address,
                                  uint64_t length_bytes, unsigned access,
                                  uint64_t *done);

#ifdef __cplusplus
}
#endif

#endif
