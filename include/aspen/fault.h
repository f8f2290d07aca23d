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
 * Returns: 0: retry the access. Else an error, and the page is as it was (a
 *          stack that grew stays grown). What Linux tells the program then:
 *
 *   -ASPEN_EFAULT       SIGSEGV SEGV_MAPERR  no mapping, or a guard page
 *   -ASPEN_EACCES       SIGSEGV SEGV_ACCERR  the mapping does not allow it
 *   -ASPEN_EKEYREJECTED SIGSEGV SEGV_PKUERR  the thread's rights for the
 *                                mapping's protection key do not allow it
 *   -ASPEN_EFBIG        SIGBUS BUS_ADRERR    beyond the end of the object, or
 *                                raw memory with nothing behind it
 *   -ASPEN_EHWPOISON    SIGBUS BUS_MCEERR_AR the page is poisoned
 *   -ASPEN_ENOMEM       SIGKILL              no frame, page table or metadata:
 *                                whoever has an OOM killer lets it choose, and
 *                                tries again
 *   -ASPEN_ESRCH        SIGKILL              the space was killed for want of
 *                                memory (aspen/calls/oom.h), and what was here
 *                                is gone
 *   -ASPEN_EINTR        nothing              a fatal signal is pending: the
 *                                thread dies on its way back
 *   -ASPEN_EAGAIN       nothing              NOWAIT, and a pager or a swap
 *                                device has to be asked: without NOWAIT it
 *                                waits
 *   -ASPEN_EINVAL       SIGBUS BUS_ADRERR    `access` is no such value, or a
 *                                device's hook set an unknown flag: a bug
 *   -ASPEN_EOPNOTSUPP   SIGBUS BUS_ADRERR    in a swap area without a device,
 *                                huge, for a userfault context of the
 *                                embedder's own, or a write to a private
 *                                raw frame: not supported yet; or frames
 *                                without memory
 *                                (ASPEN_CONFIG_TABLES_ONLY)
 *   any other           SIGBUS BUS_ADRERR    the pager's or the swap device's
 *                                error, unchanged: each fault asks again
 *
 *          Where the kernel itself made the access, for a call of the program,
 *          the call answers EFAULT (examples/kernel/mm/fault.c is all of this).
 */
ASPEN_MUST_USE int aspen_fault(struct aspen_mm *mm, uint64_t address,
                               unsigned access);

/** The same for a thread with these rights (aspen/calls/pkey.h); aspen_fault()
 * asks struct aspen_arch_ops for the calling thread's. */
ASPEN_MUST_USE int aspen_fault_with_rights(struct aspen_mm *mm,
                                           uint64_t address, unsigned access,
                                           uint32_t rights);

/**
 * What the page tables say about an access, without changing anything. Of raw
 * memory, and for who keeps the answer, aspen_mmu_translate()
 * (aspen/calls/mmu.h) says more.
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
