/* SPDX-License-Identifier: MIT */
/*
 * processor.h - the instructions of tlb.c and icache.c.
 */
#ifndef ASPEN_AARCH64_PROCESSOR_H
#define ASPEN_AARCH64_PROCESSOR_H

#include <stdint.h>

#define read_register(name)                                                    \
    ({                                                                         \
        uint64_t value_;                                                       \
        __asm__ volatile("mrs %0, " #name : "=r"(value_)::"memory");           \
        value_;                                                                \
    })
#define write_register(name, value)                                            \
    __asm__ volatile("msr " #name ", %0" ::"r"((uint64_t)(value)) : "memory")

/* Stores before it are seen by who walks tables, on all CPUs. */
#define store_barrier() __asm__ volatile("dsb ishst" ::: "memory")
/* What was begun has ended, on all CPUs. */
#define full_barrier() __asm__ volatile("dsb ish" ::: "memory")
/* The same for this one. */
#define own_barrier()         __asm__ volatile("dsb nsh" ::: "memory")
#define instruction_barrier() __asm__ volatile("isb" ::: "memory")

#define tlb_instruction(name, argument)                                        \
    __asm__ volatile("tlbi " #name ", %0" ::"r"((uint64_t)(argument))          \
                     : "memory")

#endif
