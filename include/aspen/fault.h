/* SPDX-License-Identifier: MIT */
/**
 * aspen/fault.h - page faults, and what the hardware would see.
 */
#ifndef ASPEN_FAULT_H
#define ASPEN_FAULT_H

#include <aspen/compiler.h>
#include <aspen/flags.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aspen_mm;

/**
 * Make an access possible: find or make the page and map it.
 *
 * Units:   `access` is ASPEN_ACCESS_READ, _WRITE or _EXEC; with _NOWAIT the
 *          fault does not wait for a pager (it may wait for locks).
 * Context: may sleep. Takes the VMA's lock or the mmap lock for reading.
 * Returns: 0: retry the access.
 *          -ASPEN_EFAULT  no mapping there, or a guard page (SIGSEGV, MAPERR)
 *          -ASPEN_EKEYREJECTED the thread's rights for the mapping's
 *                         protection key do not allow it (SIGSEGV, PKUERR)
 *          -ASPEN_EACCES  the mapping does not allow it (SIGSEGV, ACCERR)
 *          -ASPEN_EFBIG   beyond the end of the object, or raw memory with
 *                         nothing behind it (SIGBUS)
 *          -ASPEN_ENOMEM  no frame or page table
 *          -ASPEN_EINTR   a fatal signal is pending
 *          -ASPEN_EHWPOISON the page is poisoned (SIGBUS)
 *          -ASPEN_EAGAIN  NOWAIT, and a pager has to be asked
 *          -ASPEN_EINVAL  `access` is no such value, or a device's hook set an
 *                         unknown flag
 *          -ASPEN_EOPNOTSUPP swapped out, huge, or for userfault: not
 *                         supported yet; or frames without memory
 *                         (ASPEN_CONFIG_TABLES_ONLY)
 *          any error of the pager, unchanged (SIGBUS).
 *          On error the page is as it was (a stack that grew stays grown).
 */
ASPEN_MUST_USE int aspen_fault(struct aspen_mm *mm, uint64_t address,
                               unsigned access);

/** The same for a thread with these rights (aspen/calls/pkey.h); aspen_fault()
 * asks struct aspen_arch_ops for the calling thread's. */
ASPEN_MUST_USE int aspen_fault_with_rights(struct aspen_mm *mm,
                                           uint64_t address, unsigned access,
                                           uint32_t rights);

/**
 * What the page tables say about an access, without changing anything.
 *
 * Context: any; the answer may be stale at once.
 * Returns: 0 and *frame, or -ASPEN_EFAULT: the hardware would fault;
 *          -ASPEN_EOPNOTSUPP: raw memory, which is no frame of the machine.
 */
ASPEN_MUST_USE int aspen_translate(struct aspen_mm *mm, uint64_t address,
                                   unsigned access, uint32_t *frame);
ASPEN_MUST_USE int aspen_translate_with_rights(struct aspen_mm *mm,
                                               uint64_t address,
                                               unsigned access, uint32_t rights,
                                               uint32_t *frame);

#ifdef __cplusplus
}
#endif

#endif
