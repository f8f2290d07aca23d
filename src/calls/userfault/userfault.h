/* SPDX-License-Identifier: MIT */
/*
 * calls/userfault/userfault.h - what the calls of userfault share.
 */
#ifndef ASPEN_CALLS_USERFAULT_H
#define ASPEN_CALLS_USERFAULT_H

#include "paging/gather.h"
#include "space/userfault.h"

/*
 * What life/userfault.c does once the space has a user that stays: the public
 * functions of the same names, which say more.
 */
ASPEN_MUST_USE int
aspen_userfault_register_alive(struct aspen_userfault *userfault,
                               uint64_t address, uint64_t length_bytes,
                               unsigned modes);
ASPEN_MUST_USE int
aspen_userfault_unregister_alive(struct aspen_userfault *userfault,
                                 uint64_t address, uint64_t length_bytes);
ASPEN_MUST_USE int
aspen_userfault_write_protect_alive(struct aspen_userfault *userfault,
                                    uint64_t address, uint64_t length_bytes,
                                    unsigned flags);
/* Nothing of the space is the context's any more. */
void aspen_userfault_forget_all(struct aspen_userfault *userfault);

/* As Linux's validate_range(): 0 or -ASPEN_EINVAL. */
ASPEN_MUST_USE static inline int
aspen_userfault_check_range(const struct aspen_mm *mm, uint64_t address,
                            uint64_t length_bytes)
{
    uint64_t top = mm->call_limit;

    return !aspen_is_aligned(address | length_bytes, ASPEN_PAGE_SIZE) ||
                   length_bytes == 0 ||
                   address < mm->aspen->config.mmap_min_address ||
                   address >= top || length_bytes > top - address
               ? -ASPEN_EINVAL
               : 0;
}

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
