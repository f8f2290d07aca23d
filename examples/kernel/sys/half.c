/* SPDX-License-Identifier: MIT */
/*
 * half.c - what Linux leaves of calls that fail, by Aspen's calls that leave
 * nothing: first the whole, and when that is refused mapping by mapping.
 *
 * What another thread maps or unmaps between two of them shows, as it would not
 * in Linux, which holds the mmap lock all along.
 */
#include "sys/half.h"

#include "boot/boot.h"
#include "cpu/cpu.h"
#include "lib/lib.h"

bool half_answers;

void
half_init(void)
{
    const char *answers = boot_option("answers");

    half_answers = answers && strcmp(answers, "half") == 0;
}

/* The end of the mapping that has `address`, but at most `end`; 0: a hole. */
static uint64_t
part_end(struct aspen_mm *mm, uint64_t address, uint64_t end)
{
    uint64_t stop = 0;

    aspen_mm_read_lock(mm);
    const struct aspen_vma *vma = aspen_vma_find(mm, address);
    if (vma && aspen_vma_start(vma) <= address)
        stop = aspen_vma_end(vma);
    aspen_mm_read_unlock(mm);
    return stop < end ? stop : end;
}

/* Of a range with a hole, or with a mapping that refuses, what is below has
 * changed. */
int
half_mprotect(struct aspen_mm *mm, uint64_t address, uint64_t bytes,
              uint64_t vm_flags)
{
    uint64_t end = address + ((bytes + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1ul));
    uint64_t at = address, stop;
    int error = aspen_mprotect(mm, address, bytes, vm_flags, ASPEN_PKEY_SAME);

    if (error != -ASPEN_ENOMEM && error != -ASPEN_EACCES &&
        error != -ASPEN_EPERM)
        return error;
    while (at < end && (stop = part_end(mm, at, end)) != 0) {
        error = aspen_mprotect(mm, at, stop - at, vm_flags, ASPEN_PKEY_SAME);
        if (error)
            return error;
        at = stop;
    }
    return at < end ? -ASPEN_ENOMEM : 0;
}

/* Up to 6.12 the target of a fixed move, and what is beyond the new size, is
 * gone before the mapping is looked at: then there is a hole in it, or it may
 * not grow. (That there is nothing at `address` is found before.) */
int
half_mremap(struct aspen_mm *mm, const struct aspen_mremap_args *args,
            uint64_t *result)
{
    int error = aspen_mremap(mm, args, result);

    if ((error != -ASPEN_EFAULT && error != -ASPEN_EAGAIN) ||
        !(args->flags & ASPEN_MREMAP_FIXED) ||
        !part_end(mm, args->address, args->address + PAGE_BYTES))
        return error;
    int gone = aspen_munmap(mm, args->new_address, args->new_bytes);
    if (!gone && args->old_bytes > args->new_bytes)
        gone = aspen_munmap(mm, args->address + args->new_bytes,
                            args->old_bytes - args->new_bytes);
    return gone ? gone : error;
}

/* What is below a hole is locked, and so is what could not be filled with
 * pages: by ONFAULT, which locks them as they come. The limit comes first:
 * above it nothing is locked. */
int
half_mlock(struct aspen_mm *mm, uint64_t address, uint64_t bytes)
{
    uint64_t start = address & ~(PAGE_BYTES - 1ul);
    uint64_t end = (address + bytes + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1ul);
    uint64_t limit = aspen_limit(mm, ASPEN_LIMIT_MEMLOCK);
    uint64_t stop;
    struct aspen_mm_counters counters;
    int error = aspen_mlock(mm, address, bytes, 0);

    if (error != -ASPEN_ENOMEM && error != -ASPEN_EAGAIN)
        return error;
    aspen_mm_counters_read(mm, &counters);
    if (limit != ASPEN_UNLIMITED &&
        (counters.locked_pages * PAGE_BYTES > limit ||
         end - start > limit - counters.locked_pages * PAGE_BYTES))
        return error;
    for (uint64_t at = start; at < end; at = stop) {
        stop = part_end(mm, at, end);
        if (!stop)
            break;
        if (aspen_mlock(mm, at, stop - at, 0) &&
            aspen_mlock(mm, at, stop - at, ASPEN_MLOCK_ONFAULT))
            break;
    }
    return error;
}
