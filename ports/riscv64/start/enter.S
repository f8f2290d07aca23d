/* SPDX-License-Identifier: MIT */
/*
 * enter.S - to a program and back: start.h has the frame.
 */
#define FRAME_PC 256
#define FRAME_STATUS 264
#define FRAME_CAUSE 272
#define FRAME_VALUE 280
#define FRAME_KERNEL_SP 288

    .text
    .globl aspen_riscv64_enter, aspen_riscv64_trap

.macro each instruction
    \instruction x1, 8(a0)
    \instruction x2, 16(a0)
    \instruction x3, 24(a0)
    \instruction x4, 32(a0)
    \instruction x5, 40(a0)
    \instruction x6, 48(a0)
    \instruction x7, 56(a0)
    \instruction x8, 64(a0)
    \instruction x9, 72(a0)
    \instruction x11, 88(a0)
    \instruction x12, 96(a0)
    \instruction x13, 104(a0)
    \instruction x14, 112(a0)
    \instruction x15, 120(a0)
    \instruction x16, 128(a0)
    \instruction x17, 136(a0)
    \instruction x18, 144(a0)
    \instruction x19, 152(a0)
    \instruction x20, 160(a0)
    \instruction x21, 168(a0)
    \instruction x22, 176(a0)
    \instruction x23, 184(a0)
    \instruction x24, 192(a0)
    \instruction x25, 200(a0)
    \instruction x26, 208(a0)
    \instruction x27, 216(a0)
    \instruction x28, 224(a0)
    \instruction x29, 232(a0)
    \instruction x30, 240(a0)
    \instruction x31, 248(a0)
.endm

.macro kept instruction
    \instruction ra, 0(sp)
    \instruction tp, 8(sp)
    \instruction gp, 16(sp)
    \instruction s0, 24(sp)
    \instruction s1, 32(sp)
    \instruction s2, 40(sp)
    \instruction s3, 48(sp)
    \instruction s4, 56(sp)
    \instruction s5, 64(sp)
    \instruction s6, 72(sp)
    \instruction s7, 80(sp)
    \instruction s8, 88(sp)
    \instruction s9, 96(sp)
    \instruction s10, 104(sp)
    \instruction s11, 112(sp)
.endm

/* void aspen_riscv64_enter(struct aspen_riscv64_frame *frame); what has to be as
 * it was when it returns is on the stack. SSCRATCH has the frame while the
 * program runs, and 0 while the kernel does. */
aspen_riscv64_enter:
    addi    sp, sp, -128
    kept    sd
    csrci   sstatus, 2 /* SIE */
    sd      sp, FRAME_KERNEL_SP(a0)
    csrw    sscratch, a0
    ld      t0, FRAME_PC(a0)
    csrw    sepc, t0
    ld      t0, FRAME_STATUS(a0)
    csrw    sstatus, t0
    each    ld
    ld      a0, 80(a0)
    sret

    .balign 4
aspen_riscv64_trap:
    csrrw   a0, sscratch, a0
    beqz    a0, is_the_kernels
    each    sd
    csrrw   t0, sscratch, zero
    sd      t0, 80(a0)
    csrr    t0, sepc
    sd      t0, FRAME_PC(a0)
    csrr    t0, sstatus
    sd      t0, FRAME_STATUS(a0)
    csrr    t0, scause
    sd      t0, FRAME_CAUSE(a0)
    csrr    t0, stval
    sd      t0, FRAME_VALUE(a0)
    ld      sp, FRAME_KERNEL_SP(a0)
    kept    ld
    addi    sp, sp, 128
    ret

is_the_kernels:
    csrr    a0, scause
    csrr    a1, sepc
    csrr    a2, stval
    call    kernel_exception
1:  wfi
    j       1b
