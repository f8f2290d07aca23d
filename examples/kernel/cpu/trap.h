/* SPDX-License-Identifier: MIT */
/*
 * trap.h - a program's registers while the kernel runs, and interrupts.
 */
#ifndef KERNEL_CPU_TRAP_H
#define KERNEL_CPU_TRAP_H

#include <stdbool.h>
#include <stdint.h>

/* As cpu/enter.S pushes it, at the top of the thread's kernel stack. */
struct frame {
    uint64_t r15, r14, r13, r12, rbp, rbx;
    uint64_t r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
    uint64_t vector;
    uint64_t error; /* of a system call: its number */
    uint64_t rip, cs, rflags, rsp, ss;
};

enum vector {
    VECTOR_DEBUG = 1,
    VECTOR_BREAKPOINT = 3,
    VECTOR_DOUBLE_FAULT = 8,
    VECTOR_PAGE_FAULT = 14,
    VECTOR_TIMER = 0x40,
    VECTOR_KICK = 0x41,
    VECTOR_SERIAL = 0x42,
    VECTOR_DISK = 0x43,
    VECTOR_SPURIOUS = 0xff,
    VECTOR_SYSCALL = 0x100,
};

static inline bool
frame_is_user(const struct frame *frame)
{
    return (frame->cs & 3) != 0;
}

void idt_init(void);
void idt_load(void);

/* Called by cpu/enter.S. */
void trap_enter(struct frame *frame);
void syscall_enter(struct frame *frame);
bool trap_leave(struct frame *frame);

/* With the registers, and an address that somebody touched. */
_Noreturn void trap_panic(const struct frame *frame, uint64_t address);

/* Where threads begin that have a frame; ends in the user program. */
extern char trap_return[];

#endif
