/* SPDX-License-Identifier: MIT */
/**
 * aspen/calls/memory.h - bytes out of and into an address space, for somebody
 * else than the program itself.
 */
#ifndef ASPEN_MEMORY_H
#define ASPEN_MEMORY_H

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
#define ASPEN_MEMORY_FORCE 1u
/** For a neighbour: protection keys do not bind. Without it the calling thread
 * reaches into its own space. (FORCE is a neighbour's, too.) */
#define ASPEN_MEMORY_REMOTE 2u

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
 * *done unless that is 0.) `buffer` is plain memory.
 *
 * Context: may sleep. Takes the mmap lock for reading, and copies under it.
 * Returns: 0: all of it; -ASPEN_EINVAL (unknown flags), -ASPEN_EFAULT (nothing
 *          mapped there, not allowed, by its key either, raw memory, beyond the
 *          end of an object), -ASPEN_EINTR, -ASPEN_ENOMEM, -ASPEN_EOPNOTSUPP
 *          (as aspen_fault(); ASPEN_CONFIG_TABLES_ONLY), any error of a pager.
 *          With ASPEN_CONFIG_CONTENTS_IGNORED faults happen, but
 *          aspen_read_memory() gives zeroes, and what aspen_write_memory() is
 *          given is forgotten.
 * Source:  process_vm_readv(2), ptrace(2).
 */
ASPEN_MUST_USE int aspen_read_memory(struct aspen_mm *mm, uint64_t address,
                                     void *buffer, uint64_t length_bytes,
                                     unsigned flags, uint64_t *done);
ASPEN_MUST_USE int aspen_write_memory(struct aspen_mm *mm, uint64_t address,
                                      const void *buffer, uint64_t length_bytes,
                                      unsigned flags, uint64_t *done);

#ifdef __cplusplus
}
#endif

#endif
