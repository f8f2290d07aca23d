/* SPDX-License-Identifier: MIT */
/*
 * icache.c - what was stored is what is fetched, on all CPUs (Arm ARM,
 * "Synchronization and coherency issues between data and instruction
 * accesses").
 */
#include "aspen_aarch64.h"
#include "processor.h"

#define each_line(name, memory, bytes, line)                                   \
    for (uint64_t at_ = (uint64_t)(memory) & ~((uint64_t)(line)-1);            \
         at_ < (uint64_t)(memory) + (bytes); at_ += (line))                    \
    __asm__ volatile(name ", %0" ::"r"(at_) : "memory")

void
aspen_port_icache_sync(const void *memory, size_t bytes)
{
    uint64_t type = read_register(ctr_el0);
    uint64_t data_line = (uint64_t)4 << (type >> 16 & 15);
    uint64_t code_line = (uint64_t)4 << (type & 15);

    if (!(type >> 28 & 1)) /* IDC: data need not be cleaned */
        each_line("dc cvau", memory, bytes, data_line);
    full_barrier();
    if (!(type >> 29 & 1)) {       /* DIC: code need not be dropped */
        if ((type >> 14 & 3) == 2) /* by virtual addresses: this one is ours */
            __asm__ volatile("ic ialluis" ::: "memory");
        else
            each_line("ic ivau", memory, bytes, code_line);
        full_barrier();
    }
    instruction_barrier();
}
