/* SPDX-License-Identifier: MIT */
/*
 * virt.c - QEMU's `virt` for RISC-V: a 16550, and the SBI for harts and the
 * end.
 */
#include "start.h"

#include "aspen_riscv64.h"
#include "sbi.h"

#define UART        ((volatile uint8_t *)(ASPEN_RISCV64_HALF + 0x10000000u))
#define UART_DATA   0u
#define UART_STATUS 5u
#define UART_EMPTY  (1u << 5)

/* What a hart that begins reads, with its own MMU on. */
struct begin {
    void *stack;
    void (*run)(uint64_t argument);
    uint64_t argument;
};

extern char cpu_start[];

void
virt_write(char byte)
{
    while (!(UART[UART_STATUS] & UART_EMPTY))
        ;
    UART[UART_DATA] = (uint8_t)byte;
}

int
virt_cpu_start(unsigned hart, void *stack, void (*run)(uint64_t argument),
               uint64_t argument)
{
    static struct begin begins[8];

    if (hart >= sizeof(begins) / sizeof(*begins))
        return -3;
    begins[hart] = (struct begin){stack, run, argument};
    __asm__ volatile("fence rw, rw" ::: "memory");
    return (int)sbi_call(SBI_HSM, SBI_HSM_START, hart,
                         (uint64_t)(uintptr_t)cpu_start - ASPEN_RISCV64_HALF,
                         (uint64_t)(uintptr_t)&begins[hart], 0);
}

_Noreturn void
virt_power_off(void)
{
    (void)sbi_call(SBI_RESET, 0, 0, 0, 0, 0);
    for (;;)
        __asm__ volatile("wfi");
}
