/* SPDX-License-Identifier: MIT */
/*
 * aspen_port.h of the x86-64 port: a kernel on the bare machine, whose page
 * tables the processor walks. ports/template/aspen_port.h has the contract of
 * each function; aspen_x86_64.h says what the kernel has to give, and when it
 * has to call. examples/kernel is such a kernel.
 *
 * What a kernel does in its own way (memory, sleeping, signals, panic) is
 * declared here and defined by it; what is the same in all of them is in this
 * folder (shoot-down of TLBs) and in ports/kernel (locks, RCU).
 */
#ifndef ASPEN_PORT_H
#define ASPEN_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- What we are ------------------------------------------------------- */

#define ASPEN_PORT_CPUS 8
#define ASPEN_PORT_PAGING_X86_64
#define ASPEN_PORT_MMU_WRITES_ENTRIES

/* ports/kernel: the kernel's own record of a CPU begins with what the port
 * keeps there (struct aspen_kernel_cpu), and in the kernel GS points to it. */
static inline unsigned
aspen_port_cpu(void)
{
    unsigned number;

    __asm__ volatile("movl %%gs:0, %0" : "=r"(number));
    return number;
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

/* One instruction each: the task may be taken off this CPU before and after. */
static inline void
aspen_kernel_spin_begins(void)
{
    __asm__ volatile("incl %%gs:4" ::: "memory", "cc");
}

static inline void
aspen_kernel_spin_ends(void)
{
    __asm__ volatile("decl %%gs:4" ::: "memory", "cc");
}

static inline void
aspen_kernel_read_begins(void)
{
    __asm__ volatile("incl %%gs:8" ::: "memory", "cc");
}

static inline void
aspen_kernel_read_ends(void)
{
    __asm__ volatile("decl %%gs:8" ::: "memory", "cc");
}

static inline void
aspen_kernel_pause(void)
{
    __asm__ volatile("pause");
}

#include "kernel_locks.h"

/* ---- Processor --------------------------------------------------------- */

struct aspen_tlb_flush; /* aspen/tlb.h */
extern void aspen_port_tlb_flush(const struct aspen_tlb_flush *flush);

static inline void
aspen_port_cache_flush(uint32_t root)
{
    (void)root; /* caches are tagged by physical addresses */
}

extern _Noreturn void aspen_port_panic(const char *message);

/* ---- Test builds ------------------------------------------------------- */

#ifdef ASPEN_TEST_BUILD
struct aspen_lock_order;
extern struct aspen_lock_order *aspen_port_lock_order(void);
#endif

#endif
