/* SPDX-License-Identifier: MIT */
/*
 * start.S - from where the loader left off to C with the MMU on.
 *
 * The loader jumps to start, at EL1 or EL2, with the MMU off; other CPUs come by
 * PSCI to cpu_start. Both go to EL1, and to the kernel's half.
 *
 * The first tables map the first 512 GiB twice with blocks of 1 GiB, of which
 * one is memory of devices and BOOT_RAM_BLOCKS are RAM: where they are, which
 * lasts until the first aspen_aarch64_load(), and at ASPEN_AARCH64_HALF. That is
 * QEMU's `virt`: devices below 1 GiB, RAM from there on. Other boards have them
 * elsewhere.
 */
#define HALF 0xffff000000000000
#define BOOT_RAM_BLOCKS 4

#define BLOCK_RAM    0x0040000000000701 /* UXN; AF, inner shareable, EL1: write */
#define BLOCK_DEVICE 0x006000000000040d /* UXN, PXN; AF, attribute 3 */
#define TABLE        3

#define MAIR 0x040044ff /* ASPEN_AARCH64_MAIR */
/* 48 bits and 4 KiB for both halves, walks cached and inner shareable; ASIDs
 * are TTBR0's. */
#define TCR 0x00000000b5103510
#define TCR_HA (1 << 39)
#define TCR_HD (1 << 40)
#define SCTLR_OFF 0x30d00800 /* what is always one */
#define SCTLR_ON (SCTLR_OFF | 1 << 12 | 1 << 2 | 1) /* I, C, M */

    .section .text.start, "ax"
    .globl start, cpu_start

/* x0: what the loader gives, for kernel_main(). */
start:
    msr     daifset, #15
    mov     x19, x0
    bl      to_el1
    bl      make_tables
    bl      mmu_on
    adrp    x1, boot_from_el2
    str     w22, [x1, #:lo12:boot_from_el2]
    ldr     x1, =boot_stack_top
    mov     sp, x1
    mov     x29, #0
    mov     x0, x19
    bl      kernel_main
1:  wfi
    b       1b

/* x0: where its stack ends, what it runs, and what that is given: three words
 * at an address of the kernel's half. */
cpu_start:
    msr     daifset, #15
    mov     x19, x0
    bl      to_el1
    bl      mmu_on
    ldp     x1, x2, [x19]
    ldr     x0, [x19, #16]
    mov     sp, x1
    mov     x29, #0
    blr     x2
1:  wfi
    b       1b

/* x22: whether it came from EL2, where HVC is not firmware's. */
to_el1:
    mrs     x1, CurrentEL
    mov     x22, #0
    cmp     x1, #8
    b.ne    1f
    mov     x22, #1
    mov     x1, #(1 << 31) /* HCR_EL2.RW, and nothing is trapped */
    msr     hcr_el2, x1
    mov     x1, #0x33ff
    msr     cptr_el2, x1
    msr     hstr_el2, xzr
    mov     x1, #3 /* timers */
    msr     cnthctl_el2, x1
    msr     cntvoff_el2, xzr
    mrs     x1, midr_el1
    msr     vpidr_el2, x1
    mrs     x1, mpidr_el1
    msr     vmpidr_el2, x1
    mov     x1, #0x3c5 /* EL1h, DAIF */
    msr     spsr_el2, x1
    msr     elr_el2, x30
    ldr     x1, =SCTLR_OFF
    msr     sctlr_el1, x1
    isb
    eret
1:  ret

make_tables:
    adrp    x1, boot_root
    adrp    x2, boot_blocks
    orr     x3, x2, #TABLE
    str     x3, [x1]
    ldr     x3, =BLOCK_DEVICE
    str     x3, [x2]
    ldr     x3, =BLOCK_RAM
    mov     x4, #1
1:  lsl     x5, x4, #30
    orr     x5, x5, x3
    str     x5, [x2, x4, lsl #3]
    add     x4, x4, #1
    cmp     x4, #BOOT_RAM_BLOCKS
    b.ls    1b
    /* Nobody goes on with what a cache has of them from before. */
    dmb     sy
    add     x3, x1, #8192
2:  dc      ivac, x1
    add     x1, x1, #16
    cmp     x1, x3
    b.lo    2b
    dsb     sy
    ret

/* Comes back to the same place in the kernel's half. */
mmu_on:
    ldr     x1, =MAIR
    msr     mair_el1, x1
    ldr     x1, =TCR
    mrs     x2, id_aa64mmfr0_el1
    and     x2, x2, #15 /* PARange: IPS, of which 5 (48 bits) will do */
    cmp     x2, #5
    mov     x3, #5
    csel    x2, x2, x3, ls
    orr     x1, x1, x2, lsl #32
    mrs     x2, id_aa64mmfr1_el1
    and     x2, x2, #15 /* HAFDBS */
    cbz     x2, 1f
    orr     x1, x1, #TCR_HA
    cmp     x2, #2
    b.lo    1f
    orr     x1, x1, #TCR_HD
1:  msr     tcr_el1, x1
    adrp    x1, boot_root
    msr     ttbr0_el1, x1
    msr     ttbr1_el1, x1
    msr     cpacr_el1, xzr /* no floating point */
    isb
    tlbi    vmalle1
    ic      iallu
    dsb     nsh
    isb
    ldr     x1, =SCTLR_ON
    msr     sctlr_el1, x1
    isb
    ldr     x1, =aspen_aarch64_vectors
    msr     vbar_el1, x1
    isb
    ldr     x1, =HALF
    orr     x30, x30, x1
    ret

    .section .data
    .balign 4
    .globl boot_from_el2
boot_from_el2:
    .long 0

    .section .bss
    .balign 4096
boot_root:
    .skip 4096
boot_blocks:
    .skip 4096
boot_stack:
    .skip 8 * 4096
boot_stack_top:
