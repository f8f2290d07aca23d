/* SPDX-License-Identifier: MIT */
/*
 * object/unmap_pages.c - taking pages of an object out of all mappings.
 *
 * Called by the embedder and by whoever takes pages away. The first test to
 * break is tests/unit/object/test_truncate.c.
 */
#include "object/i_mmap.h"
#include "object/page_cache.h"
#include "machine/notify.h"
#include "space/zap.h"

/* Which pages, and whether private copies of them go as well. */
struct unmapping {
    uint64_t last;
    bool copies;
};

static bool
unmap_from(void *context, struct aspen_vma *vma, uint64_t start)
{
    const struct unmapping *unmapping = context;
    uint64_t vma_last = vma->pgoff + aspen_vma_pages(vma) - 1;
    uint64_t last = aspen_min_u64(unmapping->last, vma_last);
    uint64_t end = aspen_vma_address(vma, last + 1);
    struct aspen_gather gather;

    aspen_notify_start(vma->mm, start, end);
    aspen_gather_begin(&gather, vma->mm, false);
    aspen_zap_only(&gather, vma, start, end,
                   unmapping->copies ? ASPEN_ZAP_NOT_GUARDS : ASPEN_ZAP_OBJECT);
    aspen_gather_end(&gather);
    aspen_notify_end(vma->mm, start, end);
    return true;
}

void
aspen_object_unmap_pages(struct aspen_object *object, uint64_t first,
                         uint64_t last, bool copies)
{
    struct unmapping unmapping = {.last = last, .copies = copies};

    aspen_i_mmap_walk(object, first, last, unmap_from, &unmapping);
}

void
aspen_object_unmap(struct aspen_object *object, uint64_t offset_bytes,
                   uint64_t length_bytes, bool copies)
{
    uint64_t room = UINT64_MAX - offset_bytes;

    if (length_bytes == 0)
        return;
    uint64_t last = offset_bytes + aspen_min_u64(length_bytes - 1, room);
    aspen_write_lock(&object->size_lock, ASPEN_LOCK_OBJECT_SIZE);
    aspen_fetch_add(&object->change_count, 1);
    aspen_object_unmap_pages(object, offset_bytes >> ASPEN_PAGE_SHIFT,
                             last >> ASPEN_PAGE_SHIFT, copies);
    aspen_write_unlock(&object->size_lock);
}
