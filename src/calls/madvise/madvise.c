/* SPDX-License-Identifier: MIT */
/*
 * calls/madvise/madvise.c - madvise: arguments, locks, one mapping after the
 * other.
 *
 *   flags          mmap lock for writing; atomic    flags.c
 *   GUARD_INSTALL  what it takes; atomic            guard.c
 *   POPULATE_*     none                             fault/populate.c
 *   others         one VMA: its lock, if the work is in page tables alone;
 *                  else the mmap lock for reading
 *
 * Called by the embedder. The first test to break is
 * tests/host/test_advise_host.c.
 */
#include "calls/madvise/madvise.h"

#include "calls/seal.h"
#include "fault/populate.h"
#include "machine/release.h"

/* ---- What is known ----------------------------------------------------- */

/* Frames do not go bad here: these are refused as by a kernel built without. */
static bool
is_known(const struct aspen *aspen, enum aspen_advice advice)
{
    const struct aspen_config *config = &aspen->config;

    switch (advice) {
    case ASPEN_MADV_HUGEPAGE:
    case ASPEN_MADV_NOHUGEPAGE:
    case ASPEN_MADV_COLLAPSE:
        return config->huge_placement != ASPEN_HUGE_PLACEMENT_NEVER;
    case ASPEN_MADV_MERGEABLE:
    case ASPEN_MADV_UNMERGEABLE:
        return !(config->flags & ASPEN_CONFIG_KSM_ABSENT);
    case ASPEN_MADV_GUARD_INSTALL:
    case ASPEN_MADV_GUARD_REMOVE:
        return aspen_release_has_guards(aspen);
    case ASPEN_MADV_HWPOISON:
    case ASPEN_MADV_SOFT_OFFLINE:
        return false;
    default:
        return advice <= ASPEN_MADV_DONTNEED ||
               (advice >= ASPEN_MADV_FREE &&
                advice <= ASPEN_MADV_DONTNEED_LOCKED);
    }
}

/* ---- One mapping after the other --------------------------------------- */

/* No mapping has room for a huge page yet. */
static int
advise_collapse(struct aspen_advise *advise, struct aspen_vma *vma,
                uint64_t start, uint64_t end)
{
    (void)advise;
    (void)vma;
    (void)start;
    (void)end;
    return -ASPEN_EINVAL;
}

static aspen_advise_vma *
handler_of(enum aspen_advice advice)
{
    switch (advice) {
    case ASPEN_MADV_DONTNEED:
    case ASPEN_MADV_DONTNEED_LOCKED:
        return aspen_advise_dontneed;
    case ASPEN_MADV_FREE:
        return aspen_advise_free;
    case ASPEN_MADV_COLD:
    case ASPEN_MADV_PAGEOUT:
        return aspen_advise_cold;
    case ASPEN_MADV_WILLNEED:
        return aspen_advise_willneed;
    case ASPEN_MADV_REMOVE:
        return aspen_advise_remove;
    case ASPEN_MADV_GUARD_REMOVE:
        return aspen_guard_remove;
    case ASPEN_MADV_COLLAPSE:
        return advise_collapse;
    default:
        return NULL;
    }
}

/* Does it stay away from the mmap lock? */
static bool
is_for_vma_lock(enum aspen_advice advice)
{
    return advice == ASPEN_MADV_DONTNEED ||
           advice == ASPEN_MADV_DONTNEED_LOCKED || advice == ASPEN_MADV_FREE ||
           advice == ASPEN_MADV_GUARD_REMOVE;
}

static int
advise_vma(struct aspen_advise *advise, struct aspen_vma *vma, uint64_t start,
           uint64_t end)
{
    int error = aspen_seal_check_advice(vma, advise->advice);

    return error ? error : handler_of(advise->advice)(advise, vma, start, end);
}

/* All of it in one VMA, under that one's lock: true if it is done. */
static bool
try_vma_lock(struct aspen_advise *advise, int *error)
{
    if (!is_for_vma_lock(advise->advice))
        return false;
    unsigned where;
    struct aspen_vma *vma =
        aspen_vma_read_lock_at(advise->mm, advise->start, &where);
    if (!vma)
        return false;
    bool one = advise->end <= vma->end;
    if (one)
        *error = advise_vma(advise, vma, advise->start, advise->end);
    aspen_vma_read_unlock(vma, where);
    return one;
}

