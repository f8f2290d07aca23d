/* SPDX-License-Identifier: MIT */
/*
 * cpu.h - the processor: its registers, and the kernel's record of each CPU.
 */
#ifndef KERNEL_CPU_H
#define KERNEL_CPU_H

#include <aspen_x86_64.h>

#define CPUS_MAX ASPEN_PORT_CPUS

#define KERNEL_BASE      0xffffffff80000000u
#define DIRECT_MAP       0xffff800000000000u
#define DIRECT_MAP_BYTES ((uint64_t)4 << 30) /* boot/entry.S maps so much */

/* Selectors, in the order that SYSCALL and SYSRET want. */
#define KERNEL_CODE 0x10u
#define KERNEL_DATA 0x18u
#define USER_DATA   0x2bu
#define USER_CODE   0x33u

#define PAGE_BYTES 4096u

struct aspen_mm;
struct thread;

struct tss {
    uint32_t reserved_0;
    uint64_t rsp[3];
    uint64_t reserved_1;
    uint64_t ist[7];
    uint64_t reserved_2;
    uint16_t reserved_3;
    uint16_t io_map;
} __attribute__((packed));

/* cpu/enter.S knows the offsets of the first members. */
struct cpu {
    struct aspen_kernel_cpu port;
    uint64_t user_rsp;     /* 24: while SYSCALL's entry has no stack yet */
    uint64_t kernel_stack; /* 32: top of the current thread's */
    struct thread *thread; /* 40: that runs */
    struct thread *idle;
    struct thread *dead;     /* to be freed by who runs next */
    struct aspen_mm *loaded; /* mm/space.h: what its tables are; or NULL */
    bool resched;
    uint8_t apic_id;
    uint64_t gdt[10];
    struct tss tss;
    uint8_t fault_stack[4096] __attribute__((aligned(16)));
};

extern struct cpu cpus[CPUS_MAX];
extern unsigned cpus_online;

static inline struct cpu *
this_cpu(void)
{
    return &cpus[aspen_port_cpu()];
}

static inline struct thread *
current_thread(void)
{
    struct thread *thread;

    __asm__ volatile("movq %%gs:40, %0" : "=r"(thread));
    return thread;
}

#define current current_thread()

static inline void *
direct_pointer(uint64_t physical)
{
    return (void *)(uintptr_t)(physical + DIRECT_MAP);
}

/* Of memory in the direct map, or in the kernel's image. */
static inline uint64_t
physical_address(const void *pointer)
{
    uint64_t address = (uint64_t)(uintptr_t)pointer;

    return address - (address >= KERNEL_BASE ? KERNEL_BASE : DIRECT_MAP);
}

static inline void
out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port));
}

static inline void
out16(uint16_t port, uint16_t value)
{
    __asm__ volatile("outw %0, %1" ::"a"(value), "Nd"(port));
}

static inline void
out32(uint16_t port, uint32_t value)
{
    __asm__ volatile("outl %0, %1" ::"a"(value), "Nd"(port));
}

static inline uint8_t
in8(uint16_t port)
{
    uint8_t value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline uint16_t
in16(uint16_t port)
{
    uint16_t value;

    __asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline uint32_t
in32(uint16_t port)
{
    uint32_t value;

    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

#define MSR_APIC_BASE 0x1bu
#define MSR_PAT       0x277u
#define MSR_STAR      0xc0000081u
#define MSR_LSTAR     0xc0000082u
#define MSR_FMASK     0xc0000084u
#define MSR_FS_BASE   0xc0000100u
#define MSR_GS_BASE   0xc0000101u
#define MSR_USER_GS   0xc0000102u

static inline void
write_msr(uint32_t msr, uint64_t value)
{
    __asm__ volatile("wrmsr" ::"c"(msr), "a"((uint32_t)value),
                     "d"((uint32_t)(value >> 32)));
}

static inline uint64_t
read_msr(uint32_t msr)
{
    uint32_t low, high;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return (uint64_t)high << 32 | low;
}

static inline uint64_t
read_tsc(void)
{
    uint32_t low, high;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

static inline uint64_t
read_cr2(void)
{
    uint64_t value;

    __asm__ volatile("movq %%cr2, %0" : "=r"(value));
    return value;
}

static inline void
write_cr3(uint64_t value)
{
    __asm__ volatile("movq %0, %%cr3" ::"r"(value) : "memory");
}

static inline void
interrupts_on(void)
{
    __asm__ volatile("sti" ::: "memory");
}

static inline void
interrupts_off(void)
{
    __asm__ volatile("cli" ::: "memory");
}

static inline bool
interrupts_are_on(void)
{
    uint64_t flags;

    __asm__ volatile("pushfq; popq %0" : "=r"(flags)::"memory");
    return (flags & 0x200) != 0;
}

/* GDT, IDT, TSS and SYSCALL of this CPU; GS points to its record. */
void cpu_init(unsigned number);

#endif
