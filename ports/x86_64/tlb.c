/* SPDX-License-Identifier: MIT */
/*
 * tlb.c - translations go from the TLBs of other CPUs by an interrupt.
 *
 * One request is out at a time. Who waits for its turn answers the request
 * that is out, so two CPUs that flush each other's TLBs both come through,
 * whether interrupts are on there or not. Nobody holds a spin lock of the core
 * across a flush, so who spins for one, whose holder goes on, answers when he
 * has had it.
 */
#include "aspen_x86_64.h"
#include "processor.h"

#include <aspen/tlb.h>

/* More leaves than this, and all of the TLB goes. */
#define ONE_BY_ONE 32u

static struct {
    uint64_t asked;   /* CPUs that have not begun to answer */
    uint64_t pending; /* CPUs that have not answered */
    const struct aspen_tlb_flush *flush;
} request;

/* A CPU that has another root loaded has dropped everything of this one. INVLPG
 * drops all that is cached of upper levels, whatever its address. */
#ifndef ASPEN_X86_64_NO_FLUSH
static void
flush_here(const struct aspen_tlb_flush *flush)
{
    unsigned level = flush->levels ? (unsigned)__builtin_ctz(flush->levels) : 0;
    uint64_t stride = (uint64_t)4096 << 9 * level;
    uint64_t end = flush->levels ? flush->end : flush->start + 1;
    uint64_t cr3 = read_cr3();

    if (cr3 >> 12 != flush->root)
        return;
    if ((end - flush->start) / stride > ONE_BY_ONE) {
        write_cr3(cr3);
        return;
    }
    for (uint64_t address = flush->start; address < end; address += stride)
        invlpg(address);
}
#else
/* For a test of tests: without this, programs must see stale pages. */
static void
flush_here(const struct aspen_tlb_flush *flush)
{
    (void)flush;
}
#endif

void
aspen_x86_64_tlb_interrupt(void)
{
    uint64_t self = (uint64_t)1 << aspen_port_cpu();

    /* An interrupt may come while this CPU answers already. Only who takes the
     * bit does: if both did, the slower one would answer what is asked next. */
    if (!(__atomic_load_n(&request.asked, __ATOMIC_RELAXED) & self) ||
        !(__atomic_fetch_and(&request.asked, ~self, __ATOMIC_ACQUIRE) & self))
        return;
    flush_here(request.flush);
    __atomic_fetch_and(&request.pending, ~self, __ATOMIC_RELEASE);
}

#ifndef ASPEN_X86_64_NO_SHOOTDOWN
static struct aspen_port_spinlock turn;

static void
flush_others(uint64_t others, const struct aspen_tlb_flush *flush)
{
    while (!aspen_port_spin_trylock(&turn))
        aspen_x86_64_tlb_interrupt();
    request.flush = flush;
    __atomic_store_n(&request.pending, others, __ATOMIC_RELAXED);
    __atomic_store_n(&request.asked, others, __ATOMIC_SEQ_CST);
    aspen_kernel_kick(others);
    while (__atomic_load_n(&request.pending, __ATOMIC_ACQUIRE))
        spin_pause();
    aspen_port_spin_unlock(&turn);
}
#else
/* For a test of tests: without this, programs must see stale pages. */
static void
flush_others(uint64_t others, const struct aspen_tlb_flush *flush)
{
    (void)others, (void)flush;
}
#endif

void
aspen_port_tlb_flush(const struct aspen_tlb_flush *flush)
{
    uint64_t self;

    aspen_port_rcu_read_lock(); /* stay on this CPU */
    self = (uint64_t)1 << aspen_port_cpu();
    if (flush->cpus[0] & self)
        flush_here(flush);
    if (flush->cpus[0] & ~self)
        flush_others(flush->cpus[0] & ~self, flush);
    aspen_port_rcu_read_unlock();
}
