/* SPDX-License-Identifier: MIT */
/*
 * x86_64.S - to a program and back (x86_64.c), and code of programs (bare.h): a,
 * b, c are RDI, RSI, RDX.
 */
#define KERNEL_SP 176 /* behind the frame */

    .text
    .globl program_enter, trap_stubs, syscall_entry

/* void program_enter(struct registers *registers) */
program_enter:
    pushq   %rbx
    pushq   %rbp
    pushq   %r12
    pushq   %r13
    pushq   %r14
    pushq   %r15
    cli
    movq    %rsp, KERNEL_SP(%rdi)
    movq    %rdi, %rsp
    popq    %r15
    popq    %r14
    popq    %r13
    popq    %r12
    popq    %rbp
    popq    %rbx
    popq    %r11
    popq    %r10
    popq    %r9
    popq    %r8
    popq    %rax
    popq    %rcx
    popq    %rdx
    popq    %rsi
    popq    %rdi
    addq    $16, %rsp
    swapgs
    iretq

    .altmacro
.macro stub number
    .balign 16
    .if \number != 8 && \number != 17 && (\number < 10 || \number > 14)
    pushq   $0
    .endif
    pushq   $\number
    jmp     trapped
.endm

    .balign 16
trap_stubs:
    .set number, 0
    .rept 256
    stub %number
    .set number, number + 1
    .endr

trapped:
    pushq   %rdi
    pushq   %rsi
    pushq   %rdx
    pushq   %rcx
    pushq   %rax
    pushq   %r8
    pushq   %r9
    pushq   %r10
    pushq   %r11
    pushq   %rbx
    pushq   %rbp
    pushq   %r12
    pushq   %r13
    pushq   %r14
    pushq   %r15
    cld
    testb   $3, 144(%rsp) /* CS */
    jz      1f
    swapgs
    movq    KERNEL_SP(%rsp), %rsp
    popq    %r15
    popq    %r14
    popq    %r13
    popq    %r12
    popq    %rbp
    popq    %rbx
    ret
1:  movq    %rsp, %rdi
    andq    $-16, %rsp
    call    kernel_exception

/* cpu/cpu.c has it in a register: nobody says SYSCALL. */
syscall_entry:
    ud2

    .section .rodata
    .balign 8
    .globl user_begin, user_load, user_store, user_reader, user_writer, \
        user_call, user_end
user_begin:
user_load:
    movq    (%rdi), %rdx
    int     $0x80
user_store:
    movq    %rsi, (%rdi)
    int     $0x80
user_reader:
    movq    (%rdi), %rcx
    movq    %rcx, (%rsi)
    incq    8(%rsi)
    jmp     user_reader
user_writer:
    incq    %rdx
    movq    %rdx, (%rdi)
    movq    %rdx, (%rsi)
    jmp     user_writer
user_call:
    int     $0x80
user_end:
