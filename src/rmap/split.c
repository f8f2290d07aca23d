/* SPDX-License-Identifier: MIT */
/*
 * rmap/split.c - VMAs that change their range.
 *
 * I1  A reverse-map walker meets every page of a VMA at every moment: a part
 *     is linked before the whole shrinks, and a change of range happens under
 *     the locks of i_mmap and anon_vma. In between it may meet a page through
 *     both, at the same address of the same mm.
 * I2  Only the checks, aspen_vma_part() and aspen_vma_isolate() can fail, and
 *     then nothing has changed. What commits or undoes cannot.
 *
 * Called by ranges, mmap, import, madvise and the growth of stacks. The first
 * test to break is tests/unit/calls/test_munmap.c.
 */
#include "rmap/split.h"

#include "object/i_mmap.h"
#include "object/object.h"
#include "rmap/anon_vma.h"
#include "space/vma_hooks.h"

static bool
is_inside(const struct aspen_vma *vma, uint64_t address)
{
    return vma->start < address && address < vma->end;
}

int
aspen_vma_check_huge(const struct aspen_vma *vma, uint64_t address)
{
    struct aspen_slot slot;

    if (!is_inside(vma, address))
        return 0;
    /* Whether a page is there or not. */
    if (vma->flags & ASPEN_VM_HUGETLB &&
        !aspen_is_aligned(address, aspen_entry_span(1)))
        return -ASPEN_EINVAL;
    uint64_t entry = aspen_table_walk(vma->mm, address, &slot);
    if (!aspen_entry_is_leaf(entry, slot.level) ||
        aspen_is_aligned(address, aspen_entry_span(slot.level)))
        return 0;
    return vma->flags & ASPEN_VM_HUGETLB ? -ASPEN_EINVAL : -ASPEN_EOPNOTSUPP;
}

int
aspen_vma_check_edge(const struct aspen_vma *vma, uint64_t address)
{
    if (!is_inside(vma, address))
        return 0;
    if (vma->flags & ASPEN_VM_SPECIAL)
        return -ASPEN_EINVAL;
    int error = aspen_vma_check_huge(vma, address);
    return error ? error : aspen_vma_may_split(vma, address);
}

int
aspen_vma_part(struct aspen_vma *from, uint64_t start, uint64_t end,
               struct aspen_vma **out)
{
    ASPEN_ASSERT(from->start <= start && start < end && end <= from->end);
    struct aspen_vma *part = aspen_vma_copy(from->mm, from);
    if (!part)
        return -ASPEN_ENOMEM;
    part->start = start;
    part->end = end;
    part->pgoff = aspen_vma_offset(from, start);

    int error = aspen_anon_vma_clone(part, from);
    if (error)
        goto undo_vma;
    error = aspen_vma_open(part);
    if (error)
        goto undo_anon_vma;
    if (part->object)
        aspen_object_get(part->object);
    *out = part;
    return 0;

undo_anon_vma:
    aspen_anon_vma_unlink(part);
undo_vma:
    aspen_vma_free(part);
    return error;
}

void
aspen_vma_part_abort(struct aspen_vma *part)
{
    if (!part)
        return;
    struct aspen_object *object = part->object;
    aspen_vma_close(part);
    aspen_anon_vma_unlink(part);
    aspen_vma_free(part);
    if (object)
        aspen_object_put(object);
}

void
aspen_vma_part_commit(struct aspen_vma *part, const struct aspen_vma *from)
{
    /* Guards may have come since the part was made, until `from` was locked. */
    aspen_vma_inherit_guards(part, from);
    if (part->object)
        aspen_i_mmap_insert(part, NULL);
    part->mm->map_count++;
}

void
aspen_vma_add(struct aspen_vma *vma, struct aspen_tree_reserve *reserve)
{
    if (vma->object)
        aspen_i_mmap_insert(vma, NULL);
    aspen_tree_store_reserved(&vma->mm->vmas, reserve, vma->start, vma->end - 1,
                              vma);
    vma->mm->map_count++;
}

