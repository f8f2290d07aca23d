/* SPDX-License-Identifier: MIT */
/*
 * start.S - from where the SBI left off to C with the MMU on.
 *
 * The SBI jumps to start, in S-mode with the MMU off, on one hart; others come
 * by HSM to cpu_start. The first tables map the first 4 GiB twice with leaves of
 * 1 GiB: where they are, which lasts until kernel_root is loaded once more, and
 * at the beginning of the upper half. kernel_root has the latter alone.
 */
#ifdef ASPEN_PORT_PAGING_RISCV_SV48
#define HALF 0xffff800000000000
#define MODE 9
#else
#define HALF 0xffffffc000000000
#define MODE 8
#endif
#define LEAVES 4
#define LEAF 0xcf /* D, A, X, W, R, V: not the user's */

    .section .text.start, "ax"
    .globl start, cpu_start

/* a0: the hart; a1: what the loader gives. Both for kernel_main(). */
start:
    csrw    sie, zero
    mv      s2, a0
    mv      s1, a1
    call    make_tables
    call    mmu_on
    la      sp, boot_stack_top
    li      fp, 0
    mv      a0, s2
    mv      a1, s1
    call    kernel_main
1:  wfi
    j       1b

/* a1: where its stack ends, what it runs, and what that is given: three words at
 * an address of the upper half. */
cpu_start:
    csrw    sie, zero
    mv      s1, a1
    call    mmu_on
    ld      sp, 0(s1)
    ld      t1, 8(s1)
    ld      a0, 16(s1)
    li      fp, 0
    jalr    t1
1:  wfi
    j       1b

/* Leaves for 0 to 4 GiB, at t1. */
.macro leaves
    li      t3, LEAF
    li      t4, 1 << 28 /* 1 GiB, as entries have it */
    li      t5, LEAVES
9:  sd      t3, 0(t1)
    add     t3, t3, t4
    addi    t1, t1, 8
    addi    t5, t5, -1
    bnez    t5, 9b
.endm

make_tables:
#ifdef ASPEN_PORT_PAGING_RISCV_SV48
    la      t1, boot_leaves
    srli    t2, t1, 2
    ori     t2, t2, 1 /* leads to a table */
    leaves
    la      t1, boot_root
    sd      t2, 0(t1)
    li      t3, 2048
    add     t1, t1, t3
    sd      t2, 0(t1)
    la      t1, kernel_root
    add     t1, t1, t3
    sd      t2, 0(t1)
#else
    la      t1, boot_root
    leaves
    li      t2, 2048
    la      t1, boot_root
    add     t1, t1, t2
    leaves
    la      t1, kernel_root
    add     t1, t1, t2
    leaves
#endif
    ret

/* Comes back to the same place in the upper half. */
mmu_on:
    la      t1, boot_root
    srli    t1, t1, 12
    li      t2, MODE << 60
    or      t1, t1, t2
    li      t3, HALF
    sfence.vma
    csrw    satp, t1
    sfence.vma
    add     ra, ra, t3
    la      t1, aspen_riscv64_trap
    add     t1, t1, t3
    csrw    stvec, t1
    csrw    sscratch, zero
    ret

    .section .bss
    .balign 4096
    .globl kernel_root
kernel_root:
    .skip 4096
boot_root:
    .skip 4096
#ifdef ASPEN_PORT_PAGING_RISCV_SV48
boot_leaves:
    .skip 4096
#endif
boot_stack:
    .skip 8 * 4096
boot_stack_top:
