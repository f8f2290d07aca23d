/* SPDX-License-Identifier: MIT */
/*
 * riscv64.c - QEMU's `virt`, by the start-up code of ports/riscv64.
 */
#include "bare.h"

#include <aspen_riscv64.h>
#include <start/start.h>

#include <string.h>

#define SATP_PAGE(pointer)                                                     \
    (((uint64_t)(uintptr_t)(pointer)-ASPEN_RISCV64_HALF) >> 12)

struct machine machine = {
#ifdef ASPEN_PORT_PAGING_RISCV_SV48
    .name = "RISC-V Sv48",
#else
    .name = "RISC-V Sv39",
#endif
    .far = ASPEN_RISCV64_MODE == 8 ? 0x3ff0000000 : 0x7ffff0000000,
    .ram_start = 0x80000000,
    .ram_bytes = 64 << 20,
    .direct_map = (char *)ASPEN_RISCV64_HALF,
    .kernel_start = ASPEN_RISCV64_HALF,
    .execute_only = true,
    .config_flags = ASPEN_CONFIG_CACHE_MODES_ABSENT,
};

static unsigned first_hart;

_Noreturn void bare_main(void);

_Noreturn void
kernel_main(uint64_t hart, uint64_t argument)
{
    (void)argument;
    first_hart = (unsigned)hart;
    aspen_riscv64_hart(0, first_hart);
    bare_main();
}

_Noreturn void
kernel_exception(uint64_t cause, uint64_t pc, uint64_t value)
{
    give_up("exception %#lx of the kernel at %#lx, %#lx", cause, pc, value);
}

struct aspen_kernel_cpu *
machine_cpu(unsigned number)
{
    static struct aspen_kernel_cpu records[2];

    records[number].number = number;
    __asm__ volatile("mv tp, %0" ::"r"(&records[number]) : "memory");
    aspen_riscv64_load(SATP_PAGE(kernel_root));
    return &records[number];
}

bool
machine_start_second(void (*run)(uint64_t argument), char *stack_end)
{
    unsigned hart = first_hart ? 0 : 1;

    aspen_riscv64_hart(1, hart);
    return virt_cpu_start(hart, stack_end, run, 0) == 0;
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
    memcpy(root + 256, kernel_root + 256, 256 * sizeof(*root));
}

void
machine_load(uint32_t root)
{
    aspen_riscv64_load(root ? root : SATP_PAGE(kernel_root));
}

void
machine_faulted(uint64_t address)
{
    aspen_riscv64_faulted(address);
}

_Static_assert(sizeof(struct aspen_riscv64_frame) <= sizeof(struct program),
               "a program has its registers");

static struct aspen_riscv64_frame *
frame_of(const struct program *program)
{
    return (struct aspen_riscv64_frame *)(uintptr_t)program->words;
}

void
program_begin(struct program *program, uint64_t pc, uint64_t a, uint64_t b,
              uint64_t c)
{
    *frame_of(program) = (struct aspen_riscv64_frame){
        .x = {[10] = a, [11] = b, [12] = c},
        .pc = pc,
        .status = aspen_riscv64_program_status(),
    };
}

uint64_t
program_word(const struct program *program, unsigned number)
{
    return frame_of(program)->x[10 + number];
}

void
program_run(struct program *program, struct trap *trap)
{
    struct aspen_riscv64_frame *frame = frame_of(program);

    aspen_riscv64_enter(frame);
    bool is_fault =
        frame->cause == 12 || frame->cause == 13 || frame->cause == 15;
    *trap = (struct trap){
        .kind = is_fault            ? TRAP_FAULT
                : frame->cause == 8 ? TRAP_CALL /* ECALL */
                                    : TRAP_OTHER,
        .access = frame->cause == 12   ? MMU_EXEC
                  : frame->cause == 15 ? MMU_WRITE
                                       : MMU_READ,
        .why = WHY_UNTOLD,
        .level = LEVEL_UNTOLD,
        .address = frame->value,
        .pc = frame->pc,
        .cause = frame->cause,
    };
}

/* ---- Who sets accessed ------------------------------------------------------
 */

/* A program's page that is not accessed yet, in tables made by hand: with Svadu
 * (or a processor that never heard of it and sets the bit) it is read. */
void
machine_init(void)
{
    static uint64_t tables[4][512] __attribute__((aligned(4096)));
    static uint64_t page[512] __attribute__((aligned(4096)));
    const unsigned levels = ASPEN_RISCV64_MODE == 8 ? 3 : 4;
    struct program program;
    struct trap trap;

    machine_begin_root(tables[0]);
    for (unsigned i = 0; i + 1 < levels; i++)
        tables[i][0] = SATP_PAGE(tables[i + 1]) << 10 | 1;
    memcpy(page, user_begin, (size_t)(user_end - user_begin));
    __asm__ volatile("fence.i");
    tables[levels - 1][1] = SATP_PAGE(page) << 10 | 0xdf;
    tables[levels - 1][2] = SATP_PAGE(page) << 10 | 0x13; /* U, R, V */
    aspen_riscv64_load(SATP_PAGE(tables[0]));
    program_begin(&program, 4096 + (uint64_t)(user_load - user_begin), 8192, 0,
                  0);
    program_run(&program, &trap);
    aspen_riscv64_load(SATP_PAGE(kernel_root));
    machine.sets_flags = trap.kind == TRAP_CALL;
}
