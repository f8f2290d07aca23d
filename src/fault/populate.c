/* SPDX-License-Identifier: MIT */
/*
 * fault/populate.c - fault in the pages of a range.
 *
 * It holds the mmap lock for reading over many pages, and passes over pages
 * that are there already table by table. Where a fault needs something it drops
 * the lock, and looks up the VMA again.
 *
 * I1  Everything in [start, at) has been dealt with.
 * I2  It drops the lock after a bounded amount of work, so that writers get
 *     their turn.
 *
 * Called by calls that fill what they map or lock: calls/. The first test to
 * break is tests/unit/fault/test_populate.c.
 */
#include "fault/populate.h"

#include "fault/fault.h"
#include "space/pkeys.h"
#include "machine/release.h"

/* Work under one hold of the lock: a fault is 16, a table looked through or a
 * VMA is 1. */
#define WORK_FAULT 16u
#define WORK_MAX   (512u * WORK_FAULT)

struct populate {
    struct aspen_mm *mm;
    enum aspen_populate_mode mode;
    uint64_t at;     /* I1 */
    uint64_t end;    /* exclusive */
    unsigned work;   /* under this hold of the lock */
    bool give_up;    /* MMAP: the rest of the VMA at `at` is left */
    bool holes;      /* were met, and gone past */
    uint32_t rights; /* the thread's: it is its own space that it fills */
    struct aspen_fault fault;
};

/* ---- What is there ----------------------------------------------------- */

/* Would the access go through? */
static bool
is_ready(const struct populate *p, uint64_t entry, unsigned level)
{
    unsigned bits = p->fault.access == ASPEN_ACCESS_WRITE
                        ? ASPEN_ENTRY_WRITE
                        : ASPEN_ENTRY_READ | ASPEN_ENTRY_EXEC;
    return aspen_entry_is_leaf(entry, level) && aspen_entry_bits(entry) & bits;
}

/* From the entry of `at` on, to the end of its table or to `stop`. Under its
 * lock: reclaim looks there whether memory is locked before it takes a page. So
 * what is found here after memory was locked stays. */
static uint64_t
skip_ready(const struct populate *p, const struct aspen_slot *slot, uint64_t at,
           uint64_t stop)
{
    struct aspen *aspen = p->mm->aspen;
    const uint64_t *entry = slot->entry;

    stop = aspen_min_u64(stop, aspen_align_down(at, aspen_table_span(0)) +
                                   aspen_table_span(0));
    aspen_table_lock(aspen, slot->table, ASPEN_LOCK_TABLE);
    while (at < stop && is_ready(p, aspen_load_relaxed(entry), 0)) {
        entry++;
        at += ASPEN_PAGE_SIZE;
    }
    aspen_table_unlock(aspen, slot->table);
    return at;
}

/* The first page in [at, stop) that has to be faulted in; `stop` if none, or
 * where work has to end. */
static uint64_t
next_missing(struct populate *p, uint64_t at, uint64_t stop)
{
    struct aspen_slot slot;

    while (at < stop && p->work < WORK_MAX) {
        uint64_t entry = aspen_table_walk(p->mm, at, &slot);
        uint64_t span = aspen_entry_span(slot.level);
        if (!is_ready(p, entry, slot.level))
            break;
        at = slot.level == 0 ? skip_ready(p, &slot, at, stop)
                             : aspen_align_down(at, span) + span;
        p->work++;
    }
    return aspen_min_u64(at, stop);
}

/* ---- Answers ----------------------------------------------------------- */

/* What the caller hears of a fault's error. */
static int
answer_of(enum aspen_populate_mode mode, int error)
{
    if (error == 0 || error == -ASPEN_EINTR || error == -ASPEN_EOPNOTSUPP)
        return error;
    if (mode == ASPEN_POPULATE_LOCK)
        return error == -ASPEN_ENOMEM ? -ASPEN_EAGAIN : -ASPEN_ENOMEM;
    return error == -ASPEN_ENOMEM || error == -ASPEN_EHWPOISON ? error
                                                               : -ASPEN_EFAULT;
}

/* Errors are ignored. */
static bool
is_silent(const struct populate *p)
{
    return p->mode == ASPEN_POPULATE_MMAP || p->mode == ASPEN_POPULATE_MPROTECT;
}

static int
fault_failed(struct populate *p, int error)
{
    if (!is_silent(p) || error == -ASPEN_EINTR)
        return answer_of(p->mode, error);
    p->give_up = true;
    return 0;
}

enum verdict { POPULATE, SKIP };

static unsigned
access_of(const struct populate *p, uint64_t flags)
{
    bool write =
        p->mode == ASPEN_POPULATE_WRITE ||
        (p->mode != ASPEN_POPULATE_READ &&
         (flags & (ASPEN_VM_WRITE | ASPEN_VM_SHARED)) == ASPEN_VM_WRITE);
    return write ? ASPEN_ACCESS_WRITE : ASPEN_ACCESS_READ;
}

