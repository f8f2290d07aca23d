/* SPDX-License-Identifier: MIT */
/*
 * calls/raw.c - raw frames and pages put into mappings by a driver.
 *
 * I1  An entry is set only where there is none, under its table's lock.
 *
 * Called by the embedder. The first test to break is
 * tests/unit/fault/test_device.c.
 */
#include <aspen/calls/raw.h>

#include "fault/fault.h"
#include "reclaim/attempt.h"

/* Drivers put frames into what has one of them. */
#define FOR_DRIVERS (ASPEN_VM_PFNMAP | ASPEN_VM_MIXEDMAP)

/* Entries of a raw frame in the VMA. */
static unsigned
bits_of(const struct aspen_vma *vma, bool writable)
{
    unsigned bits = aspen_entry_bits_of(vma->mm->aspen, vma->flags);

    return (writable ? bits : bits & ~ASPEN_ENTRY_WRITE) | ASPEN_ENTRY_YOUNG |
           aspen_entry_raw_bits(vma->flags);
}

/* ---- One: check -------------------------------------------------------- */

/* The mmap lock is held. 0, -ASPEN_EFAULT or -ASPEN_EINVAL. */
static int
check_vma(const struct aspen_vma *vma)
{
    if (!vma)
        return -ASPEN_EFAULT;
    if (!(vma->flags & FOR_DRIVERS) ||
        (vma->flags & ASPEN_VM_PFNMAP && aspen_vma_is_cow(vma)))
        return -ASPEN_EINVAL;
    return 0;
}

/* ---- One: reserve its table, and commit -------------------------------- */

static int
insert(struct aspen_vma *vma, uint64_t address, uint64_t number, bool writable)
{
    struct aspen *aspen = vma->mm->aspen;
    struct aspen_slot slot;

    int error = aspen_table_walk_alloc(vma->mm, address, 0, &slot);
    if (error)
        return error == -ASPEN_EEXIST ? -ASPEN_EBUSY : error;
    aspen_table_own(aspen, slot.table);
    aspen_table_lock_settled(vma->mm, slot.table, address,
                             address + ASPEN_PAGE_SIZE);
    if (aspen_vma_is_reaped(vma)) { /* as I3 of fault/map_entry.c */
        error = -ASPEN_ESRCH;
    } else if (aspen_load_relaxed(slot.entry) != 0) {
        error = -ASPEN_EBUSY;
    } else {
        aspen_store(slot.entry,
                    aspen_entry_make_leaf(number, 0, bits_of(vma, writable)));
    }
    aspen_table_unlock(aspen, slot.table);
    return error;
}

static int
insert_locked(struct aspen_mm *mm, uint64_t address, uint64_t number,
              bool writable)
{
    aspen_read_lock(&mm->mmap_lock, ASPEN_LOCK_MM);
    struct aspen_vma *vma = aspen_vma_at(mm, address);
    int error = check_vma(vma);
    if (!error)
        error = insert(vma, address, number, writable);
    aspen_read_unlock(&mm->mmap_lock);
    return error;
}

int
aspen_insert_raw(struct aspen_mm *mm, uint64_t address, uint64_t number,
                 unsigned flags)
{
    if (!aspen_is_aligned(address, ASPEN_PAGE_SIZE) ||
        !aspen_entry_raw_valid(mm->aspen, number, 1) ||
        flags & ~ASPEN_RAW_WRITABLE)
        return -ASPEN_EINVAL;
    struct aspen_attempt attempt;
    int error = 0;
    aspen_attempt_begin(&attempt, mm->aspen, mm, ASPEN_ATTEMPT_ALONE);
    while (aspen_attempt_next(&attempt, &error))
        error = insert_locked(mm, address, number, flags & ASPEN_RAW_WRITABLE);
    return error;
}

/* ---- A range: check ---------------------------------------------------- */

static int
check_range(const struct aspen_vma *vma, uint64_t start, uint64_t end)
{
    if (!vma)
        return -ASPEN_EFAULT;
    bool whole = vma->start == start && vma->end == end;
    if (!(vma->flags & ASPEN_VM_PFNMAP) || end > vma->end ||
        (aspen_vma_is_cow(vma) && !whole))
        return -ASPEN_EINVAL;
    return 0;
}

