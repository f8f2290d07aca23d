/* SPDX-License-Identifier: MIT */
/*
 * aspen_aarch64.h - between the AArch64 port and the kernel around it, which
 * does what aspen_kernel.h says, and besides
 *
 *   - runs at EL1 in the half of TTBR1, with TPIDR_EL1 at the record of each
 * CPU (which begins with a struct aspen_kernel_cpu), ASPEN_AARCH64_MAIR in
 *     MAIR_EL1, 4 KiB granules of 48 bits in TCR_EL1, HA and HD where the
 *     processor has them, all shareability inner: start/start.S does so;
 *   - loads roots by aspen_aarch64_load(), from the hook mm_load;
 *   - has config.kernel_start 0: the kernel's half has a table of its own;
 *   - gives aspen_fault() the faults that aspen_aarch64_fault() names.
 *
 * All spaces have ASID 0, and every switch of roots drops what was cached.
 * Other CPUs hear of flushes by the instruction's broadcast: no interrupt is
 * needed for it.
 */
#ifndef ASPEN_AARCH64_H
#define ASPEN_AARCH64_H

#include "aspen_kernel.h"

/* What ASPEN_VM_CACHE_* name. */
#define ASPEN_AARCH64_MAIR 0x040044ffu

/*
 * The space whose top table is the frame `root`; 0: none, each access to the
 * lower half faults. When it returns nothing is cached of the one before.
 * Context: no task is taken off this CPU meanwhile.
 */
void aspen_aarch64_load(uint32_t root);

/* What a data or instruction abort is about, by ESR_EL1. */
enum aspen_aarch64_reason {
    ASPEN_AARCH64_NO_FAULT, /* of another kind: not aspen_fault()'s */
    ASPEN_AARCH64_ABSENT,   /* a translation fault */
    ASPEN_AARCH64_FLAG,     /* the access flag: no hardware sets it */
    ASPEN_AARCH64_DENIED,   /* a permission fault */
};

struct aspen_aarch64_abort {
    enum aspen_aarch64_reason reason;
    unsigned access; /* ASPEN_ACCESS_* of aspen/flags.h */
    unsigned level;  /* of the entry, as the core counts: 0 leads to a page */
    bool program;    /* EL0's, else the kernel's own */
};

/* Context: any. */
struct aspen_aarch64_abort aspen_aarch64_fault(uint64_t esr);

#endif
