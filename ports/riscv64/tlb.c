/* SPDX-License-Identifier: MIT */
/*
 * tlb.c - translations go from the TLB of this hart by SFENCE.VMA, from those
 * of others by the SBI, which interrupts them in M-mode; and so for instruction
 * caches. When it returns they have done it.
 */
#include "aspen_riscv64.h"
#include "sbi.h"

#include <aspen/tlb.h>

/* More leaves than this, and all of the TLB goes. */
#define ONE_BY_ONE 64u

static uint16_t harts[ASPEN_PORT_CPUS];

void
aspen_riscv64_hart(unsigned cpu, unsigned hart)
{
    harts[cpu] = (uint16_t)hart;
}

/* The others of a mask of CPUs, as the SBI has it: bits above hart `base`. */
static void
ask_others(uint64_t cpus, unsigned function, uint64_t start, uint64_t bytes)
{
    for (unsigned cpu = 0; cpu < ASPEN_PORT_CPUS; cpu++)
        if (cpus >> cpu & 1 &&
            sbi_call(SBI_RFENCE, function, 1, harts[cpu], start, bytes))
            aspen_port_panic("the SBI does not flush another hart");
}

#ifndef ASPEN_RISCV64_NO_FLUSH
void
aspen_port_tlb_flush(const struct aspen_tlb_flush *flush)
{
    uint64_t self = (uint64_t)1 << aspen_port_cpu();
    unsigned level = flush->levels ? (unsigned)__builtin_ctz(flush->levels) : 0;
    uint64_t stride = (uint64_t)4096 << 9 * level;
    uint64_t start = flush->start & ~(stride - 1);
    uint64_t bytes = flush->end - start;

    /* With an address SFENCE.VMA is about leaves alone. */
    bool all = flush->tables || bytes / stride > ONE_BY_ONE;

    if (flush->cpus[0] & self && all)
        __asm__ volatile("sfence.vma" ::: "memory");
    else if (flush->cpus[0] & self)
        for (uint64_t at = start; at < flush->end; at += stride)
            __asm__ volatile("sfence.vma %0, zero" ::"r"(at) : "memory");
    /* What was stored is before the call: the other hart looks after it. */
    __asm__ volatile("fence rw, rw" ::: "memory");
    ask_others(flush->cpus[0] & ~self, SBI_RFENCE_VMA, all ? 0 : start,
               all ? UINT64_MAX : bytes);
}
#else
/* For a test of tests: without this, programs must see stale pages. */
void
aspen_port_tlb_flush(const struct aspen_tlb_flush *flush)
{
    (void)flush;
}
#endif

void
aspen_riscv64_load(uint64_t root)
{
    __asm__ volatile(
        "csrw satp, %0\n\t"
        "sfence.vma" ::"r"((uint64_t)ASPEN_RISCV64_MODE << 60 | root)
        : "memory");
}

void
aspen_port_icache_sync(const void *memory, size_t bytes)
{
    uint64_t self = (uint64_t)1 << aspen_port_cpu();

    (void)memory, (void)bytes;
    __asm__ volatile("fence rw, rw\n\t"
                     "fence.i" ::
                         : "memory");
    ask_others(aspen_kernel_cpus() & ~self, SBI_RFENCE_I, 0, 0);
}
