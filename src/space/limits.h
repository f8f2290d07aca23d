/* SPDX-License-Identifier: MIT */
/*
 * space/limits.h - may a space have more? As Linux's rlimits have it.
 *
 * Context of all: the mmap lock is held for writing.
 */
#ifndef ASPEN_SPACE_LIMITS_H
#define ASPEN_SPACE_LIMITS_H

#include "internal.h"
#include <aspen/limits.h>

static inline bool
aspen_privileged(const struct aspen_mm *mm, unsigned privilege)
{
    return (aspen_load_relaxed(&mm->privileges) & privilege) != 0;
}

/*
 * May the space have `pages` more with these flags, in whatever mapping? AS
 * counts everything, DATA what is private, writable and no stack. 0 or
 * -ASPEN_ENOMEM. Linux: may_expand_vm().
 */
ASPEN_MUST_USE int aspen_may_expand(const struct aspen_mm *mm,
                                    uint64_t vm_flags, uint64_t pages);

/* Would so many pages in all be within AS; of data, within DATA? */
ASPEN_MUST_USE int aspen_check_total(const struct aspen_mm *mm, uint64_t pages);
ASPEN_MUST_USE int aspen_check_data(const struct aspen_mm *mm, uint64_t pages);

/* Does it count as data, so that DATA binds? */
bool aspen_is_data(uint64_t vm_flags);

/* `pages` more that are locked: MEMLOCK. 0 or -ASPEN_EAGAIN (mmap, mremap,
 * brk; mlock answers ENOMEM instead). Linux: mlock_future_ok(). */
ASPEN_MUST_USE int aspen_may_lock(const struct aspen_mm *mm, uint64_t pages);

/* The same, when `removed_pages` of what is locked have gone before. */
ASPEN_MUST_USE int aspen_may_lock_without(const struct aspen_mm *mm,
                                          uint64_t pages,
                                          uint64_t removed_pages);

/* May it lock anything at all? 0 or -ASPEN_EPERM. Linux: can_do_mlock().
 * Context: any, as of aspen_privileged(); for all others the mmap lock is
 * held. */
ASPEN_MUST_USE int aspen_can_lock(const struct aspen_mm *mm);

/* Heap and initialised data together: 0 or -ASPEN_ENOSPC. For brk and layouts;
 * Linux: check_data_rlimit(). */
ASPEN_MUST_USE int aspen_check_data_limit(const struct aspen_mm *mm,
                                          uint64_t brk_start, uint64_t brk,
                                          uint64_t data_start,
                                          uint64_t data_end);

/* What fork and exec hand on: limits and privileges. */
void aspen_limits_inherit(struct aspen_mm *to, const struct aspen_mm *from);

#endif
