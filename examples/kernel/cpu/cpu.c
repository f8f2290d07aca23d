/* SPDX-License-Identifier: MIT */
/*
 * cpu.c - what each CPU needs before it can take an interrupt.
 */
#include "cpu/cpu.h"

#include "cpu/trap.h"
#include "lib/lib.h"

struct cpu cpus[CPUS_MAX];
unsigned cpus_online = 1;

extern char syscall_entry[];

/* Descriptors of the GDT: 1 is unused, 4 would be 32-bit programs'. */
#define GDT_CODE      0x00af9a000000ffffu
#define GDT_DATA      0x00cf92000000ffffu
#define GDT_USER_CODE 0x00affa000000ffffu
#define GDT_USER_DATA 0x00cff2000000ffffu
#define GDT_TSS       0x40u

struct descriptor_pointer {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

static void
gdt_load(struct cpu *cpu)
{
    uint64_t tss = (uint64_t)(uintptr_t)&cpu->tss;
    struct descriptor_pointer pointer = {sizeof(cpu->gdt) - 1,
                                         (uint64_t)(uintptr_t)cpu->gdt};

    cpu->gdt[2] = GDT_CODE;
    cpu->gdt[3] = GDT_DATA;
    cpu->gdt[5] = GDT_USER_DATA;
    cpu->gdt[6] = GDT_USER_CODE;
    cpu->gdt[8] = (sizeof(cpu->tss) - 1) | (tss & 0xffffff) << 16 |
                  (uint64_t)0x89 << 40 | (tss >> 24 & 0xff) << 56;
    cpu->gdt[9] = tss >> 32;
    cpu->tss.io_map = sizeof(cpu->tss);
    cpu->tss.ist[0] =
        (uint64_t)(uintptr_t)cpu->fault_stack + sizeof(cpu->fault_stack);
    __asm__ volatile("lgdt %0\n\t"
                     "pushq %1\n\t"
                     "leaq 1f(%%rip), %%rax\n\t"
                     "pushq %%rax\n\t"
                     "lretq\n"
                     "1:\tmovw %w2, %%ss\n\t"
                     "movw %w3, %%ds\n\t"
                     "movw %w3, %%es\n\t"
                     "movw %w3, %%fs\n\t"
                     "movw %w3, %%gs\n\t"
                     "ltr %w4"
                     :
                     : "m"(pointer), "i"(KERNEL_CODE), "r"(KERNEL_DATA), "r"(0),
                       "r"(GDT_TSS)
                     : "rax", "memory");
}

void
cpu_init(unsigned number)
{
    struct cpu *cpu = &cpus[number];

    cpu->port.number = number;
    gdt_load(cpu);
    write_msr(MSR_GS_BASE, (uint64_t)(uintptr_t)cpu);
    write_msr(MSR_USER_GS, 0);
    idt_load();
    write_msr(MSR_STAR,
              (uint64_t)(0x20 | 3) << 48 | (uint64_t)KERNEL_CODE << 32);
    write_msr(MSR_LSTAR, (uint64_t)(uintptr_t)syscall_entry);
    write_msr(MSR_FMASK, 0x47700); /* IF, TF, DF, NT, AC, IOPL are cleared */
    write_msr(MSR_PAT, ASPEN_X86_64_PAT);
    aspen_kernel_cpu_online(&cpu->port);
}
