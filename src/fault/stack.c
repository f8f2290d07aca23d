/* SPDX-License-Identifier: MIT */
/*
 * fault/stack.c - an access below a VMA that grows down makes it grow.
 *
 * Called by fault.c. The first test to break is tests/unit/fault/test_fault.c.
 */
#include "fault/fault.h"

#include "rmap/anon_vma.h"
#include "machine/charge.h"
#include "space/limits.h"
#include "rmap/split.h"

/* ---- Check ------------------------------------------------------------- */

/* May it go down to `start`? What is mapped below keeps its distance,
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

/* ---- Reserve ----------------------------------------------------------- */

struct growth {
    struct aspen_vma *vma;
    uint64_t start;
    uint64_t pages;
    struct aspen_tree_reserve tree;
    struct aspen_tree_cursor cursor;
};

static int
reserve(struct growth *growth)
{
    struct aspen_vma *vma = growth->vma;
    struct aspen_mm *mm = vma->mm;

    /* All growth is asked about, that of memory without charge as well. As a
     * limit's, Linux answers this refusal with a SIGSEGV. */
    int error = aspen_charge_mm(mm, growth->pages);
    if (error)
        return -ASPEN_EFAULT;
    aspen_tree_cursor_init(&growth->cursor, &mm->vmas, growth->start);
    error = aspen_tree_reserve_within(&mm->vmas, &growth->tree, &growth->cursor,
                                      1, growth->start, vma->end - 1);
    if (error)
        aspen_uncharge(mm->aspen, growth->pages);
    return error;
}

/* ---- Commit ------------------------------------------------------------ */

static void
commit(struct growth *growth)
{
    struct aspen_vma *vma = growth->vma;
    struct aspen_mm *mm = vma->mm;

    aspen_vma_write_lock(vma);
    aspen_vma_resize(vma, growth->start, vma->end);
    aspen_tree_store_reserved(&mm->vmas, &growth->tree, growth->start,
                              vma->end - 1, vma);
    aspen_mm_account_vma(mm, vma->flags, growth->pages, true);
    if (!(vma->flags & ASPEN_VM_ACCOUNT))
        aspen_uncharge(mm->aspen, growth->pages);
    aspen_tree_reserve_release(&mm->vmas, &growth->tree);
}

/* ---- The whole --------------------------------------------------------- */

static int
grow(struct aspen_vma *vma, uint64_t start)
{
    struct growth growth = {
        .vma = vma,
        .start = start,
        .pages = (vma->start - start) >> ASPEN_PAGE_SHIFT,
    };

    if (!may_grow(vma, start))
        return -ASPEN_EFAULT;
    /* As Linux: it has an anon_vma from then on, grown or not. */
    int error = aspen_anon_vma_prepare(vma);
    if (!error)
        error = check_limits(vma, start);
    if (!error)
        error = reserve(&growth);
    if (!error)
        commit(&growth);
    return error;
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
        error = grow(vma, fault->address);
    aspen_mm_write_end(mm);
    return error;
}
