/* SPDX-License-Identifier: MIT */
/*
 * calls/mlock.c - mlock, munlock, mlockall, munlockall.
 *
 * mlock faults pages in before it changes a mapping, so that an error leaves
 * all mappings as they were. It looks at the range, drops the lock, populates,
 * and then checks, reserves and commits as if it had just begun, if all is
 * there. Else once more; from then on nothing of the range leaves memory
 * (I1), so it is missing for as long as others discard it.
 *
 * I1  mm->filling counts those who have found pages missing, or look just now.
 *     Their ranges lie in [filling_start, filling_end).
 *
 * Called by the embedder. The first test to break is
 * tests/unit/calls/test_mlock.c.
 */
#include <aspen/calls/mlock.h>

#include "ranges/change.h"
#include "fault/populate.h"
#include "reclaim/attempt.h"
#include "space/limits.h"

#define LOCK_FLAGS (ASPEN_VM_LOCKED | ASPEN_VM_LOCKONFAULT)

/* What has no pages that could be taken away is never locked. */
#define NEVER_LOCKED (ASPEN_VM_DRIVER | ASPEN_VM_HUGETLB)

static int
judge_lock(const struct aspen_change *change, const struct aspen_vma *vma,
           uint64_t *flags)
{
    if (!(vma->flags & NEVER_LOCKED))
        return aspen_change_judge_plain(change, vma, flags);
    *flags = vma->flags;
    return 0;
}

static uint64_t
flags_of(bool on_fault)
{
    return on_fault ? LOCK_FLAGS : ASPEN_VM_LOCKED;
}

/* ---- A range ----------------------------------------------------------- */

static uint64_t
locked_already(struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    struct aspen_tree_cursor cursor;
    struct aspen_vma *vma;
    uint64_t pages = 0;

    aspen_tree_cursor_init(&cursor, &mm->vmas, start);
    while ((vma = aspen_tree_next(&cursor, end - 1)) != NULL)
        if (vma->flags & ASPEN_VM_LOCKED)
            pages += (aspen_min_u64(vma->end, end) -
                      aspen_max_u64(vma->start, start)) >>
                     ASPEN_PAGE_SHIFT;
    return pages;
}

static int
check_limit(struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    uint64_t pages = (end - start) >> ASPEN_PAGE_SHIFT;

    if (aspen_may_lock(mm, pages) &&
        aspen_may_lock(mm, pages - locked_already(mm, start, end)))
        return -ASPEN_ENOMEM;
    return 0;
}

/* The mmap lock is held for writing, as for all that is given a change. */
static int
check(struct aspen_change *change)
{
    int error = check_limit(change->mm, change->start, change->end);
    return error ? error : aspen_change_check(change);
}

static int
lock(struct aspen_change *change)
{
    int error = check_limit(change->mm, change->start, change->end);
    return error ? error : aspen_change_apply(change);
}

static struct aspen_change
change_of(struct aspen_mm *mm, uint64_t start, uint64_t end, uint64_t set)
{
    return (struct aspen_change){.mm = mm,
                                 .start = start,
                                 .end = end,
                                 .judge = judge_lock,
                                 .set = set,
                                 .clear = LOCK_FLAGS};
}

/* Rounded out; *end == *start for nothing. */
static int
range_of(uint64_t address, uint64_t length_bytes, uint64_t *start,
         uint64_t *end)
{
    uint64_t inside = address & (ASPEN_PAGE_SIZE - 1);

    *start = address - inside;
    *end = *start + aspen_align_up(length_bytes + inside, ASPEN_PAGE_SIZE);
    return *end < *start ? -ASPEN_EINVAL : 0;
}

/* Take the lock, `act`, and drop it. */
static int
locked(struct aspen_mm *mm, struct aspen_change *change,
       int (*act)(struct aspen_change *change))
{
    struct aspen_attempt attempt;
    int error = 0;

    aspen_attempt_begin(&attempt, mm->aspen, mm, ASPEN_ATTEMPT_LOCKS);
    while (aspen_attempt_next(&attempt, &error))
        error = act(change);
    return error;
}

/* The limit is looked at before the range, one that is empty or wraps included:
 * that one's answer is `error`. */
static int
check_nothing(struct aspen_mm *mm, uint64_t bytes, int error)
{
    aspen_read_lock(&mm->mmap_lock, ASPEN_LOCK_MM);
    int refused = aspen_may_lock(mm, bytes >> ASPEN_PAGE_SHIFT);
    aspen_read_unlock(&mm->mmap_lock);
    return refused ? -ASPEN_ENOMEM : error;
}

/* Would it be refused? Then nothing is faulted in for it. */
static int
look_and_populate(struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    struct aspen_change change = change_of(mm, start, end, ASPEN_VM_LOCKED);

    int error = locked(mm, &change, check);
    if (error)
        return error;
    return aspen_populate_range(mm, start, end, ASPEN_POPULATE_LOCK, NULL);
}

/* I1, the mmap lock is held for writing, as for the next one. */
static void
filling_begin(struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    if (mm->filling++) {
        start = aspen_min_u64(start, mm->filling_start);
        end = aspen_max_u64(end, mm->filling_end);
    }
    aspen_store(&mm->filling_start, start); /* after the flags before */
    aspen_store(&mm->filling_end, end);
}

static void
filling_end(struct aspen_mm *mm)
{
    if (!--mm->filling)
        aspen_store(&mm->filling_end, (uint64_t)0);
}

/* Nobody discards pages by the lock of a mapping alone. */
static void
lock_mappings(const struct aspen_change *change)
{
    struct aspen_tree_cursor cursor;
    struct aspen_vma *vma;

    aspen_tree_cursor_init(&cursor, &change->mm->vmas, change->start);
    while ((vma = aspen_tree_next(&cursor, change->end - 1)) != NULL)
        aspen_vma_write_lock(vma);
}

