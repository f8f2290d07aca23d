/* SPDX-License-Identifier: MIT */
/*
 * tlb.c - translations go from the TLBs of all CPUs by an instruction that all
 * of them hear. When the barrier behind it is passed none of them uses what it
 * was to drop, nor has an access under way that does (Arm ARM, "TLB maintenance
 * instructions" and "Ordering and completion of TLB maintenance instructions").
 */
#include "aspen_aarch64.h"
#include "processor.h"

#include <aspen/flags.h>
#include <aspen/tlb.h>

/* More leaves than this, and all of the space goes. */
#define ONE_BY_ONE 64u

/* Bits 55-12 of an address, without an ASID: that is 0. */
#define PAGE_OF(address) ((address) >> 12 & (((uint64_t)1 << 44) - 1))

/* Where no space is loaded: TTBR0_EL1 leads here. */
static uint64_t nothing[512] __attribute__((aligned(4096)));

#ifndef ASPEN_AARCH64_NO_FLUSH
void
aspen_port_tlb_flush(const struct aspen_tlb_flush *flush)
{
    unsigned level = flush->levels ? (unsigned)__builtin_ctz(flush->levels) : 0;

    /* With an address goes what is cached of the tables above it: one in each
     * of the lowest tables is enough for them. */
    if (flush->tables && level > 1)
        level = 1;
    uint64_t stride = (uint64_t)4096 << 9 * level;
    uint64_t start = flush->start & ~(stride - 1);

    store_barrier();
    if ((flush->end - start) / stride > ONE_BY_ONE)
        tlb_instruction(aside1is, 0);
    else if (flush->tables)
        for (uint64_t at = start; at < flush->end; at += stride)
            tlb_instruction(vae1is, PAGE_OF(at));
    else
        for (uint64_t at = start; at < flush->end; at += stride)
            tlb_instruction(vale1is, PAGE_OF(at));
    full_barrier();
    instruction_barrier();
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
aspen_aarch64_load(uint32_t root)
{
    /* Direct map or image: the one address of the array that the processor
     * takes is the physical one. */
    uint64_t par;

    __asm__ volatile("at s1e1r, %1\n\t"
                     "isb\n\t"
                     "mrs %0, par_el1"
                     : "=r"(par)
                     : "r"(nothing)
                     : "memory");
    store_barrier();
    /* First to nothing: the tables of two spaces are never walked under one
     * ASID without a flush between them. */
    write_register(ttbr0_el1,
                   par & (((uint64_t)1 << 48) - 1) & ~(uint64_t)4095);
    instruction_barrier();
    tlb_instruction(aside1, 0);
    own_barrier();
    instruction_barrier();
    if (root) {
        write_register(ttbr0_el1, (uint64_t)root << 12);
        instruction_barrier();
    }
}

struct aspen_aarch64_abort
aspen_aarch64_fault(uint64_t esr)
{
    unsigned kind = (unsigned)(esr >> 26 & 0x3f); /* EC */
    unsigned status = (unsigned)esr & 0x3f;       /* IFSC, DFSC */
    bool fetch = kind == 0x20 || kind == 0x21;
    bool data = kind == 0x24 || kind == 0x25;
    /* WnR; maintenance of caches counts as a write, and is none. */
    bool write = data && esr & 1u << 6 && !(esr & 1u << 8);
    struct aspen_aarch64_abort abort = {
        .reason = ASPEN_AARCH64_NO_FAULT,
        .access = fetch   ? ASPEN_ACCESS_EXEC
                  : write ? ASPEN_ACCESS_WRITE
                          : ASPEN_ACCESS_READ,
        .level = 3 - (status & 3),
        .program = kind == 0x20 || kind == 0x24,
    };

    if (!fetch && !data)
        return abort;
    if (status >> 2 == 1)
        abort.reason = ASPEN_AARCH64_ABSENT;
    else if (status >> 2 == 2)
        abort.reason = ASPEN_AARCH64_FLAG;
    else if (status >> 2 == 3)
        abort.reason = ASPEN_AARCH64_DENIED;
    return abort;
}
