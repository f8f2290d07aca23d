/* SPDX-License-Identifier: MIT */
/**
 * aspen/tlb.h - what a port is asked to drop from TLBs: the argument of
 * aspen_port_tlb_flush(). For ports: who calls Aspen has no use for it, and it
 * is not part of aspen.h. docs/use/porting.md, "TLB flushes", has the rules.
 */
#ifndef ASPEN_TLB_H
#define ASPEN_TLB_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aspen_mm;

/**
 * Translations of one space that have to go. What they led to may be freed, or
 * be written through other ones, as soon as the port has returned.
 */
struct aspen_tlb_flush {
    struct aspen_mm *mm;  /* alive; for aspen_mm_id() and the like */
    const uint64_t *cpus; /* a bit for each of ASPEN_PORT_CPUS; never none */
    uint32_t root;        /* the frame of its top page table */
    /* Bit n: leaves of level n may have changed in the range; 0: 4 KiB each, 1:
     * 2 MiB, 2: 1 GiB. The lowest bit is the stride of the range; if it is the
     * only one, a processor can be told. 0: no leaf has. */
    uint32_t levels;
    /* Entries that led to tables have changed as well: drop what is cached of
     * upper levels, too. */
    bool tables;
    uint64_t start; /* [start, end), not empty */
    uint64_t end;
    uint64_t generation; /* the space's: aspen_mm_tlb_generation() */
};

#ifdef __cplusplus
}
#endif

#endif
