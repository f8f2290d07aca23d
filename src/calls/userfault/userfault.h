/* SPDX-License-Identifier: MIT */
/*
 * calls/userfault/userfault.h - what the calls of userfault share.
 */
#ifndef ASPEN_CALLS_USERFAULT_H
#define ASPEN_CALLS_USERFAULT_H

#include "paging/gather.h"
#include "space/userfault.h"

/* As Linux's validate_range(): 0 or -ASPEN_EINVAL. */
ASPEN_MUST_USE int aspen_userfault_check_range(const struct aspen_mm *mm,
                                               uint64_t address,
                                               uint64_t length_bytes);

/* Are places without a page protected in the VMA, too? */
static inline bool
aspen_userfault_marks_places(const struct aspen_vma *vma)
{
    return aspen_vma_backing(vma) || aspen_userfault_is_async(vma);
}

/*
 * Mark what stands in a slot of level 0, or nothing that does, whose table's
 * lock is held. The gather flushes what was writable, later.
 */
void aspen_userfault_mark(struct aspen_mm *mm, struct aspen_gather *gather,
                          const struct aspen_slot *slot, uint64_t address);

/* Take all marks off [start, end) of one VMA. Context: the mmap lock is held.
 */
void aspen_userfault_unmark_range(struct aspen_vma *vma, uint64_t start,
                                  uint64_t end);

#endif
