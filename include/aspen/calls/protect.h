/* SPDX-License-Identifier: MIT */
/**
 * aspen/calls/protect.h - what may be done with memory that is mapped.
 */
#ifndef ASPEN_PROTECT_H
#define ASPEN_PROTECT_H

#include <aspen/compiler.h>
#include <aspen/flags.h>
#include <aspen/calls/pkey.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aspen_mm;

/** Start where the mapping starts, which has to grow down; as in mprotect(2),
 * among vm_flags. (PROT_GROWSUP: nothing grows up here, -ASPEN_EINVAL.) */
#define ASPEN_PROT_GROWSDOWN ASPEN_FLAG(62)
#define ASPEN_PROT_GROWSUP   ASPEN_FLAG(63)

/** EXEC alone is not to be execute-only by a key (Linux: PROT_SEM with it). */
#define ASPEN_PROT_PLAIN_EXEC ASPEN_FLAG(61)

/**
 * Change the access of a range. Mappings split at its edges, and merge with
 * neighbours that they have become like.
 *
 * Units:   bytes; the length is rounded up to pages, and may be 0. `vm_flags`
 *          as of aspen_mmap(): what the mapping allows from then on, several
 *          at once, not one access (ASPEN_ACCESS_*): ASPEN_VM_READ, WRITE,
 *          EXEC, BTI, MTE; and ASPEN_PROT_*. `pkey`
 *          is a key that was given out, or ASPEN_PKEY_SAME: mappings keep
 *          their keys. With config.execute_only KEY one thing differs: memory
 *          that becomes EXEC alone gets the space's own key, and memory that
 *          had it and becomes something else goes back to key 0.
 * Context: may sleep. Takes the mmap lock for writing.
 * Returns: 0, or -ASPEN_EINVAL (address not page-aligned, an unknown flag or
 *          key, MTE for a file, GROWSDOWN for what does not grow down, an edge
 *          inside a page of a huge-page object or a special mapping),
 *          -ASPEN_ENOMEM (beyond the address space, a hole, charge refused, map
 *          count, no memory),
 *          -ASPEN_EACCES (an access without its MAY flag), -ASPEN_EPERM (a
 *          sealed mapping), -ASPEN_EOPNOTSUPP (an edge inside another huge
 *          page), -ASPEN_EINTR, or the error of an object's open hook.
 *          On error the address space is as it was.
 * Source:  mprotect(2), pkey_mprotect(2); Linux v6.18 do_mprotect_pkey().
 */
ASPEN_MUST_USE int aspen_mprotect(struct aspen_mm *mm, uint64_t address,
                                  uint64_t length_bytes, uint64_t vm_flags,
                                  int pkey);

#ifdef __cplusplus
}
#endif

#endif
