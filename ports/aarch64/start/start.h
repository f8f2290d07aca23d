/* SPDX-License-Identifier: MIT */
/*
 * start.h - the start of a kernel for AArch64, to be copied with the port: from
 * the loader to C (start.S), to programs and back (enter.S), and what of QEMU's
 * `virt` it takes to say something, to start CPUs and to end (virt.c).
 */
#ifndef ASPEN_AARCH64_START_H
#define ASPEN_AARCH64_START_H

#include <stdint.h>

/* Where physical address 0 is in the kernel's half; start.S and link.ld know.
 */
#define ASPEN_AARCH64_HALF 0xffff000000000000u

#ifndef __ASSEMBLER__

/* A program's registers, and why it is not running. enter.S knows the offsets.
 */
struct aspen_aarch64_frame {
    uint64_t x[31];
    uint64_t sp;
    uint64_t pc;
    uint64_t pstate; /* 0: EL0, 64 bits, interrupts on */
    uint64_t kind;   /* 0: an exception, by esr; 1: IRQ; 2: FIQ; 3: SError */
    uint64_t esr;
    uint64_t far;
};

/* ---- What the kernel gives ---------------------------------------------- */

/* Runs first, on the first CPU; `argument` is the loader's: a device tree for
 * who boots as Linux does. TPIDR_EL1 is the kernel's to set. */
_Noreturn void kernel_main(uint64_t argument);

/* An exception or interrupt in the kernel itself: `vector` 0 to 15. (Who has
 * interrupts there, or reaches into programs, has more to do than this.) */
_Noreturn void kernel_exception(uint64_t vector, uint64_t esr, uint64_t pc,
                                uint64_t far);

/* ---- What it calls ------------------------------------------------------ */

/*
 * Run the program until something happens. Interrupts are off when it returns.
 * Context: on the kernel's stack, which the program's exceptions come back to.
 */
void aspen_aarch64_enter(struct aspen_aarch64_frame *frame);

/* On QEMU's `virt`. */
void virt_write(char byte);
/* CPU `number` begins in run(argument) on the stack that ends at `stack`, MMU
 * on, interrupts off. 0, or an error of PSCI: there is no such CPU. */
int virt_cpu_start(unsigned number, void *stack, void (*run)(uint64_t argument),
                   uint64_t argument);
_Noreturn void virt_power_off(void);

#endif
#endif
