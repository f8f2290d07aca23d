/* SPDX-License-Identifier: MIT */
/*
 * calls/mincore.c - which pages could be read without waiting.
 *
 * It asks the page tables, table by table; where there is no entry it asks the
 * object's cache, page by page, and of what is in swap the swap cache.
 *
 * Called by the embedder. The first test to break is
 * tests/unit/calls/test_copy.c.
 */
#include <aspen/calls/mincore.h>

#include "machine/swap_reads.h"
#include "object/page_cache.h"

/* Pages under one hold of the mmap lock. */
#define BATCH_PAGES 4096u

struct mincore {
    struct aspen_mm *mm;
    const struct aspen_vma *vma;
    uint64_t address;
    uint8_t *vector; /* of the page at `address` */
};

/* Is it in the cache of the object? Special mappings have none to ask, and
 * count as resident, as on Linux. */
static bool
is_cached(const struct mincore *m)
{
    struct aspen_object *object = aspen_vma_backing(m->vma);
    uint64_t offset;
    uint32_t frame, slot;
    unsigned type;

    if (!object || m->vma->flags & ASPEN_VM_PFNMAP)
        return m->vma->flags & ASPEN_VM_SPECIAL;
    offset = aspen_vma_offset(m->vma, m->address);
    if (aspen_object_find_page(object, offset, &frame))
        return aspen_object_find_swapped(object, offset, &type, &slot) &&
               aspen_swap_cache_has_read(object->aspen, type, slot);
    aspen_frame_put(object->aspen, frame);
    return true;
}

static uint8_t
residency_of(const struct mincore *m, uint64_t entry, unsigned level)
{
    if (aspen_entry_is_leaf(entry, level) && !(m->vma->flags & ASPEN_VM_PFNMAP))
        return 1;
    if (entry && aspen_entry_is_swap(entry))
        return aspen_swap_cache_has_read(m->mm->aspen,
                                         aspen_entry_swap_type(entry),
                                         aspen_entry_swap_slot(entry));
    return is_cached(m);
}

/* Up to `stop`, inside the VMA and one table of level 0. */
static void
ask_table(struct mincore *m, const uint64_t *entry, uint64_t stop)
{
    for (; m->address < stop; m->address += ASPEN_PAGE_SIZE, entry++)
        *m->vector++ = residency_of(m, aspen_load_relaxed(entry), 0);
}

/* Up to `stop`, inside the VMA and one entry of a higher level. */
static void
ask_entry(struct mincore *m, uint64_t entry, unsigned level, uint64_t stop)
{
    for (; m->address < stop; m->address += ASPEN_PAGE_SIZE)
        *m->vector++ = residency_of(m, entry, level);
}

/* Up to `stop`, inside the VMA. */
static void
ask_vma(struct mincore *m, uint64_t stop)
{
    struct aspen_slot slot;

    while (m->address < stop) {
        uint64_t entry = aspen_table_walk(m->mm, m->address, &slot);
        uint64_t end = aspen_min_u64(aspen_slot_end(&slot, m->address), stop);
        if (slot.level == 0)
            ask_table(m, slot.entry, end);
        else
            ask_entry(m, entry, slot.level, end);
    }
}

/* Others' files do not tell who else reads them. */
static bool
may_see(const struct mincore *m)
{
    const struct aspen_object *object = aspen_vma_backing(m->vma);

    return !object || !object->pager || !object->pager->may_see_cache ||
           object->pager->may_see_cache(object->context, m->mm);
}

static void
answer_all(struct mincore *m, uint64_t stop)
{
    uint64_t pages = (stop - m->address) >> ASPEN_PAGE_SHIFT;

    memset(m->vector, 1, (size_t)pages);
    m->vector += pages;
    m->address = stop;
}

static int
ask_batch(struct mincore *m, uint64_t stop)
{
    while (m->address < stop) {
        m->vma = aspen_vma_at(m->mm, m->address);
        if (!m->vma)
            return -ASPEN_ENOMEM;
        uint64_t end = aspen_min_u64(m->vma->end, stop);
        if (may_see(m))
            ask_vma(m, end);
        else
            answer_all(m, end);
    }
    return 0;
}

int
aspen_mincore(struct aspen_mm *mm, uint64_t address, uint64_t length_bytes,
              uint8_t *vector)
{
    struct mincore m = {.mm = mm, .address = address, .vector = vector};
    int error = 0;

    if (!aspen_is_aligned(address, ASPEN_PAGE_SIZE))
        return -ASPEN_EINVAL;
    if (address > mm->address_limit ||
        length_bytes > mm->address_limit - address)
        return -ASPEN_ENOMEM;
    uint64_t end = address + aspen_align_up(length_bytes, ASPEN_PAGE_SIZE);
    aspen_swap_finish_all(mm->aspen); /* what is read is there */
    while (!error && m.address < end) {
        uint64_t batch = m.address + BATCH_PAGES * ASPEN_PAGE_SIZE;
        aspen_read_lock(&mm->mmap_lock, ASPEN_LOCK_MM);
        error = ask_batch(&m, aspen_min_u64(batch, end));
        aspen_read_unlock(&mm->mmap_lock);
    }
    return error;
}
