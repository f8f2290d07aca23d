/* SPDX-License-Identifier: MIT */
/*
 * enter.S - to a program and back: start.h has the frame.
 */
#define FRAME_SP 248
#define FRAME_PC 256
#define FRAME_KIND 272
#define FRAME_ESR 280

    .text
    .globl aspen_aarch64_enter, aspen_aarch64_vectors

/* void aspen_aarch64_enter(struct aspen_aarch64_frame *frame); what has to be as
 * it was when it returns is on the stack, with the frame's address below. */
aspen_aarch64_enter:
    stp     x29, x30, [sp, #-112]!
    stp     x19, x20, [sp, #32]
    stp     x21, x22, [sp, #48]
    stp     x23, x24, [sp, #64]
    stp     x25, x26, [sp, #80]
    stp     x27, x28, [sp, #96]
    msr     daifset, #15
    str     x0, [sp, #-16]!
    ldp     x1, x2, [x0, #FRAME_PC]
    msr     elr_el1, x1
    msr     spsr_el1, x2
    ldr     x1, [x0, #FRAME_SP]
    msr     sp_el0, x1
    ldp     x2, x3, [x0, #16]
    ldp     x4, x5, [x0, #32]
    ldp     x6, x7, [x0, #48]
    ldp     x8, x9, [x0, #64]
    ldp     x10, x11, [x0, #80]
    ldp     x12, x13, [x0, #96]
    ldp     x14, x15, [x0, #112]
    ldp     x16, x17, [x0, #128]
    ldp     x18, x19, [x0, #144]
    ldp     x20, x21, [x0, #160]
    ldp     x22, x23, [x0, #176]
    ldp     x24, x25, [x0, #192]
    ldp     x26, x27, [x0, #208]
    ldp     x28, x29, [x0, #224]
    ldr     x30, [x0, #240]
    ldp     x0, x1, [x0]
    eret

.macro from_kernel number
    .balign 128
    mov     x0, #\number
    b       is_the_kernels
.endm

.macro from_program kind
    .balign 128
    stp     x0, x1, [sp, #-16]!
    mov     x1, #\kind
    b       leave
.endm

    .balign 2048
aspen_aarch64_vectors:
    from_kernel 0
    from_kernel 1
    from_kernel 2
    from_kernel 3
    from_kernel 4
    from_kernel 5
    from_kernel 6
    from_kernel 7
    from_program 0 /* synchronous */
    from_program 1 /* IRQ */
    from_program 2 /* FIQ */
    from_program 3 /* SError */
    from_kernel 12 /* of 32 bits: there are none */
    from_kernel 13
    from_kernel 14
    from_kernel 15

leave:
    ldr     x0, [sp, #16]
    str     x1, [x0, #FRAME_KIND]
    stp     x2, x3, [x0, #16]
    stp     x4, x5, [x0, #32]
    stp     x6, x7, [x0, #48]
    stp     x8, x9, [x0, #64]
    stp     x10, x11, [x0, #80]
    stp     x12, x13, [x0, #96]
    stp     x14, x15, [x0, #112]
    stp     x16, x17, [x0, #128]
    stp     x18, x19, [x0, #144]
    stp     x20, x21, [x0, #160]
    stp     x22, x23, [x0, #176]
    stp     x24, x25, [x0, #192]
    stp     x26, x27, [x0, #208]
    stp     x28, x29, [x0, #224]
    str     x30, [x0, #240]
    ldp     x2, x3, [sp], #16
    stp     x2, x3, [x0]
    mrs     x1, sp_el0
    str     x1, [x0, #FRAME_SP]
    mrs     x1, elr_el1
    mrs     x2, spsr_el1
    stp     x1, x2, [x0, #FRAME_PC]
    mrs     x1, esr_el1
    mrs     x2, far_el1
    stp     x1, x2, [x0, #FRAME_ESR]
    add     sp, sp, #16
    ldp     x19, x20, [sp, #32]
    ldp     x21, x22, [sp, #48]
    ldp     x23, x24, [sp, #64]
    ldp     x25, x26, [sp, #80]
    ldp     x27, x28, [sp, #96]
    ldp     x29, x30, [sp], #112
    ret

is_the_kernels:
    mrs     x1, esr_el1
    mrs     x2, elr_el1
    mrs     x3, far_el1
    bl      kernel_exception
1:  wfi
    b       1b
