/* SPDX-License-Identifier: MIT */
/*
 * entry.S - from the loader's 32-bit mode into the higher half.
 *
 * QEMU's -kernel finds the ELF note below (PVH) and jumps to pvh_start with
 * paging off and EBX at the start information. Other CPUs begin in real mode
 * at ap_trampoline, a copy of which start_cpus() (boot/smp.c) puts at 32 KiB.
 *
 * The first page tables map the first 4 GiB three times: where they are (until
 * all CPUs run), at the direct map, and 1 GiB of it where the kernel is linked.
 */
#define KERNEL_BASE 0xffffffff80000000
#define PHYSICAL(symbol) ((symbol) - KERNEL_BASE)
#define TRAMPOLINE 0x8000

    .section .note.pvh, "a", @note
    .balign 4
    .long 4, 4, 18 /* sizes of name and value; XEN_ELFNOTE_PHYS32_ENTRY */
    .asciz "Xen"
    .long PHYSICAL(pvh_start)

    .section .text.boot, "ax"
    .code32
    .globl pvh_start
pvh_start:
    cli
    cld
    movl %ebx, PHYSICAL(boot_argument)
    /* 2,048 large pages in four tables that stand one after the other. */
    movl $PHYSICAL(boot_large), %edi
    movl $0x83, %eax
    movl $2048, %ecx
1:  movl %eax, (%edi)
    movl $0, 4(%edi)
    addl $0x200000, %eax
    addl $8, %edi
    loop 1b
    /* The level above: 4 GiB from its beginning, and 1 GiB at -2 GiB. */
    movl $PHYSICAL(boot_large) + 3, %eax
    movl %eax, PHYSICAL(boot_upper) + 8 * 0
    movl %eax, PHYSICAL(boot_kernel) + 8 * 510
    addl $4096, %eax
    movl %eax, PHYSICAL(boot_upper) + 8 * 1
    addl $4096, %eax
    movl %eax, PHYSICAL(boot_upper) + 8 * 2
    addl $4096, %eax
    movl %eax, PHYSICAL(boot_upper) + 8 * 3
    movl $PHYSICAL(boot_upper) + 3, %eax
    movl %eax, PHYSICAL(boot_root) + 8 * 0
    movl %eax, PHYSICAL(boot_root) + 8 * 256
    movl $PHYSICAL(boot_kernel) + 3, %eax
    movl %eax, PHYSICAL(boot_root) + 8 * 511

enter_long_mode:
    movl $0x620, %eax /* CR4: PAE, OSFXSR, OSXMMEXCPT */
    movl %eax, %cr4
    movl $PHYSICAL(boot_root), %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx
    movl $0x901, %eax /* EFER: SCE, LME, NXE */
    xorl %edx, %edx
    wrmsr
    movl $0x80010033, %eax /* CR0: PG, WP, NE, ET, MP, PE */
    movl %eax, %cr0
    lgdt PHYSICAL(boot_gdt_pointer)
    ljmp $0x08, $PHYSICAL(long_mode)

    .code64
long_mode:
    movw $0x10, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    xorl %eax, %eax
    movw %ax, %fs
    movw %ax, %gs
    movabsq $1f, %rax
    jmp *%rax
1:  movq boot_stack(%rip), %rsp
    movl boot_argument(%rip), %edi
    xorl %ebp, %ebp
    call *boot_target(%rip)
2:  hlt
    jmp 2b

/* ---- Where other CPUs begin ---------------------------------------------- */

    .code16
    .globl ap_trampoline, ap_trampoline_end
ap_trampoline:
    cli
    cld
    xorw %ax, %ax
    movw %ax, %ds
    lgdtl TRAMPOLINE + ap_gdt_pointer - ap_trampoline
    movl %cr0, %eax
    orl $1, %eax
    movl %eax, %cr0
    ljmpl $0x18, $TRAMPOLINE + ap_protected - ap_trampoline
    .code32
ap_protected:
    movw $0x10, %ax
    movw %ax, %ds
    movl $PHYSICAL(enter_long_mode), %eax
    jmp *%eax
    .balign 8
ap_gdt_pointer:
    .word 31
    .long PHYSICAL(boot_gdt)
ap_trampoline_end:

/* ---- Data --------------------------------------------------------------- */

    .section .data
    .balign 8
boot_gdt:
    .quad 0
    .quad 0x00af9a000000ffff /* 08: code, 64 bits */
    .quad 0x00cf92000000ffff /* 10: data */
    .quad 0x00cf9a000000ffff /* 18: code, 32 bits */
boot_gdt_pointer:
    .word 31
    .long PHYSICAL(boot_gdt)
    .balign 8
    .globl boot_stack, boot_target, boot_argument
boot_stack:
    .quad first_stack_top
boot_target:
    .quad kernel_main
boot_argument:
    .quad 0

    .section .bss
    .balign 4096
    .globl boot_root
boot_root:
    .skip 4096
boot_upper:
    .skip 4096
boot_kernel:
    .skip 4096
boot_large:
    .skip 4 * 4096
    .globl first_stack
first_stack:
    .skip 4 * 4096
first_stack_top:
