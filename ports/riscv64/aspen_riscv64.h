/* SPDX-License-Identifier: MIT */
/*
 * aspen_riscv64.h - between the RISC-V port and the kernel around it, which
 * does what aspen_kernel.h says, and besides
 *
 *   - runs in S-mode above an SBI with the extensions HSM and RFENCE, in the
 *     upper half, with TP at the record of each CPU (which begins with a struct
 *     aspen_kernel_cpu): start/start.S does so;
 *   - says by aspen_riscv64_hart() which hart a CPU is, before it is online;
 *   - has config.kernel_start ASPEN_RISCV64_HALF, and copies the entries from
 *     there on into each top table in the hook mm_init;
 *   - loads roots by aspen_riscv64_load(), from the hook mm_load;
 *   - calls aspen_riscv64_faulted() before it goes back from a page fault;
 *   - has ASPEN_CONFIG_CACHE_MODES_ABSENT in config.flags without Svpbmt.
 *
 * All spaces have ASID 0, and every switch of roots drops what was cached.
 * Other CPUs are flushed by the SBI: no interrupt of S-mode is needed for it.
 */
#ifndef ASPEN_RISCV64_H
#define ASPEN_RISCV64_H

#include "aspen_kernel.h"

/* satp.MODE, and where the upper half begins. */
#ifdef ASPEN_PORT_PAGING_RISCV_SV48
#define ASPEN_RISCV64_MODE 9u
#define ASPEN_RISCV64_HALF 0xffff800000000000u
#else
#define ASPEN_RISCV64_MODE 8u
#define ASPEN_RISCV64_HALF 0xffffffc000000000u
#endif

/* CPU `cpu` is this hart. Context: before another CPU flushes it. */
void aspen_riscv64_hart(unsigned cpu, unsigned hart);

/*
 * The space, or the kernel's own, whose top table is the frame `root`. When it
 * returns nothing is cached of the one before.
 * Context: no task is taken off this CPU meanwhile.
 */
void aspen_riscv64_load(uint64_t root);

/* aspen_fault() has made an access possible at the address: a hart may have
 * kept that it was not. Context: any. */
static inline void
aspen_riscv64_faulted(uint64_t address)
{
    __asm__ volatile("sfence.vma %0, zero" ::"r"(address) : "memory");
}

#endif
