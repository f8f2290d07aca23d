/* SPDX-License-Identifier: MIT */
/*
 * enter.S - into the kernel and back.
 *
 * All ways in push a struct frame (cpu/trap.h). GS is the kernel's while the
 * kernel runs: who comes from a user program swaps it, and again on the way
 * out.
 */
#define CPU_USER_RSP 24
#define CPU_KERNEL_STACK 32

#define FRAME_CS 144

    .text

.macro push_registers
    pushq %rdi
    pushq %rsi
    pushq %rdx
    pushq %rcx
    pushq %rax
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
.endm

.macro pop_registers
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rax
    popq %rcx
    popq %rdx
    popq %rsi
    popq %rdi
.endm

/* ---- SYSCALL ------------------------------------------------------------ */

    .globl syscall_entry
syscall_entry:
    swapgs
    movq %rsp, %gs:CPU_USER_RSP
    movq %gs:CPU_KERNEL_STACK, %rsp
    pushq $0x2b /* USER_DATA */
    pushq %gs:CPU_USER_RSP
    pushq %r11
    pushq $0x33 /* USER_CODE */
    pushq %rcx
    pushq %rax
    pushq $0x100 /* VECTOR_SYSCALL */
    push_registers
    cld
    sti
    movq %rsp, %rdi
    call syscall_enter
    jmp trap_return

/* ---- Exceptions and interrupts ------------------------------------------ */

    .altmacro
.macro stub number
    .balign 16
    .if \number != 8 && \number != 17 && (\number < 10 || \number > 14)
    pushq $0
    .endif
    pushq $\number
    jmp trap_common
.endm

    .balign 16
    .globl trap_stubs
trap_stubs:
    .set number, 0
    .rept 256
    stub %number
    .set number, number + 1
    .endr

trap_common:
    push_registers
    cld
    testb $3, FRAME_CS(%rsp)
    jz 1f
    swapgs
1:  movq %rsp, %rdi
    call trap_enter

    .globl trap_return
trap_return:
    cli
    testb $3, FRAME_CS(%rsp)
    jz 1f
    movq %rsp, %rdi
    call trap_leave /* whether SYSRET does; interrupts are off again */
    swapgs
    testb %al, %al
    jnz 2f
1:  pop_registers
    addq $16, %rsp
    iretq
2:  pop_registers
    movq 40(%rsp), %rsp
    sysretq

/* ---- Threads ------------------------------------------------------------ */

/* switch_stacks(save, load): the other thread's registers are on its stack. */
    .globl switch_stacks
switch_stacks:
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    ret

/* Where a new thread's first switch comes out; RBX: what it runs, with R12. */
    .globl thread_trampoline
thread_trampoline:
    call thread_begin
    movq %r12, %rdi
    call *%rbx
    /* Who returns has a frame, and goes on in a user program. */
    jmp trap_return

/* ---- A user program's memory -------------------------------------------- */

/*
 * size_t copy_user(void *to, const void *from, size_t bytes): how much was not
 * copied. A fault that cannot be repaired comes out at a fixup
 * (mm/user.c, user_fixup).
 */
    .globl copy_user, copy_user_words, copy_user_bytes, copy_user_fixup_words, \
        copy_user_fixup_bytes
copy_user:
    movq %rdx, %rcx
    shrq $3, %rcx
    andl $7, %edx
copy_user_words:
    rep movsq
    movl %edx, %ecx
copy_user_bytes:
    rep movsb
    movq %rcx, %rax
    ret
copy_user_fixup_words:
    leaq (%rdx, %rcx, 8), %rax
    ret
copy_user_fixup_bytes:
    movq %rcx, %rax
    ret

/* size_t clear_user(void *to, size_t bytes): how much was not cleared. */
    .globl clear_user, clear_user_bytes
clear_user:
    movq %rsi, %rcx
    xorl %eax, %eax
clear_user_bytes:
    rep stosb
    movq %rcx, %rax
    ret
