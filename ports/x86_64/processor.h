/* SPDX-License-Identifier: MIT */
/*
 * processor.h - the instructions of tlb.c. A test that has no TLB of its own to
 * flush brings others, and defines ASPEN_X86_64_PROCESSOR_H.
 */
#ifndef ASPEN_X86_64_PROCESSOR_H
#define ASPEN_X86_64_PROCESSOR_H

#include <stdint.h>

static inline uint64_t
read_cr3(void)
{
    uint64_t value;

    __asm__ volatile("movq %%cr3, %0" : "=r"(value)::"memory");
    return value;
}

static inline void
write_cr3(uint64_t value)
{
    __asm__ volatile("movq %0, %%cr3" ::"r"(value) : "memory");
}

static inline void
invlpg(uint64_t address)
{
    __asm__ volatile("invlpg (%0)" ::"r"(address) : "memory");
}

static inline void
spin_pause(void)
{
    __asm__ volatile("pause");
}

#endif
