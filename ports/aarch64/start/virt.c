/* SPDX-License-Identifier: MIT */
/*
 * virt.c - QEMU's `virt` for AArch64: a PL011, and PSCI for CPUs and the end.
 */
#include "start.h"

#define UART       ((volatile uint32_t *)(ASPEN_AARCH64_HALF + 0x09000000u))
#define UART_DATA  0u
#define UART_FLAGS (0x18u / 4)
#define UART_FULL  (1u << 5)

#define PSCI_CPU_ON     0xc4000003u
#define PSCI_SYSTEM_OFF 0x84000008u

/* What a CPU that begins reads, with its own MMU on. */
struct begin {
    void *stack;
    void (*run)(uint64_t argument);
    uint64_t argument;
};

extern uint32_t boot_from_el2;
extern char cpu_start[];

/* Firmware answers SMC; where EL2 was ours to begin with nobody would answer
 * HVC. */
static uint64_t
psci(uint64_t function, uint64_t a, uint64_t b, uint64_t c)
{
    register uint64_t x0 __asm__("x0") = function;
    register uint64_t x1 __asm__("x1") = a;
    register uint64_t x2 __asm__("x2") = b;
    register uint64_t x3 __asm__("x3") = c;

    if (boot_from_el2)
        __asm__ volatile("smc #0"
                         : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)::"memory");
    else
        __asm__ volatile("hvc #0"
                         : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)::"memory");
    return x0;
}

void
virt_write(char byte)
{
    while (UART[UART_FLAGS] & UART_FULL)
        ;
    UART[UART_DATA] = (uint8_t)byte;
}

int
virt_cpu_start(unsigned number, void *stack, void (*run)(uint64_t argument),
               uint64_t argument)
{
    static struct begin begins[8];

    if (number >= sizeof(begins) / sizeof(*begins))
        return -2;
    begins[number] = (struct begin){stack, run, argument};
    __asm__ volatile("dsb ish" ::: "memory");
    return (int)psci(PSCI_CPU_ON, number, /* the lowest field of its MPIDR */
                     (uint64_t)(uintptr_t)cpu_start - ASPEN_AARCH64_HALF,
                     (uint64_t)(uintptr_t)&begins[number]);
}

_Noreturn void
virt_power_off(void)
{
    (void)psci(PSCI_SYSTEM_OFF, 0, 0, 0);
    for (;;)
        __asm__ volatile("wfi");
}
