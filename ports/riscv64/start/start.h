/* SPDX-License-Identifier: MIT */
/*
 * start.h - the start of a kernel for RISC-V, to be copied with the port: from
 * the SBI to C (start.S), to programs and back (enter.S), and what of QEMU's
 * `virt` it takes to say something, to start harts and to end (virt.c).
 */
#ifndef ASPEN_RISCV64_START_H
#define ASPEN_RISCV64_START_H

#include <stdint.h>

/* A program's registers, and why it is not running. enter.S knows the offsets.
 */
struct aspen_riscv64_frame {
    uint64_t x[32]; /* x[0] is nothing */
    uint64_t pc;
    uint64_t status; /* sstatus: SPP clear is U-mode */
    uint64_t cause;  /* scause: bit 63 is an interrupt's */
    uint64_t value;  /* stval: the address of a fault */
    uint64_t kernel_sp;
};

/* The status of a program that begins: U-mode, interrupts on. */
static inline uint64_t
aspen_riscv64_program_status(void)
{
    uint64_t status;

    __asm__ volatile("csrr %0, sstatus" : "=r"(status));
    return (status & ~(uint64_t)0x100) | 0x20; /* SPP; SPIE */
}

/* ---- What the kernel gives ---------------------------------------------- */

/* Runs first, on one hart; `argument` is the loader's: the device tree. TP is
 * the kernel's to set. */
_Noreturn void kernel_main(uint64_t hart, uint64_t argument);

/* An exception or interrupt in the kernel itself. (Who has interrupts there, or
 * reaches into programs, has more to do than this.) */
_Noreturn void kernel_exception(uint64_t cause, uint64_t pc, uint64_t value);

/* ---- What it calls ------------------------------------------------------ */

/* The kernel's own top table: all that it maps is in the upper half. */
extern uint64_t kernel_root[512];

/*
 * Run the program until something happens. Interrupts are off when it returns.
 * Context: on the kernel's stack, which the program's traps come back to.
 */
void aspen_riscv64_enter(struct aspen_riscv64_frame *frame);

/* On QEMU's `virt`. */
void virt_write(char byte);
/* Hart `hart` begins in run(argument) on the stack that ends at `stack`, MMU
 * on, interrupts off. 0, or an error of the SBI: there is no such hart. */
int virt_cpu_start(unsigned hart, void *stack, void (*run)(uint64_t argument),
                   uint64_t argument);
_Noreturn void virt_power_off(void);

#endif
