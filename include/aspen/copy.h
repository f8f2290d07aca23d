/* SPDX-License-Identifier: MIT */
/**
 * aspen/copy.h - reach into an address space: copy bytes, bring pages in, ask
 * which are there.
 */
#ifndef ASPEN_COPY_H
#define ASPEN_COPY_H

#include <aspen/compiler.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aspen_mm;

/**
 * For debuggers: what mprotect() could allow is allowed. Writes to a private
 * read-only mapping go to a copy, which stays read-only for the program; an
 * area that grows down does so.
 */
#define ASPEN_COPY_FORCE 1u
/** For a neighbour: protection keys do not bind. Without it the calling thread
 * reaches into its own space. (FORCE is a neighbour's, too.) */
#define ASPEN_COPY_REMOTE 2u

/**
 * Copy out of / into an address space, as process_vm_readv(2) and _writev(2)
 * do (with REMOTE) or the kernel for a program of its own: across mappings,
 * faulting pages in as an access would.
 *
 * What is copied into a space is there when the call returns, and nothing of it
 * anywhere else, whatever the program, its forks, other copies and pins do
 * meanwhile: unless the program wrote the same bytes, or the page went with the
 * mapping, the advice or the end of the object that it was in.
 *
 * Progressive: page by page. *done gets the bytes copied; after an error they
 * are those before the page it is about. (Where Linux says so, the answer is
 * *done unless that is 0.) `bytes` is plain memory.
 *
 * Context: may sleep. Takes the mmap lock for reading, and copies under it.
 * Returns: 0: all of it; -ASPEN_EINVAL (unknown flags), -ASPEN_EFAULT (nothing
 *          mapped there, not allowed, by its key either, raw memory, beyond the
 * end of an object), -ASPEN_EINTR, -ASPEN_ENOMEM, -ASPEN_EOPNOTSUPP (as
 *          aspen_fault(); config.tables_only), any error of a pager.
 *          With config.contents_ignored faults happen, aspen_copy_in() gives
 *          zeroes, and what aspen_copy_out() is given is forgotten.
 * Source:  process_vm_readv(2), ptrace(2).
 */
ASPEN_MUST_USE int aspen_copy_in(struct aspen_mm *mm, uint64_t address,
                                 void *bytes, uint64_t length_bytes,
                                 unsigned flags, uint64_t *done);
ASPEN_MUST_USE int aspen_copy_out(struct aspen_mm *mm, uint64_t address,
                                  const void *bytes, uint64_t length_bytes,
                                  unsigned flags, uint64_t *done);

/**
 * Fault in the pages of a range, as madvise(2) does for MADV_POPULATE_READ and
 * MADV_POPULATE_WRITE (`access`: ASPEN_ACCESS_READ or _WRITE); with `access`
 * 0 as mmap(2) for MAP_POPULATE: a write where the mapping is private and
 * writable, else a read, passing over what cannot be had.
 *
 * Progressive: page by page. *done, unless NULL, gets the bytes that were
 * dealt with.
 *
 * Units:   `address` is page aligned, the length is rounded up.
 * Context: may sleep. Takes the mmap lock for reading, again and again.
 * Returns: 0, -ASPEN_EINVAL (not aligned; beyond the address limit; another
 *          access; a mapping does not allow it, or is raw memory),
 *          -ASPEN_ENOMEM (a hole; no memory), -ASPEN_EFAULT (a fault failed),
 *          -ASPEN_EHWPOISON, -ASPEN_EINTR, -ASPEN_EOPNOTSUPP. With `access` 0
 *          only -ASPEN_EINVAL and -ASPEN_EINTR.
 */
ASPEN_MUST_USE int aspen_populate(struct aspen_mm *mm, uint64_t address,
                                  uint64_t length_bytes, unsigned access,
                                  uint64_t *done);

/**
 * Which pages could be read without waiting, as mincore(2): a byte for each
 * page, bit 0 set when it is mapped, or, where nothing is mapped, when the
 * object has it in its cache. Swapped-out pages are not resident.
 *
 * Units:   `address` is page aligned, the length is rounded up to pages.
 * Context: may sleep. Takes the mmap lock for reading, again and again.
 * Returns: 0, -ASPEN_EINVAL (not aligned), -ASPEN_ENOMEM (not all is mapped;
 *          the bytes of the pages before the hole are written).
 * Source:  mincore(2); Linux v6.12, for who may write to the objects.
 */
ASPEN_MUST_USE int aspen_mincore(struct aspen_mm *mm, uint64_t address,
                                 uint64_t length_bytes, uint8_t *vector);

#ifdef __cplusplus
}
#endif

#endif
