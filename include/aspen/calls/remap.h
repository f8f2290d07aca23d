/* SPDX-License-Identifier: MIT */
/**
 * aspen/calls/remap.h - mappings that change their size or their place.
 */
#ifndef ASPEN_REMAP_H
#define ASPEN_REMAP_H

#include <aspen/compiler.h>
#include <aspen/calls/mmap.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aspen_mm;

#define ASPEN_MREMAP_MAYMOVE   1u
#define ASPEN_MREMAP_FIXED     2u
#define ASPEN_MREMAP_DONTUNMAP 4u

struct aspen_mremap_args {
    uint64_t address;     /* of the mapping; page aligned */
    uint64_t old_bytes;   /* 0: a second mapping of the same shared pages */
    uint64_t new_bytes;   /* not 0 */
    unsigned flags;       /* ASPEN_MREMAP_*, ORed */
    uint64_t new_address; /* with FIXED the place, with DONTUNMAP alone a hint;
                             page aligned with either */
};

/**
 * Give the mapping at `args->address` another size, or another place, pages
 * included.
 *
 * Units:   bytes; sizes are rounded up to pages.
 * Context: may sleep. Takes the mmap lock for writing; no lock while pages are
 *          faulted in, when what has grown is locked.
 * Returns: 0 and *address, or
 *          -ASPEN_EINVAL     not aligned, new size 0, flags that do not fit,
 *                            ranges that overlap, old size 0 of a private
 *                            mapping, page offsets that would reach beyond 2^52
 *          -ASPEN_EFAULT     nothing is mapped at `address`, or not to the end,
 *                            or it may not grow
 *          -ASPEN_EPERM      sealed
 *          -ASPEN_EAGAIN     what is locked would be beyond the limit
 *          -ASPEN_ENOMEM     no place, a limit, map count, charge, no memory
 *          -ASPEN_EOPNOTSUPP a huge page is cut, or not aligned any more
 *          -ASPEN_EINTR, an open hook's or a special mapping's error.
 *          On error the address space is as it was, also when several
 *          mappings move at once.
 * Source:  mremap(2); Linux v6.18.
 */
ASPEN_MUST_USE int aspen_mremap(struct aspen_mm *mm,
                                const struct aspen_mremap_args *args,
                                uint64_t *address);

/**
 * Put other pages of the object behind a range of its shared mapping: a fixed
 * mmap of the same object with the same access. Advice for the range is lost.
 *
 * Units:   bytes; address and length are rounded down to pages, `offset_bytes`
 *          into the object is page aligned. `flags`: 0, or ASPEN_MAP_NONBLOCK:
 *          nothing is faulted in (unless it is locked).
 * Context: may sleep. Takes the mmap lock for writing; no lock while pages are
 *          faulted in.
 * Returns: 0, or -ASPEN_EINVAL (empty, the range wraps; offset not aligned;
 *          another flag; not all of it shared mappings, with MAYWRITE, of one
 *          object that are alike; an object of huge pages), -ASPEN_EINTR, or
 *          what aspen_mmap() answers. On error the address space is as it was.
 * Source:  remap_file_pages(2); Linux v6.12.
 */
ASPEN_MUST_USE int aspen_remap_file_pages(struct aspen_mm *mm, uint64_t address,
                                          uint64_t length_bytes,
                                          uint64_t offset_bytes,
                                          unsigned flags);

#ifdef __cplusplus
}
#endif

#endif
