/* SPDX-License-Identifier: MIT */
/**
 * aspen/calls/mmu.h - filling a second MMU: one that has translations of its
 * own of what a space maps. A hypervisor's tables for its guest, an IOMMU's,
 * the software TLB of an emulator. docs/use/mmu.md leads through it,
 * examples/emulator.c is one to copy from.
 *
 *     again:
 *         begun = aspen_mmu_begin(mm);
 *         if (aspen_mmu_translate(mm, address, &to) || !to.write) {
 *             error = aspen_fault(mm, address, ASPEN_ACCESS_WRITE);
 *             if (error)
 *                 return error;
 *             goto again;
 *         }
 *         lock(second);
 *         if (aspen_mmu_retry(mm, begun, page, page + 4096)) {
 *             unlock(second);
 *             aspen_mmu_wait(mm, page, page + 4096);
 *             goto again;
 *         }
 *         ... put `to` in ...
 *         unlock(second);
 *
 * lock() is that under which the hook invalidate_start (struct
 * aspen_notifier_ops of aspen/hooks.h) drops what is there: without the hook
 * there is nothing that these functions could go by.
 */
#ifndef ASPEN_MMU_H
#define ASPEN_MMU_H

#include <aspen/compiler.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aspen_mm;

/** Where an address leads, and what goes there without another fault. */
struct aspen_translation {
    uint64_t number;     /* of the page of 4 KiB: physical address / 4096 */
    uint64_t leaf_bytes; /* of what it is a part of: aligned to its size, in
                            addresses and numbers, and all of it alike */
    bool read;
    bool write; /* noted as written, too */
    bool exec;
    bool raw;       /* no frame of the machine: memory of a device */
    unsigned pkey;  /* its protection key; whose rights allow what, is for the
                       caller to see to */
    uint64_t cache; /* of raw memory, ASPEN_VM_CACHE_* (aspen/flags.h) */
};

/**
 * What the page tables say about an address, raw memory included, without
 * changing anything. Who goes there by the answer needs to note nothing: a page
 * that is not noted as accessed is answered as if it were not there, and one
 * that is not noted as written as if it could not be. aspen_fault() notes that.
 *
 * Owns:    nothing holds the page. It may be gone at once: see
 *          aspen_mmu_retry().
 * Context: any.
 * Returns: 0 and *to, or -ASPEN_EFAULT: nothing goes without a fault.
 */
ASPEN_MUST_USE int aspen_mmu_translate(struct aspen_mm *mm, uint64_t address,
                                       struct aspen_translation *to);

/** Before the tables are looked at: a number for aspen_mmu_retry().
 * Context: any. */
uint64_t aspen_mmu_begin(const struct aspen_mm *mm);

/**
 * After it, and under the lock of the second MMU that its hook invalidate_start
 * takes: may what was found in [start, end) not be put in, because it was taken
 * away since `begun`, or may be any moment? If false it is right until that
 * hook is called. If true, all is looked at once more. An invalidation of
 * something else seldom makes it true, and never for long.
 *
 * Context: any but a hook of the notifier; takes a spin lock of the core.
 */
ASPEN_MUST_USE bool aspen_mmu_retry(struct aspen_mm *mm, uint64_t begun,
                                    uint64_t start, uint64_t end);

/**
 * Sleep until no invalidation of [start, end) is under way. There may be one
 * again at once. Who does not call it and tries again and again, spins.
 *
 * Context: may sleep. No lock is held that a hook of the notifier takes or a
 *          call needs, the mmap lock above all.
 */
void aspen_mmu_wait(struct aspen_mm *mm, uint64_t start, uint64_t end);

#ifdef __cplusplus
}
#endif

#endif
