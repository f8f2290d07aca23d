/* SPDX-License-Identifier: MIT */
/*
 * fault/stack.c - an access below an area that grows down makes it grow.
 *
 * Called by fault.c. The first test to break is tests/unit/fault/test_fault.c.
 */
#include "fault/fault.h"

#include "space/anon_vma.h"
#include "space/charge.h"
#include "space/limits.h"
#include "space/split.h"

/* May it reach down to `start`? What is mapped below keeps its distance,
 * unless it cannot be accessed or grows down itself. */
static bool
may_grow(const struct aspen_vma *vma, uint64_t start)
{
    struct aspen_mm *mm = vma->mm;
    struct aspen_vma *below =
        aspen_tree_find_back(&mm->vmas, vma->start - 1, 0, NULL);

    if (!(vma->flags & ASPEN_VM_GROWSDOWN) || start < aspen_mm_lowest(mm) ||
        vma->pgoff < (vma->start - start) >> ASPEN_PAGE_SHIFT)
        return false;
    return !below || !(below->flags & ASPEN_VM_ACCESS) ||
           (below->flags & ASPEN_VM_GROWSDOWN) ||
           start - below->end >= aspen_stack_guard_bytes(mm->aspen);
}

/* Does it stay within the limits? Every refusal is a fault's -EFAULT. */
static int
check_limits(const struct aspen_vma *vma, uint64_t start)
{
    const struct aspen_mm *mm = vma->mm;
    uint64_t pages = (vma->start - start) >> ASPEN_PAGE_SHIFT;

    if (aspen_may_expand(mm, vma->flags, pages) ||
        vma->end - start > mm->limits[ASPEN_LIMIT_STACK] ||
        (vma->flags & ASPEN_VM_LOCKED && aspen_may_lock(mm, pages)))
        return -ASPEN_EFAULT;
    return 0;
}

static int
grow(struct aspen_vma *vma, uint64_t start)
{
    struct aspen_mm *mm = vma->mm;
    struct aspen_tree_reserve reserve = {0};
    struct aspen_tree_cursor cursor;
    uint64_t pages = (vma->start - start) >> ASPEN_PAGE_SHIFT;
    uint64_t charge = vma->flags & ASPEN_VM_ACCOUNT ? pages : 0;

    /* As Linux: it has an anon_vma from then on, grown or not. */
    int error = aspen_anon_vma_prepare(vma);
    if (!error)
        error = check_limits(vma, start);
    if (!error)
        error = aspen_charge_mm(mm, charge);
    if (error)
        return error;
    aspen_tree_cursor_init(&cursor, &mm->vmas, start);
    error = aspen_tree_reserve_within(&mm->vmas, &reserve, &cursor, 1, start,
                                      vma->end - 1);
    if (error) {
        aspen_uncharge(mm->aspen, charge);
        return error;
    }

    aspen_vma_write_lock(vma);
    aspen_vma_resize(vma, start, vma->end);
    aspen_tree_store_reserved(&mm->vmas, &reserve, start, vma->end - 1, vma);
    aspen_mm_account_vma(mm, vma->flags, pages, true);
    aspen_tree_reserve_release(&mm->vmas, &reserve);
    return 0;
}

int
aspen_fault_stack(struct aspen_fault *fault)
{
    struct aspen_mm *mm = fault->mm;

    int error = aspen_mm_write_lock_killable(mm, ASPEN_LOCK_MM);
    if (error)
        return error;
    struct aspen_vma *vma = aspen_vma_find(mm, fault->address);
    if (!vma)
        error = -ASPEN_EFAULT;
    else if (vma->start > fault->address)
        error = may_grow(vma, fault->address) ? grow(vma, fault->address)
                                              : -ASPEN_EFAULT;
    aspen_mm_write_unlock(mm);
    return error;
}
