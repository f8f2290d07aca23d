/* SPDX-License-Identifier: MIT */
/*
 * aspen_x86_64.h - between the x86-64 port and the kernel around it.
 *
 * Besides what aspen_port.h leaves to it, the kernel
 *
 *   - keeps a struct aspen_x86_64_cpu for each CPU, GS at it, and says
 *     aspen_x86_64_cpu_online() before that CPU may meet the core;
 *   - never takes a task off its CPU while `spinning` or `readers` is not 0;
 *   - calls aspen_x86_64_quiescent() with each change of tasks, and in each
 *     interrupt that came from a user program;
 *   - brackets its idle loop by aspen_x86_64_idle();
 *   - calls aspen_x86_64_tlb_interrupt() in the handler of the interrupt that
 *     it sends by aspen_x86_64_kick(), and may call it wherever it spins with
 *     interrupts off;
 *   - has a task that calls aspen_x86_64_rcu_work() again and again;
 *   - loads ASPEN_X86_64_PAT on each CPU before it maps raw frames that are not
 *     write-back.
 */
#ifndef ASPEN_X86_64_H
#define ASPEN_X86_64_H

#include <aspen_port.h>

/* ---- What the kernel gives --------------------------------------------- */

/*
 * Send an interrupt to each CPU of the mask, which does not have this one in
 * it. Context: any; spin locks may be held.
 */
extern void aspen_x86_64_kick(uint64_t cpus);

/* Let others run. Context: may sleep. */
extern void aspen_x86_64_yield(void);

/* ---- What it calls ----------------------------------------------------- */

void aspen_x86_64_cpu_online(struct aspen_x86_64_cpu *cpu);

/* What ASPEN_VM_CACHE_* name: MSR 0x277, as Linux loads it. */
#define ASPEN_X86_64_PAT 0x0407050600070106u

static inline void
aspen_x86_64_quiescent(struct aspen_x86_64_cpu *cpu)
{
    __atomic_fetch_add(&cpu->quiescent, 1, __ATOMIC_SEQ_CST);
}

static inline void
aspen_x86_64_idle(struct aspen_x86_64_cpu *cpu, bool idle)
{
    __atomic_exchange_n(&cpu->idle, idle, __ATOMIC_SEQ_CST);
}

/* Answer a request to flush, if there is one for this CPU. Context: any. */
void aspen_x86_64_tlb_interrupt(void);

/*
 * Sleep until callbacks are queued, wait for a grace period, run them.
 * Context: may sleep.
 */
void aspen_x86_64_rcu_work(void);

#endif
