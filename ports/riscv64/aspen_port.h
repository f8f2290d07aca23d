/* SPDX-License-Identifier: MIT */
/*
 * aspen_port.h of the RISC-V port (64 bits): a kernel in S-mode on the bare
 * machine, whose page tables the processor walks. ports/template/aspen_port.h
 * has the contract of each function; aspen_riscv64.h says what the kernel has
 * to give, and when it has to call. tests/bare runs on it.
 *
 * What a kernel does in its own way (memory, sleeping, signals, panic) is
 * declared here and defined by it; what is the same in all of them is in this
 * folder (TLBs, instruction caches, start/) and in ports/kernel (locks, RCU).
 */
#ifndef ASPEN_PORT_H
#define ASPEN_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- What we are ------------------------------------------------------- */

#define ASPEN_PORT_CPUS 8
/* Sv39 unless the build says otherwise. */
#ifndef ASPEN_PORT_PAGING_RISCV_SV48
#define ASPEN_PORT_PAGING_RISCV_SV39
#endif
/* With Svadu; without it this costs nothing but a few instructions. */
#define ASPEN_PORT_MMU_WRITES_ENTRIES

/* ports/kernel: the kernel's own record of a CPU begins with what the port
 * keeps there (struct aspen_kernel_cpu), and TP points to it. */
static inline unsigned
aspen_port_cpu(void)
{
    const uint32_t *number;

    __asm__ volatile("mv %0, tp" : "=r"(number));
    return *number;
}

/* ---- Memory ------------------------------------------------------------ */

extern void *aspen_port_memory_alloc(size_t bytes);
extern void aspen_port_memory_free(void *memory, size_t bytes);

static inline void *
aspen_port_frame_pointer(void *direct_map, uint32_t frame)
{
    return (char *)direct_map + ((size_t)frame << 12);
}

/* ---- Locks, waiting, RCU ------------------------------------------------ */

/*
 * No task is taken off its CPU while it runs in the kernel, but where it
 * sleeps. A kernel whose interrupts do that counts here, in its task: the
 * record of a CPU may be another one's by the time that it is written to.
 */
static inline void
aspen_kernel_spin_begins(void)
{
}

static inline void
aspen_kernel_spin_ends(void)
{
}

static inline void
aspen_kernel_read_begins(void)
{
    __asm__ volatile("" ::: "memory");
}

static inline void
aspen_kernel_read_ends(void)
{
    __asm__ volatile("" ::: "memory");
}

static inline void
aspen_kernel_pause(void)
{
    /* PAUSE of Zihintpause: a FENCE that does nothing for who has it not. */
    __asm__ volatile(".insn i 0x0f, 0, x0, x0, 0x010" ::: "memory");
}

#include "kernel_locks.h"

/* ---- Processor --------------------------------------------------------- */

struct aspen_tlb_flush; /* aspen/tlb.h */
extern void aspen_port_tlb_flush(const struct aspen_tlb_flush *flush);

static inline void
aspen_port_cache_flush(uint32_t root)
{
    (void)root; /* data caches are tagged by physical addresses */
}

#define ASPEN_PORT_ICACHE_SYNC
extern void aspen_port_icache_sync(const void *memory, size_t bytes);

extern _Noreturn void aspen_port_panic(const char *message);

/* ---- Test builds ------------------------------------------------------- */

#ifdef ASPEN_TEST_BUILD
struct aspen_lock_order;
extern struct aspen_lock_order *aspen_port_lock_order(void);
#endif

#endif
