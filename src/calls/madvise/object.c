/* SPDX-License-Identifier: MIT */
/*
 * calls/madvise/object.c - advice about the object of a mapping: read it ahead,
 * or make a hole.
 *
 * Both may wait for a pager: they hold the object and drop the mmap lock.
 *
 * Called by madvise.c. The first test to break is
 * tests/host/test_advise_host.c.
 */
#include "calls/madvise/madvise.h"

#include "object/page_cache.h"

/* ---- WILLNEED ---------------------------------------------------------- */

/* Errors are ignored, but there is no point in going on. */
static void
read_ahead(struct aspen_object *object, uint64_t first, uint64_t pages)
{
    uint32_t frame;

    for (uint64_t i = 0; i < pages; i++) {
        if (aspen_poll_fatal(object->aspen) ||
            aspen_object_get_page_ahead(object, first + i, ASPEN_AHEAD_MOST,
                                        &frame))
            return;
        aspen_frame_put(object->aspen, frame);
    }
}

int
aspen_advise_willneed(struct aspen_advise *advise, struct aspen_vma *vma,
                      uint64_t start, uint64_t end)
{
    struct aspen_mm *mm = advise->mm;
    struct aspen_object *object = aspen_vma_backing(vma);
    uint64_t first = aspen_vma_offset(vma, start);

    /* Nothing is swapped in yet, and memory has nothing to be read from. */
    if (!object || object->kind != ASPEN_OBJECT_FILE)
        return 0;
    aspen_object_get(object);
    aspen_read_unlock(&mm->mmap_lock);
    read_ahead(object, first, (end - start) >> ASPEN_PAGE_SHIFT);
    aspen_object_put(object);
    aspen_read_lock(&mm->mmap_lock, ASPEN_LOCK_MM);
    return 0;
}

/* ---- REMOVE ------------------------------------------------------------ */

int
aspen_advise_remove(struct aspen_advise *advise, struct aspen_vma *vma,
                    uint64_t start, uint64_t end)
{
    const uint64_t needed = ASPEN_VM_SHARED | ASPEN_VM_MAYWRITE;
    struct aspen_mm *mm = advise->mm;
    struct aspen_object *object = vma->object;
    uint64_t first = aspen_vma_offset(vma, start);

    if (vma->flags & ASPEN_VM_LOCKED || !object)
        return -ASPEN_EINVAL;
    if ((vma->flags & needed) != needed)
        return -ASPEN_EACCES;
    aspen_object_get(object);
    aspen_read_unlock(&mm->mmap_lock);
    int error =
        aspen_object_punch(object, first << ASPEN_PAGE_SHIFT, end - start);
    aspen_object_put(object);
    aspen_read_lock(&mm->mmap_lock, ASPEN_LOCK_MM);
    return error;
}
