/* SPDX-License-Identifier: MIT */
/*
 * calls/remap_file_pages.c - maps other pages of the same object, as Linux does
 * it since 4.0: a fixed mmap inside what was one shared mapping, even if it has
 * become several VMAs.
 *
 * Called by the embedder. The first test to break is
 * tests/host/test_linux_calls.c.
 */
#include <aspen/calls/remap.h>

#include "calls/map.h"
#include "fault/populate.h"
#include "reclaim/attempt.h"
#include "space/vma.h"

/* The new mapping asks for what mmap would be told, and what of it Linux's
 * driver would say once more; advice is lost. */
static uint64_t
flags_of(const struct aspen_vma *vma)
{
    const uint64_t drivers =
        (ASPEN_VM_DRIVER & ~ASPEN_VM_SPECIAL) | ASPEN_VM_CACHE;

    return vma->flags & (ASPEN_VM_ACCESS | ASPEN_VM_SHARED | ASPEN_VM_MAY |
                         drivers | ASPEN_VM_LOCKED);
}

/* Of a file that is open for reading only Linux's is not shared: nobody could
 * tell, but for this call. */
static bool
is_shared(const struct aspen_vma *vma)
{
    const uint64_t both = ASPEN_VM_SHARED | ASPEN_VM_MAYWRITE;

    return (vma->flags & both) == both;
}

/* Linux's has a flag once a guard was put into it (6.18, stable). */
static bool
is_like(const struct aspen_vma *vma, const struct aspen_vma *first)
{
    return vma->object == first->object && vma->flags == first->flags &&
           aspen_load_relaxed(&vma->guarded) ==
               aspen_load_relaxed(&first->guarded);
}

/* VMAs that are alike, of one object, without a gap, up to `end`. */
static bool
covers(struct aspen_mm *mm, const struct aspen_vma *first, uint64_t end)
{
    const struct aspen_vma *vma = first;

    while (vma->end < end) {
        vma = aspen_vma_at(mm, vma->end);
        if (!vma || !is_like(vma, first))
            return false;
    }
    return true;
}

/* The mmap lock is held for writing. */
static int
remap(struct aspen_mm *mm, struct aspen_mmap_args *args)
{
    const struct aspen_vma *vma = aspen_vma_at(mm, args->address);

    /* Objects of huge pages are imported only: as mmap's. */
    if (!vma || !is_shared(vma) || vma->flags & ASPEN_VM_HUGETLB ||
        !covers(mm, vma, args->address + args->length_bytes))
        return -ASPEN_EINVAL;
    args->vm_flags = flags_of(vma);
    args->object = vma->object;
    return aspen_mmap_locked(mm, args, false);
}

int
aspen_remap_file_pages(struct aspen_mm *mm, uint64_t address,
                       uint64_t length_bytes, uint64_t offset_bytes,
                       unsigned flags)
{
    struct aspen_mmap_args args = {
        .address = aspen_align_down(address, ASPEN_PAGE_SIZE),
        .length_bytes = aspen_align_down(length_bytes, ASPEN_PAGE_SIZE),
        .flags = ASPEN_MAP_FIXED,
        .offset_bytes = offset_bytes, /* mmap refuses what no file has */
    };
    uint64_t end = args.address + args.length_bytes;

    if (end <= args.address || flags & ~ASPEN_MAP_NONBLOCK ||
        !aspen_is_aligned(offset_bytes, ASPEN_PAGE_SIZE))
        return -ASPEN_EINVAL;
    struct aspen_attempt attempt;
    bool fill = false;
    int error = 0;
    aspen_attempt_begin(&attempt, mm->aspen, mm, ASPEN_ATTEMPT_LOCKS);
    while (aspen_attempt_next(&attempt, &error)) {
        error = remap(mm, &args);
        fill = !(flags & ASPEN_MAP_NONBLOCK) ||
               (args.vm_flags | mm->def_flags) & ASPEN_VM_LOCKED;
    }
    if (!error && fill)
        aspen_populate_silently(mm, args.address, end, ASPEN_POPULATE_MMAP);
    return error;
}
