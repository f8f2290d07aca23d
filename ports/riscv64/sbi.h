/* SPDX-License-Identifier: MIT */
/*
 * sbi.h - calls of the firmware below the kernel (RISC-V SBI 1.0).
 */
#ifndef ASPEN_RISCV64_SBI_H
#define ASPEN_RISCV64_SBI_H

#include <stdint.h>

#define SBI_RFENCE     0x52464e43u
#define SBI_RFENCE_I   0u
#define SBI_RFENCE_VMA 1u
#define SBI_HSM        0x48534du
#define SBI_HSM_START  0u
#define SBI_RESET      0x53525354u

/* Its error, 0 or negative. */
static inline long
sbi_call(unsigned long extension, unsigned long function, uint64_t a,
         uint64_t b, uint64_t c, uint64_t d)
{
    register uint64_t a0 __asm__("a0") = a;
    register uint64_t a1 __asm__("a1") = b;
    register uint64_t a2 __asm__("a2") = c;
    register uint64_t a3 __asm__("a3") = d;
    register uint64_t a6 __asm__("a6") = function;
    register uint64_t a7 __asm__("a7") = extension;

    __asm__ volatile("ecall"
                     : "+r"(a0), "+r"(a1)
                     : "r"(a2), "r"(a3), "r"(a6), "r"(a7)
                     : "memory");
    return (long)a0;
}

#endif