static int
advise_all(struct aspen_advise *advise)
{
    struct aspen_mm *mm = advise->mm;
    uint64_t at = advise->start;
    int error = 0;

    if (try_vma_lock(advise, &error))
        return error;
    aspen_read_lock(&mm->mmap_lock, ASPEN_LOCK_MM);
    while (!error && at < advise->end) {
        struct aspen_vma *vma = aspen_vma_find(mm, at);
        if (!vma || vma->start > at)
            advise->holes = true;
        if (!vma || vma->start >= advise->end)
            break;
        uint64_t start = aspen_max_u64(vma->start, at);
        advise->next = aspen_min_u64(vma->end, advise->end);
        error = advise_vma(advise, vma, start, advise->next);
        at = advise->next;
    }
    aspen_read_unlock(&mm->mmap_lock);
    return error;
}

/* ---- The calls --------------------------------------------------------- */

/* The range is not empty and below the address limit. */
static int
advise_range(struct aspen_advise *advise)
{
    switch (advise->advice) {
    case ASPEN_MADV_GUARD_INSTALL:
        return aspen_guard_install(advise);
    case ASPEN_MADV_POPULATE_READ:
        return aspen_populate_range(advise->mm, advise->start, advise->end,
                                    ASPEN_POPULATE_READ, NULL);
    case ASPEN_MADV_POPULATE_WRITE:
        return aspen_populate_range(advise->mm, advise->start, advise->end,
                                    ASPEN_POPULATE_WRITE, NULL);
    default:
        return handler_of(advise->advice) ? advise_all(advise)
                                          : aspen_advise_flags(advise);
    }
}

int
aspen_madvise(struct aspen_mm *mm, uint64_t address, uint64_t length_bytes,
              enum aspen_advice advice)
{
    uint64_t bytes = aspen_align_up(length_bytes, ASPEN_PAGE_SIZE);

    if (!is_known(mm->aspen, advice) ||
        !aspen_is_aligned(address, ASPEN_PAGE_SIZE) || bytes < length_bytes ||
        address + bytes < address)
        return -ASPEN_EINVAL;
    if (bytes == 0)
        return 0;
    if (address >= mm->address_limit)
        return -ASPEN_ENOMEM;
    struct aspen_advise advise = {
        .mm = mm,
        .advice = advice,
        .start = address,
        .end = aspen_min_u64(address + bytes, mm->address_limit),
        .holes = address + bytes > mm->address_limit,
    };
    int error = advise_range(&advise);
    return !error && advise.holes ? -ASPEN_ENOMEM : error;
}

static bool
is_for_others(enum aspen_advice advice)
{
    return advice == ASPEN_MADV_WILLNEED || advice == ASPEN_MADV_COLD ||
           advice == ASPEN_MADV_PAGEOUT || advice == ASPEN_MADV_COLLAPSE;
}

/* Linux's most for one call that takes several ranges: whole pages in an int.
 */
#define TOTAL_MAX (INT32_MAX & ~(uint64_t)(ASPEN_PAGE_SIZE - 1))

/* Could a program have them in its memory? 0 and the sum of the lengths, at the
 * most TOTAL_MAX. */
static int
check_ranges(const struct aspen_mm *mm, const struct aspen_advise_range *ranges,
             unsigned count, uint64_t *total)
{
    for (unsigned i = 0; i < count; i++)
        if (ranges[i].length_bytes > INT64_MAX)
            return -ASPEN_EINVAL;
    *total = 0;
    for (unsigned i = 0; i < count; i++) {
        uint64_t bytes = ranges[i].length_bytes;
        if (count == 1 && aspen_release_cuts_a_single_range(mm->aspen))
            bytes = aspen_min_u64(bytes, TOTAL_MAX);
        if (bytes > mm->call_limit ||
            ranges[i].address > mm->call_limit - bytes)
            return -ASPEN_EFAULT;
        *total += aspen_min_u64(bytes, TOTAL_MAX - *total);
    }
    return 0;
}

int
aspen_process_madvise(struct aspen_mm *mm,
                      const struct aspen_advise_range *ranges, unsigned count,
                      enum aspen_advice advice, unsigned flags, uint64_t *done)
{
    bool any = !(flags & ASPEN_ADVISE_REMOTE) &&
               aspen_release_advises_itself(mm->aspen);
    uint64_t total = 0;

    *done = 0;
    if (flags & ~ASPEN_ADVISE_REMOTE || count > ASPEN_ADVISE_RANGES_MAX)
        return -ASPEN_EINVAL;
    int error = check_ranges(mm, ranges, count, &total);
    if (!error && !any && !is_for_others(advice))
        error = -ASPEN_EINVAL;
    /* As Linux: without a byte nothing is looked at; nor are ranges without one
     * behind a range that was advised. */
    for (unsigned i = 0; *done < total && !error;) {
        uint64_t bytes = aspen_min_u64(ranges[i].length_bytes, total - *done);
        error = aspen_madvise(mm, ranges[i].address, bytes, advice);
        if (!error)
            *done += bytes;
        do
            i++;
        while (!error && *done < total && !ranges[i].length_bytes);
    }
    return *done ? 0 : error;
}
