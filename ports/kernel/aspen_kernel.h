/* SPDX-License-Identifier: MIT */
/*
 * aspen_kernel.h - between what the ports for kernels share (locks, RCU) and
 * the kernel around them. The port of the processor has a header of its own for
 * the rest: aspen_x86_64.h, aspen_aarch64.h, aspen_riscv64.h.
 *
 * Besides what aspen_port.h leaves to it, the kernel
 *
 *   - keeps a struct aspen_kernel_cpu for each CPU, where its port finds it,
 * and says aspen_kernel_cpu_online() before that CPU may meet the core;
 *   - takes no task off its CPU between the marks of kernel_locks.h;
 *   - calls aspen_kernel_quiescent() with each change of tasks, and in each
 *     interrupt that came from a user program;
 *   - brackets its idle loop by aspen_kernel_idle(), and programs that run
 *     without an interrupt's coming now and then;
 *   - has a task that calls aspen_kernel_rcu_work() again and again.
 */
#ifndef ASPEN_KERNEL_H
#define ASPEN_KERNEL_H

#include <aspen_port.h>

/* ---- What the kernel gives --------------------------------------------- */

/*
 * Send an interrupt to each CPU of the mask, which does not have this one in
 * it. (Where all that run programs are bracketed by aspen_kernel_idle(), and no
 * TLB is flushed by it, there is nothing to do.)
 * Context: any; spin locks may be held.
 */
extern void aspen_kernel_kick(uint64_t cpus);

/* Let others run. Context: may sleep. */
extern void aspen_kernel_yield(void);

/* ---- What it calls ----------------------------------------------------- */

void aspen_kernel_cpu_online(struct aspen_kernel_cpu *cpu);
/* A bit for each that is. Context: any. */
uint64_t aspen_kernel_cpus(void);

static inline void
aspen_kernel_quiescent(struct aspen_kernel_cpu *cpu)
{
    __atomic_fetch_add(&cpu->quiescent, 1, __ATOMIC_SEQ_CST);
}

static inline void
aspen_kernel_idle(struct aspen_kernel_cpu *cpu, bool idle)
{
    __atomic_exchange_n(&cpu->idle, idle, __ATOMIC_SEQ_CST);
}

/*
 * Sleep until callbacks are queued, wait for a grace period, run them.
 * Context: may sleep.
 */
void aspen_kernel_rcu_work(void);

#endif
