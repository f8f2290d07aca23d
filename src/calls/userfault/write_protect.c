/* SPDX-License-Identifier: MIT */
/*
 * calls/userfault/write_protect.c - pages of a range are marked, so that no
 * write to them goes unseen; or not any more.
 *
 * I1  A leaf that is marked is not writable from the same step on, and the
 *     processors are flushed before the call returns.
 * I2  Who takes a mark off gives no right: the next write takes a fault, which
 *     finds out what it may have.
 *
 * Called by life/userfault.c, by register.c and scan.c. The first test to break
 * is tests/unit/track/test_userfault.c.
 */
#include "calls/userfault/userfault.h"

#include "machine/notify.h"
#include "reclaim/attempt.h"

/* I1 */
void
aspen_userfault_mark(struct aspen_mm *mm, struct aspen_gather *gather,
                     const struct aspen_slot *slot, uint64_t address)
{
    uint64_t entry = aspen_load_relaxed(slot->entry);
    uint64_t marked;

    do { /* processors set bits meanwhile */
        marked = aspen_entry_mark(entry, slot->level);
        if (marked == entry)
            return;
    } while (!aspen_compare_exchange(slot->entry, &entry, marked));
    if (!aspen_entry_is_leaf(entry, slot->level) ||
        !(aspen_entry_bits(entry) & ASPEN_ENTRY_WRITE))
        return;
    aspen_table_note_taken(mm->aspen, slot->table, gather->part);
    aspen_gather_leaf(gather, address, slot->level);
}

/* ---- Unmark ------------------------------------------------------------ */

static void
unmark_table(struct aspen *aspen, struct aspen_slot slot, uint64_t pages)
{
    aspen_table_own(aspen, slot.table);
    aspen_table_lock(aspen, slot.table, ASPEN_LOCK_TABLE);
    for (; pages; pages--, slot.entry++) {
        uint64_t entry = aspen_load_relaxed(slot.entry);
        while (aspen_entry_is_marked(entry, 0) &&
               !aspen_compare_exchange(slot.entry, &entry,
                                       aspen_entry_unmark(entry, 0)))
            ;
    }
    aspen_table_unlock(aspen, slot.table);
}

void
aspen_userfault_unmark_range(struct aspen_vma *vma, uint64_t start,
                             uint64_t end)
{
    struct aspen_slot slot;
    uint64_t stop;

    for (uint64_t at = start; at < end; at = stop) {
        aspen_table_walk(vma->mm, at, &slot);
        stop = aspen_min_u64(aspen_slot_end(&slot, at), end);
        if (slot.level == 0)
            unmark_table(vma->mm->aspen, slot, (stop - at) >> ASPEN_PAGE_SHIFT);
    }
}

/* ---- Mark -------------------------------------------------------------- */

static void
mark_table(struct aspen_mm *mm, struct aspen_gather *gather,
           struct aspen_slot slot, uint64_t start, uint64_t end, bool places)
{
    aspen_table_own(mm->aspen, slot.table);
    aspen_table_lock(mm->aspen, slot.table, ASPEN_LOCK_TABLE);
    for (; start < end; start += ASPEN_PAGE_SIZE, slot.entry++)
        if (places || aspen_load_relaxed(slot.entry))
            aspen_userfault_mark(mm, gather, &slot, start);
    aspen_table_unlock(mm->aspen, slot.table);
}

/* From *at on, which is where it ended: 0, -ASPEN_ENOMEM, -ASPEN_EOPNOTSUPP. */
static int
mark_vma(struct aspen_vma *vma, struct aspen_gather *gather, uint64_t *at,
         uint64_t end)
{
    const bool places = aspen_userfault_marks_places(vma);
    struct aspen_mm *mm = vma->mm;
    struct aspen_slot slot;
    uint64_t stop;

    for (; *at < end; *at = stop) {
        int error = 0;
        uint64_t entry = aspen_table_walk(mm, *at, &slot);
        if (slot.level > 0 && entry)
            return -ASPEN_EOPNOTSUPP;
        if (slot.level > 0 && places)
            error = aspen_table_walk_alloc(mm, *at, 0, &slot);
        if (error)
            return error == -ASPEN_EEXIST ? -ASPEN_EOPNOTSUPP : error;
        stop = aspen_min_u64(aspen_slot_end(&slot, *at), end);
        if (slot.level == 0)
            mark_table(mm, gather, slot, *at, stop, places);
    }
    return 0;
}

/* ---- The range --------------------------------------------------------- */

struct protect {
    struct aspen_mm *mm;
    uint64_t at;
    uint64_t end;
    bool mark;
};

/* 0 or -ASPEN_ENOENT. */
static int
check(const struct protect *protect)
{
    struct aspen_vma *vma = aspen_vma_find(protect->mm, protect->at);

    if (!vma || vma->start >= protect->end)
        return -ASPEN_ENOENT;
    for (; vma && vma->start < protect->end; vma = aspen_vma_next(vma))
        if (!(vma->flags & ASPEN_VM_UFFD_WP) || !aspen_userfault_of(vma))
            return -ASPEN_ENOENT;
    return 0;
}

static int
change_all(struct protect *protect, struct aspen_gather *gather)
{
    struct aspen_vma *vma = aspen_vma_find(protect->mm, protect->at);
    int error = 0;

    for (; !error && vma && vma->start < protect->end;
         vma = aspen_vma_next(vma)) {
        uint64_t start = aspen_max_u64(protect->at, vma->start);
        uint64_t end = aspen_min_u64(vma->end, protect->end);
        protect->at = start;
        if (protect->mark)
            error = mark_vma(vma, gather, &protect->at, end);
        else
            aspen_userfault_unmark_range(vma, start, end);
    }
    return error;
}

/* The mmap lock is held for reading. */
static ASPEN_NOINLINE int
change_locked(struct protect *protect)
{
    const uint64_t start = protect->at;
    struct aspen_gather gather;

    int error = check(protect);
    if (error)
        return error;
    aspen_notify_start(protect->mm, start, protect->end);
    aspen_gather_begin(&gather, protect->mm, false);
    aspen_gather_looks(&gather, start, protect->end);
    error = change_all(protect, &gather);
    aspen_gather_end(&gather);
    aspen_notify_end(protect->mm, start, protect->end);
    return error;
}

static int
change(struct protect *protect)
{
    struct aspen_mm *mm = protect->mm;
    struct aspen_attempt attempt;
    int error = 0;

    aspen_attempt_begin(&attempt, mm->aspen, mm, ASPEN_ATTEMPT_ALONE);
    while (aspen_attempt_next(&attempt, &error)) {
        aspen_read_lock(&mm->mmap_lock, ASPEN_LOCK_MM);
        error = change_locked(protect);
        aspen_read_unlock(&mm->mmap_lock);
    }
    return error;
}

int
aspen_userfault_write_protect_alive(struct aspen_userfault *userfault,
                                    uint64_t address, uint64_t length_bytes,
                                    unsigned flags)
{
    struct aspen_mm *mm = userfault->mm;
    struct protect protect = {
        .mm = mm,
        .at = address,
        .end = address + length_bytes,
        .mark = flags & ASPEN_USERFAULT_PROTECT,
    };

    int error = aspen_userfault_check_range(mm, address, length_bytes);
    if (error || flags & ~ASPEN_USERFAULT_PROTECT)
        return -ASPEN_EINVAL;
    return change(&protect);
}
