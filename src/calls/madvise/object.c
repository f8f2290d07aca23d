/* SPDX-License-Identifier: MIT */
/*
 * calls/madvise/object.c - advice about what a mapping's pages are read from:
 * read it ahead, or make a hole.
 *
 * Both may wait for a pager or a device: they hold the object, if there is one,
 * and drop the mmap lock.
 *
 * Called by madvise.c. The first test to break is
 * tests/host/test_advise_host.c.
 */
#include "calls/madvise/madvise.h"

#include "object/page_cache.h"
#include "reclaim/direct.h"
#include "swap/swap.h"

/* ---- WILLNEED ---------------------------------------------------------- */

/* Anonymous memory: from the first page in swap on, as many as come with it, by
 * a device that works by itself while nobody waits. Of what cannot be read
 * nobody hears. */
static void
swap_in(struct aspen_advise *advise, struct aspen_vma *vma, uint64_t start,
        uint64_t end)
{
    struct aspen_mm *mm = advise->mm;
    struct aspen *aspen = mm->aspen;
    struct aspen_direct direct = {.aspen = aspen, .payer.mm = mm};
    struct aspen_slot slot;
    uint64_t entry;

    for (;; start += ASPEN_PAGE_SIZE) {
        if (!aspen_swap_find_entry(mm, ASPEN_SWAP_AREAS, &start, end, &slot,
                                   &entry))
            return;
        if (!aspen_swap_is_cached(aspen, aspen_entry_swap_type(entry),
                                  aspen_entry_swap_slot(entry)))
            break;
    }
    uint64_t wanted =
        aspen_swap_wanted(&slot, start, vma->start, end, ASPEN_SWAP_IO_PAGES);
    advise->next = start + ASPEN_PAGE_SIZE;
    aspen_read_unlock(&mm->mmap_lock);
    int error = aspen_poll_fatal(aspen);
    if (!error)
        error = aspen_swap_read_ahead(aspen, &direct.payer, entry, wanted);
    aspen_direct_lower(&direct);
    aspen_payer_end(&direct.payer);
    if (error == -ASPEN_EINTR || error == -ASPEN_ENOMEM)
        advise->next = end; /* no point in going on */
    aspen_read_lock(&mm->mmap_lock, ASPEN_LOCK_MM);
}

/* Of a file: as much as Linux reads for one mapping of a disk as it comes, by
 * the largest transfer (1,280 KiB); its call does not wait, ours does. */
#define FILE_PAGES_MOST 320u

/* Errors are ignored, but there is no point in going on. */
static void
read_ahead(struct aspen_mm *mm, struct aspen_object *object, uint64_t first,
           uint64_t pages)
{
    struct aspen_direct direct = {.aspen = object->aspen, .payer.mm = mm};
    uint32_t frame;

    pages = aspen_min_u64(pages, FILE_PAGES_MOST);
    for (uint64_t i = 0; i < pages; i++) {
        if (aspen_poll_fatal(object->aspen) ||
            aspen_object_get_page_ahead(object, first + i, ASPEN_AHEAD_MOST,
                                        &direct.payer, &frame))
            break;
        aspen_frame_put(object->aspen, frame);
        aspen_direct_lower(&direct);
    }
    aspen_payer_end(&direct.payer);
}

static void
read_swap(struct aspen_mm *mm, struct aspen_object *object, uint64_t first,
          uint64_t pages)
{
    struct aspen_direct direct = {.aspen = object->aspen, .payer.mm = mm};

    aspen_swap_read_shared(object, first, pages, &direct.payer);
    aspen_direct_lower(&direct);
    aspen_payer_end(&direct.payer);
}

int
aspen_advise_willneed(struct aspen_advise *advise, struct aspen_vma *vma,
                      uint64_t start, uint64_t end)
{
    struct aspen_mm *mm = advise->mm;
    struct aspen_object *object = aspen_vma_backing(vma);
    uint64_t first = aspen_vma_offset(vma, start);
    uint64_t pages = (end - start) >> ASPEN_PAGE_SHIFT;

    if (!object)
        swap_in(advise, vma, start, end);
    if (!object ||
        (object->kind != ASPEN_OBJECT_FILE && !aspen_object_may_swap(object)))
        return 0;
    aspen_object_get(object);
    aspen_read_unlock(&mm->mmap_lock);
    if (object->kind == ASPEN_OBJECT_FILE)
        read_ahead(mm, object, first, pages);
    else /* nothing else than swap has anything of it */
        read_swap(mm, object, first, pages);
    aspen_object_put(object);
    aspen_read_lock(&mm->mmap_lock, ASPEN_LOCK_MM);
    return 0;
}

/* ---- REMOVE ------------------------------------------------------------ */

/* As Linux, whose offsets have a sign. */
static int
check_hole(uint64_t offset_bytes, uint64_t length_bytes)
{
    if (offset_bytes > INT64_MAX)
        return -ASPEN_EINVAL;
    return length_bytes > INT64_MAX - offset_bytes ? -ASPEN_EFBIG : 0;
}

int
aspen_advise_remove(struct aspen_advise *advise, struct aspen_vma *vma,
                    uint64_t start, uint64_t end)
{
    const uint64_t needed = ASPEN_VM_SHARED | ASPEN_VM_MAYWRITE;
    struct aspen_mm *mm = advise->mm;
    struct aspen_object *object = vma->object;
    uint64_t offset = aspen_vma_offset(vma, start) << ASPEN_PAGE_SHIFT;

    if (vma->flags & ASPEN_VM_LOCKED || !object)
        return -ASPEN_EINVAL;
    if ((vma->flags & needed) != needed)
        return -ASPEN_EACCES;
    int error = check_hole(offset, end - start);
    if (error)
        return error;
    aspen_object_get(object);
    aspen_read_unlock(&mm->mmap_lock);
    error = aspen_object_punch(object, offset, end - start);
    aspen_object_put(object);
    aspen_read_lock(&mm->mmap_lock, ASPEN_LOCK_MM);
    return error;
}
