/* SPDX-License-Identifier: MIT */
/*
 * aarch64.S - code of programs (bare.h): a, b, c are x0, x1, x2.
 */
    .section .rodata
    .balign 8
    .globl user_begin, user_load, user_store, user_reader, user_writer, \
        user_call, user_end
user_begin:
user_load:
    ldr     x2, [x0]
    svc     #0
user_store:
    str     x1, [x0]
    svc     #0
user_reader:
    ldr     x3, [x0]
    str     x3, [x1]
    ldr     x3, [x1, #8]
    add     x3, x3, #1
    str     x3, [x1, #8]
    b       user_reader
user_writer:
    add     x2, x2, #1
    str     x2, [x0]
    str     x2, [x1]
    b       user_writer
user_call:
    svc     #0
user_end:
