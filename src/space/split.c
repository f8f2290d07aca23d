/* SPDX-License-Identifier: MIT */
/*
 * space/split.c - VMAs that change their range.
 *
 * I1  A reverse-map walker meets every page of a VMA at every moment: a part
 *     is linked before the whole shrinks, and a change of range happens under
 *     the locks of i_mmap and anon_vma. In between it may meet a page through
 *     both, at the same address of the same mm.
 * I2  Only aspen_vma_part() and aspen_vma_open() can fail.
 *
 * Called by mmap, munmap and the growth of stacks. The first test to break is
 * tests/unit/test_munmap.c.
 */
#include "space/split.h"

#include "space/anon_vma.h"
#include "space/object.h"

int
aspen_vma_open(struct aspen_vma *vma)
{
    const struct aspen_object *object = vma->object;

    if (!object || !object->pager || !object->pager->open)
        return 0;
    if (aspen_failpoint(&vma->mm->aspen->failpoints, ASPEN_STEP_HOOK))
        return -ASPEN_ENOMEM;
    return object->pager->open(object->context, vma);
}

void
aspen_vma_close(struct aspen_vma *vma)
{
    const struct aspen_object *object = vma->object;

    if (vma->special && vma->special->close)
        vma->special->close(vma->special->context, vma->mm, vma->start,
                            vma->end);
    if (object && object->pager && object->pager->close)
        object->pager->close(object->context, vma);
}

int
aspen_vma_check_edge(const struct aspen_vma *vma, uint64_t address)
{
    struct aspen_slot slot;

    if (vma->start >= address || vma->end <= address)
        return 0;
    if (vma->special)
        return -ASPEN_EINVAL;
    uint64_t entry = aspen_table_walk(vma->mm, address, &slot);
    if (!aspen_entry_is_leaf(entry, slot.level) ||
        aspen_is_aligned(address, aspen_entry_span(slot.level)))
        return 0;
    return vma->flags & ASPEN_VM_HUGETLB ? -ASPEN_EINVAL : -ASPEN_EOPNOTSUPP;
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
aspen_vma_part_commit(struct aspen_vma *part)
{
    if (part->object)
        aspen_object_link(part, NULL);
    part->mm->map_count++;
}

void
aspen_vma_resize(struct aspen_vma *vma, uint64_t start, uint64_t end)
{
    /* Modulo 2^64, so it may grow either way. */
    uint64_t pgoff = vma->pgoff + (start >> ASPEN_PAGE_SHIFT) -
                     (vma->start >> ASPEN_PAGE_SHIFT);

    if (vma->object)
        aspen_object_link_remove(vma);
    aspen_anon_vma_links_remove(vma);
    vma->start = start;
    vma->end = end;
    vma->pgoff = pgoff;
    aspen_anon_vma_links_insert(vma);
    if (vma->object)
        aspen_object_link_insert(vma);
}