/* So often pages may be missing once more. */
#define ROUNDS  16u
#define MISSING 1

/* A lock of what is there. */
struct fill {
    struct aspen_change change;
    bool counted; /* in mm->filling */
};

/* 0, MISSING and nothing has changed, or an error. Not counted afterwards if it
 * is done. */
static int
lock_what_is_there(struct aspen_change *change)
{
    struct fill *fill = aspen_container_of(change, struct fill, change);
    struct aspen_mm *mm = change->mm;

    if (!fill->counted)
        filling_begin(mm, change->start, change->end);
    fill->counted = true;
    lock_mappings(change);
    if (!aspen_populate_is_done(mm, change->start, change->end))
        return MISSING;
    int error = lock(change);
    fill->counted = error != 0;
    if (!error)
        filling_end(mm);
    return error;
}

static int
lock_filled(struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    struct fill fill = {
        .change = change_of(mm, start, end, ASPEN_VM_LOCKED),
    };

    int error = locked(mm, &fill.change, lock_what_is_there);
    for (unsigned i = 0; error == MISSING && i < ROUNDS; i++) {
        error = aspen_populate_range(mm, start, end, ASPEN_POPULATE_LOCK, NULL);
        if (!error)
            error = locked(mm, &fill.change, lock_what_is_there);
    }
    if (fill.counted) {
        aspen_mm_write_lock(mm, ASPEN_LOCK_MM);
        filling_end(mm);
        aspen_mm_write_unlock(mm);
    }
    return error == MISSING ? -ASPEN_EAGAIN : error;
}

/* As pages come. */
static int
lock_on_fault(struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    struct aspen_change change = change_of(mm, start, end, LOCK_FLAGS);

    return locked(mm, &change, lock);
}

int
aspen_mlock(struct aspen_mm *mm, uint64_t address, uint64_t length_bytes,
            unsigned flags)
{
    bool on_fault = (flags & ASPEN_MLOCK_ONFAULT) != 0;
    uint64_t start, end;

    if (flags & ~ASPEN_MLOCK_ONFAULT)
        return -ASPEN_EINVAL;
    int error = aspen_can_lock(mm);
    if (error)
        return error;
    error = range_of(address, length_bytes, &start, &end);
    if (error || start == end)
        return check_nothing(mm, end - start, error);
    if (end > mm->address_limit)
        return -ASPEN_ENOMEM;
    if (on_fault)
        return lock_on_fault(mm, start, end);
    error = look_and_populate(mm, start, end);
    return error ? error : lock_filled(mm, start, end);
}

int
aspen_munlock(struct aspen_mm *mm, uint64_t address, uint64_t length_bytes)
{
    uint64_t start, end;

    int error = range_of(address, length_bytes, &start, &end);
    if (error || start == end)
        return error;
    if (end > mm->address_limit)
        return -ASPEN_ENOMEM;
    struct aspen_change change = change_of(mm, start, end, 0);
    return locked(mm, &change, aspen_change_apply);
}

/* ---- All --------------------------------------------------------------- */

static struct aspen_change
change_of_all(struct aspen_mm *mm, uint64_t set)
{
    struct aspen_change change =
        change_of(mm, mm->address_floor, mm->address_limit, set);

    change.holes_allowed = true;
    return change;
}

/* The mmap lock is held for writing. Apart, so that the plan is not on the
 * stack while pages are made, or leave. */
static ASPEN_NOINLINE int
lock_all(struct aspen_mm *mm, unsigned flags)
{
    uint64_t set = flags_of(flags & ASPEN_MCL_ONFAULT);
    struct aspen_change change = change_of_all(mm, set);
    int error = 0;

    if (flags & ASPEN_MCL_CURRENT) {
        /* As Linux: all there is, whatever of it is locked already. */
        if (aspen_may_lock(mm, mm->total_pages - mm->locked_pages))
            return -ASPEN_ENOMEM;
        error = aspen_change_apply(&change);
    }
    if (error)
        return error;
    mm->def_flags &= ~LOCK_FLAGS;
    if (flags & ASPEN_MCL_FUTURE)
        mm->def_flags |= set;
    return 0;
}

int
aspen_mlockall(struct aspen_mm *mm, unsigned flags)
{
    const unsigned known =
        ASPEN_MCL_CURRENT | ASPEN_MCL_FUTURE | ASPEN_MCL_ONFAULT;

    if (!flags || flags & ~known || flags == ASPEN_MCL_ONFAULT)
        return -ASPEN_EINVAL;
    int error = aspen_can_lock(mm);
    if (error)
        return error;
    struct aspen_attempt attempt;
    aspen_attempt_begin(&attempt, mm->aspen, mm, ASPEN_ATTEMPT_LOCKS);
    while (aspen_attempt_next(&attempt, &error))
        error = lock_all(mm, flags);
    if (!error &&
        (flags & (ASPEN_MCL_CURRENT | ASPEN_MCL_ONFAULT)) == ASPEN_MCL_CURRENT)
        aspen_populate_silently(mm, mm->address_floor, mm->address_limit,
                                ASPEN_POPULATE_MMAP);
    return error;
}

static int
unlock_all(struct aspen_change *change)
{
    int error = aspen_change_apply(change);

    if (!error)
        change->mm->def_flags &= ~LOCK_FLAGS;
    return error;
}

int
aspen_munlockall(struct aspen_mm *mm)
{
    struct aspen_change change = change_of_all(mm, 0);

    return locked(mm, &change, unlock_all);
}
