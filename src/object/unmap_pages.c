/* SPDX-License-Identifier: MIT */
/*
 * object/unmap_pages.c - takes pages of an object out of all mappings.
 *
 * Called by the embedder and by whoever takes pages away. The first test to
 * break is tests/unit/object/test_truncate.c.
 */
#include "object/i_mmap.h"
#include "object/page_cache.h"
#include "machine/notify.h"

struct unmapping {
    uint64_t last;
    enum aspen_zap what;
    int error; /* of aspen_zap_check() */
};

static uint64_t
end_in(const struct aspen_vma *vma, const struct unmapping *unmapping)
{
    uint64_t vma_last = vma->pgoff + aspen_vma_pages(vma) - 1;

    return aspen_vma_address(vma, aspen_min_u64(unmapping->last, vma_last) + 1);
}

/* With private copies or without. */
static enum aspen_zap
zap_of(bool copies)
{
    return copies ? ASPEN_ZAP_NOT_GUARDS : ASPEN_ZAP_OBJECT;
}

static bool
check_one(void *context, struct aspen_vma *vma, uint64_t start)
{
    struct unmapping *unmapping = context;

    unmapping->error =
        aspen_zap_check(vma, start, end_in(vma, unmapping), unmapping->what);
    return !unmapping->error;
}

int
aspen_object_unmap_check(struct aspen_object *object, uint64_t first,
                         uint64_t last, bool copies)
{
    struct unmapping unmapping = {.last = last, .what = zap_of(copies)};

    aspen_i_mmap_walk(object, first, last, check_one, &unmapping);
    return unmapping.error;
}

static bool
unmap_from(void *context, struct aspen_vma *vma, uint64_t start)
{
    const struct unmapping *unmapping = context;
    uint64_t end = end_in(vma, unmapping);
    struct aspen_gather gather;

    aspen_notify_start(vma->mm, start, end);
    aspen_gather_begin(&gather, vma->mm, false);
    aspen_zap_only(&gather, vma, start, end, unmapping->what);
    aspen_gather_end(&gather);
    aspen_notify_end(vma->mm, start, end);
    return true;
}

void
aspen_object_unmap_pages(struct aspen_object *object, uint64_t first,
                         uint64_t last, enum aspen_zap what)
{
    struct unmapping unmapping = {.last = last, .what = what};

    aspen_i_mmap_walk(object, first, last, unmap_from, &unmapping);
}

int
aspen_object_unmap(struct aspen_object *object, uint64_t offset_bytes,
                   uint64_t length_bytes, unsigned flags)
{
    uint64_t room = UINT64_MAX - offset_bytes;
    const bool copies = flags & ASPEN_OBJECT_UNMAP_COPIES;

    if (flags & ~ASPEN_OBJECT_UNMAP_COPIES)
        return -ASPEN_EINVAL;

    if (length_bytes == 0)
        return 0;
    uint64_t first = offset_bytes >> ASPEN_PAGE_SHIFT;
    uint64_t last = (offset_bytes + aspen_min_u64(length_bytes - 1, room)) >>
                    ASPEN_PAGE_SHIFT;
    aspen_write_lock(&object->size_lock, ASPEN_LOCK_OBJECT_SIZE);
    int error = aspen_object_unmap_check(object, first, last, copies);
    if (!error) {
        aspen_object_note_change(object);
        aspen_object_unmap_pages(object, first, last, zap_of(copies));
    }
    aspen_write_unlock(&object->size_lock);
    return error;
}
