/* SPDX-License-Identifier: MIT */
/*
 * space/limits.c - limits and privileges of an address space.
 *
 * I1  A call asks the limits before it changes anything. Lowering a limit takes
 *     nothing away.
 * I2  Limits are bytes and sizes are pages: parts of a page do not count.
 *
 * Called by mmap, mremap, brk, mlock, mprotect, special mappings and the
 * growth of stacks. The first test to break is tests/unit/space/test_limits.c.
 */
#include "space/limits.h"

#include "space/mm.h"

static uint64_t
limit_pages(const struct aspen_mm *mm, enum aspen_limit limit)
{
    return mm->limits[limit] >> ASPEN_PAGE_SHIFT;
}

/* Would `used` and `more` be above it? Without overflow. */
static bool
exceeds(uint64_t used, uint64_t more, uint64_t limit)
{
    return used > limit || more > limit - used;
}

int
aspen_check_total(const struct aspen_mm *mm, uint64_t pages)
{
    return pages > limit_pages(mm, ASPEN_LIMIT_AS) ? -ASPEN_ENOMEM : 0;
}

int
aspen_check_data(const struct aspen_mm *mm, uint64_t pages)
{
    if (pages <= limit_pages(mm, ASPEN_LIMIT_DATA))
        return 0;
    /* Linux lets a process with a limit of 0 have data up to the hard one. */
    return mm->limits[ASPEN_LIMIT_DATA] != 0 ||
                   pages > limit_pages(mm, ASPEN_LIMIT_DATA_HARD)
               ? -ASPEN_ENOMEM
               : 0;
}

bool
aspen_is_data(uint64_t vm_flags)
{
    return (vm_flags & (ASPEN_VM_WRITE | ASPEN_VM_SHARED |
                        ASPEN_VM_GROWSDOWN)) == ASPEN_VM_WRITE;
}

int
aspen_may_expand(const struct aspen_mm *mm, uint64_t vm_flags, uint64_t pages)
{
    int error = aspen_check_total(mm, mm->total_pages + pages);

    return !error && aspen_is_data(vm_flags)
               ? aspen_check_data(mm, mm->data_pages + pages)
               : error;
}

int
aspen_may_lock_without(const struct aspen_mm *mm, uint64_t pages,
                       uint64_t removed_pages)
{
    if (aspen_privileged(mm, ASPEN_PRIVILEGE_IPC_LOCK))
        return 0;
    return exceeds(mm->locked_pages - removed_pages, pages,
                   limit_pages(mm, ASPEN_LIMIT_MEMLOCK))
               ? -ASPEN_EAGAIN
               : 0;
}

int
aspen_may_lock(const struct aspen_mm *mm, uint64_t pages)
{
    return aspen_may_lock_without(mm, pages, 0);
}

int
aspen_can_lock(const struct aspen_mm *mm)
{
    return aspen_limit(mm, ASPEN_LIMIT_MEMLOCK) != 0 ||
                   aspen_privileged(mm, ASPEN_PRIVILEGE_IPC_LOCK)
               ? 0
               : -ASPEN_EPERM;
}

int
aspen_check_data_limit(const struct aspen_mm *mm, uint64_t brk_start,
                       uint64_t brk, uint64_t data_start, uint64_t data_end)
{
    uint64_t limit = mm->limits[ASPEN_LIMIT_DATA];

    return limit != ASPEN_UNLIMITED &&
                   exceeds(brk - brk_start, data_end - data_start, limit)
               ? -ASPEN_ENOSPC
               : 0;
}

void
aspen_limits_inherit(struct aspen_mm *to, const struct aspen_mm *from)
{
    for (unsigned i = 0; i < ASPEN_LIMITS; i++)
        to->limits[i] = aspen_load_relaxed(&from->limits[i]);
    to->privileges = aspen_load_relaxed(&from->privileges);
    to->oom_adjust = aspen_load_relaxed(&from->oom_adjust);
}

/* ---- Public ------------------------------------------------------------ */

int
aspen_limit_set(struct aspen_mm *mm, enum aspen_limit limit, uint64_t bytes)
{
    if ((unsigned)limit >= ASPEN_LIMITS)
        return -ASPEN_EINVAL;
    aspen_mm_write_lock(mm, ASPEN_LOCK_MM);
    aspen_store_relaxed(&mm->limits[limit], bytes);
    aspen_mm_write_unlock(mm);
    return 0;
}

uint64_t
aspen_limit(const struct aspen_mm *mm, enum aspen_limit limit)
{
    return (unsigned)limit < ASPEN_LIMITS
               ? aspen_load_relaxed(&mm->limits[limit])
               : ASPEN_UNLIMITED;
}

int
aspen_privileges_set(struct aspen_mm *mm, unsigned privileges)
{
    if (privileges & ~ASPEN_PRIVILEGES)
        return -ASPEN_EINVAL;
    aspen_mm_write_lock(mm, ASPEN_LOCK_MM);
    aspen_store_relaxed(&mm->privileges, privileges);
    aspen_mm_write_unlock(mm);
    return 0;
}

unsigned
aspen_privileges(const struct aspen_mm *mm)
{
    return aspen_load_relaxed(&mm->privileges);
}
