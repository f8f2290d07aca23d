/* SPDX-License-Identifier: MIT */
/*
 * space/vma_hooks.c - tells and asks the object of a VMA, or a special mapping,
 * about the VMA.
 *
 * Called by whoever makes, cuts or takes down VMAs. The first test to break is
 * tests/unit/object/test_object.c.
 */
#include "space/vma_hooks.h"

int
aspen_vma_open(struct aspen_vma *vma)
{
    const struct aspen_object *object = vma->object;

    if (!object || !object->pager || !object->pager->open)
        return 0;
    if (aspen_failpoint(&vma->mm->aspen->failpoints, ASPEN_STEP_HOOK))
        return -ASPEN_ENOMEM;
    return aspen_answer_of(object->pager->open(object->context, vma));
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
aspen_vma_may_split(const struct aspen_vma *vma, uint64_t address)
{
    const struct aspen_object *object = vma->object;

    if (!object || !object->pager || !object->pager->may_split)
        return 0;
    if (aspen_failpoint(&vma->mm->aspen->failpoints, ASPEN_STEP_HOOK))
        return -ASPEN_EINVAL;
    return aspen_answer_of(
        object->pager->may_split(object->context, vma, address));
}