void
aspen_vma_resize(struct aspen_vma *vma, uint64_t start, uint64_t end)
{
    if (vma->object)
        aspen_i_mmap_change_begin(vma);
    aspen_anon_vma_links_remove(vma);
    /* Modulo 2^64, so it may grow either way. */
    vma->pgoff +=
        (start >> ASPEN_PAGE_SHIFT) - (vma->start >> ASPEN_PAGE_SHIFT);
    vma->start = start;
    vma->end = end;
    aspen_anon_vma_links_insert(vma);
    if (vma->object)
        aspen_i_mmap_change_end(vma);
}

void
aspen_vma_dissolve(struct aspen_vma *vma)
{
    struct aspen_object *object = vma->object;

    aspen_anon_vma_unlink(vma);
    if (object)
        aspen_i_mmap_remove(vma);
    vma->mm->map_count--;
    aspen_vma_free(vma);
    if (object)
        aspen_object_put(object);
}

/* ---- Isolate ----------------------------------------------------------- */

static int
isolate_reserve(struct aspen_isolate *isolate, uint64_t start, uint64_t end)
{
    struct aspen_vma *vma = isolate->vma;
    struct aspen_mm *mm = vma->mm;
    uint64_t parts = (uint64_t)(vma->start < start) + (vma->end > end);

    if (mm->map_count + parts > mm->aspen->config.map_count_max)
        return -ASPEN_ENOMEM;
    int error = aspen_tree_reserve(&mm->vmas, &isolate->reserve, 2);
    if (!error) /* to undo it */
        error = aspen_tree_reserve_later(&mm->vmas, &isolate->reserve);
    if (!error && vma->start < start)
        error = aspen_vma_part(vma, vma->start, start, &isolate->below);
    if (!error && vma->end > end)
        error = aspen_vma_part(vma, end, vma->end, &isolate->above);
    if (!error)
        return 0;
    aspen_vma_part_abort(isolate->below);
    aspen_tree_reserve_release(&mm->vmas, &isolate->reserve);
    return error;
}

static void
isolate_commit_part(struct aspen_isolate *isolate, struct aspen_vma *part)
{
    if (!part)
        return;
    aspen_vma_part_commit(part, isolate->vma);
    aspen_tree_store_reserved(&part->mm->vmas, &isolate->reserve, part->start,
                              part->end - 1, part);
}

int
aspen_vma_isolate(struct aspen_isolate *isolate, struct aspen_vma *vma,
                  uint64_t start, uint64_t end)
{
    *isolate = (struct aspen_isolate){.vma = vma};
    if (vma->start == start && vma->end == end)
        return 0;
    int error = aspen_vma_check_edge(vma, start);
    if (!error)
        error = aspen_vma_check_edge(vma, end);
    if (!error)
        error = isolate_reserve(isolate, start, end);
    if (error)
        return error;
    aspen_vma_write_lock(vma);
    isolate_commit_part(isolate, isolate->below);
    isolate_commit_part(isolate, isolate->above);
    aspen_vma_resize(vma, start, end);
    return 0;
}

static void
isolate_undo_part(struct aspen_vma *part)
{
    if (!part)
        return;
    aspen_vma_close(part);
    aspen_vma_dissolve(part);
}

void
aspen_isolate_undo(struct aspen_isolate *isolate)
{
    struct aspen_vma *vma = isolate->vma;
    uint64_t start = isolate->below ? isolate->below->start : vma->start;
    uint64_t end = isolate->above ? isolate->above->end : vma->end;

    if (!isolate->below && !isolate->above)
        return;
    aspen_vma_resize(vma, start, end);
    aspen_tree_store_reserved(&vma->mm->vmas, &isolate->reserve, start, end - 1,
                              vma);
    isolate_undo_part(isolate->below);
    isolate_undo_part(isolate->above);
    aspen_isolate_done(isolate);
}

void
aspen_isolate_done(struct aspen_isolate *isolate)
{
    aspen_tree_reserve_release(&isolate->vma->mm->vmas, &isolate->reserve);
}