/* Is there anything to do in the VMA? A verdict or an error. */
static int
judge(struct populate *p, uint64_t flags)
{
    bool device = flags & ASPEN_VM_PAGELESS;
    bool key = aspen_rights_allow(p->rights, aspen_pkey_of(flags),
                                  access_of(p, flags));

    switch (p->mode) {
    case ASPEN_POPULATE_READ:
        return device || !key || !(flags & ASPEN_VM_READ) ? -ASPEN_EINVAL
                                                          : POPULATE;
    case ASPEN_POPULATE_WRITE:
        return device || !key || !(flags & ASPEN_VM_WRITE) ? -ASPEN_EINVAL
                                                           : POPULATE;
    case ASPEN_POPULATE_LOCK:
        if (!device && !(key && flags & ASPEN_VM_ACCESS))
            return -ASPEN_ENOMEM;
        return device ? SKIP : POPULATE;
    default:
        return device || !key || p->give_up || !(flags & ASPEN_VM_ACCESS) ||
                       flags & ASPEN_VM_LOCKONFAULT ||
                       (p->mode == ASPEN_POPULATE_MPROTECT &&
                        !(flags & ASPEN_VM_LOCKED))
                   ? SKIP
                   : POPULATE;
    }
}

/* ---- Under the lock ---------------------------------------------------- */

/* The part of the range that lies in `vma`: 0, a fault's need or an error. */
static int
populate_vma(struct populate *p, struct aspen_vma *vma)
{
    uint64_t stop = aspen_min_u64(vma->end, p->end);

    int verdict = judge(p, vma->flags);
    if (verdict < 0)
        return verdict;
    p->give_up = false;
    if (verdict == SKIP) {
        p->at = stop;
        return 0;
    }
    p->fault.access = access_of(p, vma->flags);
    for (;;) {
        p->at = next_missing(p, p->at, stop);
        if (p->at == stop || p->work >= WORK_MAX)
            return 0;
        p->work += WORK_FAULT;
        aspen_fault_at(&p->fault, p->at);
        int result = aspen_poll_fatal(p->fault.aspen);
        if (!result)
            result = aspen_fault_try(&p->fault, vma);
        if (result > 0)
            return result;
        if (result < 0)
            return fault_failed(p, result);
    }
}

/* Up to 6.1 madvise's went mapping by mapping, as other advice does. */
static bool
goes_past_holes(const struct populate *p)
{
    return is_silent(p) ||
           (p->mode != ASPEN_POPULATE_LOCK &&
            !aspen_release_populate_stops_at_holes(p->mm->aspen));
}

static int
populate_hole(struct populate *p, const struct aspen_vma *above)
{
    if (!goes_past_holes(p))
        return -ASPEN_ENOMEM;
    p->holes = true;
    p->give_up = false;
    p->at = above ? aspen_min_u64(above->start, p->end) : p->end;
    return 0;
}

static int
populate_locked(struct populate *p)
{
    int result = 0;

    p->work = 0;
    while (!result && p->at < p->end && p->work++ < WORK_MAX) {
        struct aspen_vma *vma = aspen_vma_find(p->mm, p->at);
        result = vma && vma->start <= p->at ? populate_vma(p, vma)
                                            : populate_hole(p, vma);
    }
    return result;
}

/* ---- The whole --------------------------------------------------------- */

/* One hold of the lock, and what it asked for. */
static int
populate_round(struct populate *p)
{
    int result = aspen_poll_fatal(p->fault.aspen);
    if (result)
        return result;
    aspen_read_lock(&p->mm->mmap_lock, ASPEN_LOCK_MM);
    result = populate_locked(p);
    aspen_read_unlock(&p->mm->mmap_lock);
    aspen_direct_lower(&p->fault.direct);
    if (result <= 0)
        return result;
    result = aspen_fault_meet(&p->fault, result);
    return result ? fault_failed(p, result) : 0;
}

int
aspen_populate_range(struct aspen_mm *mm, uint64_t start, uint64_t end,
                     enum aspen_populate_mode mode, uint64_t *done)
{
    struct populate p = {
        .mm = mm,
        .mode = mode,
        .at = start,
        .end = end,
        .rights = aspen_rights(mm),
    };
    int error = 0;

    aspen_fault_begin(&p.fault, mm, ASPEN_ACCESS_READ);
    p.fault.forced = true; /* judge() has the word */
    ASPEN_ASSERT_TEST(aspen_is_aligned(start | end, ASPEN_PAGE_SIZE) &&
                      end <= mm->address_limit);
    while (!error && p.at < p.end)
        error = populate_round(&p);
    aspen_fault_end(&p.fault);
    if (done)
        *done = p.at - start;
    return !error && p.holes && !is_silent(&p) ? -ASPEN_ENOMEM : error;
}

bool
aspen_populate_is_done(struct aspen_mm *mm, uint64_t start, uint64_t end)
{
    struct populate p = {
        .mm = mm,
        .mode = ASPEN_POPULATE_LOCK,
        .at = start,
        .rights = aspen_rights(mm),
    };
    struct aspen_tree_cursor cursor;
    struct aspen_vma *vma;

    aspen_tree_cursor_init(&cursor, &mm->vmas, start);
    while ((vma = aspen_tree_next(&cursor, end - 1)) != NULL) {
        uint64_t stop = aspen_min_u64(vma->end, end);
        p.at = aspen_max_u64(p.at, vma->start);
        p.fault.access = access_of(&p, vma->flags);
        int verdict = judge(&p, vma->flags);
        if (verdict < 0) /* populate has the error */
            return false;
        while (verdict == POPULATE && p.at < stop) {
            p.work = 0;
            p.at = next_missing(&p, p.at, stop);
            if (p.at < stop && p.work < WORK_MAX)
                return false;
        }
        p.at = stop;
    }
    return true;
}

void
aspen_populate_silently(struct aspen_mm *mm, uint64_t start, uint64_t end,
                        enum aspen_populate_mode mode)
{
    int ignored = aspen_populate_range(mm, start, end, mode, NULL);
    (void)ignored;
}
