/* SPDX-License-Identifier: MIT */
/*
 * riscv64.S - code of programs (bare.h): a, b, c are a0, a1, a2.
 */
    .section .rodata
    .balign 8
    .globl user_begin, user_load, user_store, user_reader, user_writer, \
        user_call, user_end
    .option norvc
user_begin:
user_load:
    ld      a2, 0(a0)
    ecall
user_store:
    sd      a1, 0(a0)
    ecall
user_reader:
    ld      a3, 0(a0)
    sd      a3, 0(a1)
    ld      a3, 8(a1)
    addi    a3, a3, 1
    sd      a3, 8(a1)
    j       user_reader
user_writer:
    addi    a2, a2, 1
    sd      a2, 0(a0)
    sd      a2, 0(a1)
    j       user_writer
user_call:
    ecall
user_end:
