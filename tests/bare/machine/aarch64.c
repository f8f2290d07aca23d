/* SPDX-License-Identifier: MIT */
/*
 * aarch64.c - QEMU's `virt`, by the start-up code of ports/aarch64.
 */
#include "bare.h"

#include <aspen_aarch64.h>
#include <start/start.h>

struct machine machine = {
    .name = "AArch64",
    .far = 0xfffff0000000,
    .ram_start = 0x40000000,
    .ram_bytes = 64 << 20,
    .direct_map = (char *)ASPEN_AARCH64_HALF,
    .execute_only = true,
};

_Noreturn void bare_main(void);

_Noreturn void
kernel_main(uint64_t argument)
{
    (void)argument;
    bare_main();
}

_Noreturn void
kernel_exception(uint64_t vector, uint64_t esr, uint64_t pc, uint64_t far)
{
    give_up("exception %lu of the kernel: %#lx at %#lx, %#lx", vector, esr, pc,
            far);
}

void
machine_init(void)
{
    uint64_t tcr;

    __asm__("mrs %0, tcr_el1" : "=r"(tcr));
    machine.sets_flags = tcr >> 39 & 1 && tcr >> 40 & 1; /* HA, HD */
}

struct aspen_kernel_cpu *
machine_cpu(unsigned number)
{
    static struct aspen_kernel_cpu records[2];

    records[number].number = number;
    __asm__ volatile("msr tpidr_el1, %0" ::"r"(&records[number]) : "memory");
    aspen_aarch64_load(0);
    return &records[number];
}

bool
machine_start_second(void (*run)(uint64_t argument), char *stack_end)
{
    return virt_cpu_start(1, stack_end, run, 0) == 0;
}

/* Flushes need no interrupt, and no reader is where a program runs. */
void
aspen_kernel_kick(uint64_t cpus)
{
    (void)cpus;
}

void
machine_poll(void)
{
}

void
machine_write(char byte)
{
    virt_write(byte);
}

_Noreturn void
machine_off(int status)
{
    (void)status;
    virt_power_off();
}

void
machine_begin_root(uint64_t *root)
{
    (void)root; /* the kernel's half has a table of its own */
}

void
machine_load(uint32_t root)
{
    aspen_aarch64_load(root);
}

void
machine_faulted(uint64_t address)
{
    (void)address;
}

_Static_assert(sizeof(struct aspen_aarch64_frame) <= sizeof(struct program),
               "a program has its registers");

static struct aspen_aarch64_frame *
frame_of(const struct program *program)
{
    return (struct aspen_aarch64_frame *)(uintptr_t)program->words;
}

void
program_begin(struct program *program, uint64_t pc, uint64_t a, uint64_t b,
              uint64_t c)
{
    *frame_of(program) = (struct aspen_aarch64_frame){
        .x = {a, b, c}, .pc = pc, .pstate = 0x3c0, /* EL0; nobody interrupts */
    };
}

uint64_t
program_word(const struct program *program, unsigned number)
{
    return frame_of(program)->x[number];
}

void
program_run(struct program *program, struct trap *trap)
{
    static const enum why whys[] = {
        [ASPEN_AARCH64_ABSENT] = WHY_ABSENT,
        [ASPEN_AARCH64_FLAG] = WHY_FLAG,
        [ASPEN_AARCH64_DENIED] = WHY_DENIED,
    };
    struct aspen_aarch64_frame *frame = frame_of(program);

    aspen_aarch64_enter(frame);
    struct aspen_aarch64_abort abort = aspen_aarch64_fault(frame->esr);
    bool is_abort = frame->kind == 0 && abort.reason != ASPEN_AARCH64_NO_FAULT;
    bool is_call = frame->kind == 0 && frame->esr >> 26 == 0x15; /* SVC */
    *trap = (struct trap){
        .kind = is_abort  ? TRAP_FAULT
                : is_call ? TRAP_CALL
                          : TRAP_OTHER,
        .access = abort.access == ASPEN_ACCESS_EXEC    ? MMU_EXEC
                  : abort.access == ASPEN_ACCESS_WRITE ? MMU_WRITE
                                                       : MMU_READ,
        .why = whys[abort.reason],
        .level = abort.level,
        .address = frame->far,
        .pc = frame->pc,
        .cause = frame->esr,
    };
}
