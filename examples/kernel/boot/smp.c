/* SPDX-License-Identifier: MIT */
/*
 * smp.c - the other CPUs, one after the other.
 */
#include "boot/boot.h"

#include "dev/apic.h"
#include "mm/memory.h"
#include "mm/space.h"
#include "sched/thread.h"

#define TRAMPOLINE 0x8000u

extern char ap_trampoline[], ap_trampoline_end[];
/* Where enter_long_mode goes on (entry.S). */
extern uint64_t boot_stack, boot_argument;
extern void (*boot_target)(uint64_t argument);

static void
ap_main(uint64_t number)
{
    cpu_init((unsigned)number);
    sched_adopt((void *)(uintptr_t)(boot_stack - STACK_BYTES));
    apic_cpu_init();
    __atomic_fetch_add(&cpus_online, 1, __ATOMIC_SEQ_CST);
    interrupts_on();
    sched_idle();
}

static bool
start_cpu(unsigned number)
{
    char *stack = memory_alloc(STACK_BYTES);
    uint64_t until = time_now() + SECOND;

    if (!stack)
        return false;
    boot_stack = (uint64_t)(uintptr_t)stack + STACK_BYTES;
    boot_argument = number;
    boot_target = ap_main;
    apic_start_cpu(cpus[number].apic_id, TRAMPOLINE);
    while (__atomic_load_n(&cpus_online, __ATOMIC_SEQ_CST) == number)
        if (time_now() > until)
            return false;
    return true;
}

void
start_cpus(void)
{
    memcpy(direct_pointer(TRAMPOLINE), ap_trampoline,
           (size_t)(ap_trampoline_end - ap_trampoline));
    for (unsigned i = 1; i < apic_cpus; i++)
        if (!start_cpu(i))
            panic("CPU %u does not start", i);
    /* Nobody needs the low half any more: a null pointer is one again. */
    kernel_root[0] = 0;
    write_cr3(physical_address(kernel_root));
}