/* ---- A range: reserve -------------------------------------------------- */

/* All tables, and nothing in them yet; the VMA is locked for writing. */
static int
reserve_range(struct aspen_vma *vma, uint64_t start, uint64_t end)
{
    struct aspen_slot slot;

    for (uint64_t at = start; at < end; at += ASPEN_PAGE_SIZE) {
        int error = aspen_table_walk_alloc(vma->mm, at, 0, &slot);
        if (error == -ASPEN_EEXIST ||
            (!error && aspen_load_relaxed(slot.entry)))
            return -ASPEN_EBUSY;
        if (error)
            return error;
    }
    return 0;
}

/* ---- A range: commit --------------------------------------------------- */

static void
commit_range(struct aspen_vma *vma, uint64_t start, uint64_t end,
             uint64_t number)
{
    for (uint64_t at = start; at < end; at += ASPEN_PAGE_SIZE) {
        int error = insert(vma, at, number++, true);
        ASPEN_ASSERT(!error); /* nobody else puts anything there */
        (void)error;
    }
}

static int
remap(struct aspen_mm *mm, uint64_t start, uint64_t end, uint64_t number)
{
    struct aspen_vma *vma = aspen_vma_at(mm, start);

    int error = check_range(vma, start, end);
    if (error)
        return error;
    aspen_vma_write_lock(vma);
    error = reserve_range(vma, start, end);
    if (!error)
        commit_range(vma, start, end, number);
    return error;
}

int
aspen_remap_raw(struct aspen_mm *mm, uint64_t address, uint64_t length_bytes,
                uint64_t number)
{
    if (!aspen_is_aligned(address, ASPEN_PAGE_SIZE) || length_bytes == 0 ||
        address >= mm->address_limit ||
        length_bytes > mm->address_limit - address)
        return -ASPEN_EINVAL;
    uint64_t end = address + aspen_align_up(length_bytes, ASPEN_PAGE_SIZE);
    if (!aspen_entry_raw_valid(mm->aspen, number,
                               (end - address) >> ASPEN_PAGE_SHIFT))
        return -ASPEN_EINVAL;

    struct aspen_attempt attempt;
    int error = 0;
    aspen_attempt_begin(&attempt, mm->aspen, mm, ASPEN_ATTEMPT_LOCKS);
    while (aspen_attempt_next(&attempt, &error))
        error = remap(mm, address, end, number);
    return error;
}

/* ---- A page ------------------------------------------------------------ */

/* The mmap lock is held: 0 and *done, a fault's need, or an error. */
static int
insert_page(struct aspen_fault *fault, uint64_t address, bool *done)
{
    struct aspen_vma *vma = aspen_vma_at(fault->mm, address);
    struct aspen_slot slot;

    if (!vma)
        return -ASPEN_EFAULT;
    if (!(vma->flags & ASPEN_VM_MIXEDMAP) || !vma->object ||
        !aspen_object_has_pages(vma->object))
        return -ASPEN_EINVAL;
    if (aspen_table_walk(fault->mm, address, &slot))
        return -ASPEN_EBUSY;
    int result = aspen_fault_try(fault, vma);
    *done = !result && aspen_table_walk(fault->mm, address, &slot);
    return result;
}

int
aspen_insert_page(struct aspen_mm *mm, uint64_t address)
{
    bool done = false;
    int result = 0;

    if (!aspen_is_aligned(address, ASPEN_PAGE_SIZE) ||
        address >= mm->address_limit)
        return -ASPEN_EINVAL;
    struct aspen_fault fault;
    aspen_fault_begin(&fault, mm, ASPEN_ACCESS_READ);
    fault.forced = true; /* nobody accesses it yet */
    aspen_fault_at(&fault, address);
    while (!result && !done) {
        aspen_read_lock(&mm->mmap_lock, ASPEN_LOCK_MM);
        result = insert_page(&fault, address, &done);
        aspen_read_unlock(&mm->mmap_lock);
        if (result > 0)
            result = aspen_fault_meet(&fault, result);
        else if (!result && !done) /* others take it away each time */
            result = aspen_poll_fatal(mm->aspen);
    }
    aspen_direct_lower(&fault.direct);
    aspen_fault_end(&fault);
    return result;
}
