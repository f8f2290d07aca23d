/* SPDX-License-Identifier: MIT */
/*
 * x86_64.c - QEMU's PC, by the start-up code of examples/kernel: boot/entry.S,
 * cpu/cpu.c, dev/apic.c and dev/clock.c. Instead of its threads and traps there
 * is one program at a time here.
 */
#include "bare.h"

#include <aspen_x86_64.h>

#include <string.h>

/* The kernel's own headers, behind ours: what it calls PAGE_BYTES is PAGE. */
#include "boot/pvh.h"
#include "cpu/cpu.h"
#include "cpu/trap.h"
#include "dev/apic.h"

#define COM1       0x3f8u
#define ACPI_PORT  0x604u /* QEMU's own power switch */
#define TRAMPOLINE 0x8000u
#define CALL       0x80u /* the program's INT */

struct machine machine = {
    .name = "x86-64",
    .far = 0x7ffff0000000,
    .ram_start = 1 << 20,
    .ram_bytes = 60 << 20,
    .direct_map = (char *)DIRECT_MAP,
    .kernel_start = DIRECT_MAP,
    .sets_flags = true,
};

extern uint64_t boot_root[512], boot_stack, boot_argument;
extern void (*boot_target)(uint64_t argument);
extern char ap_trampoline[], ap_trampoline_end[], trap_stubs[];

_Noreturn void bare_main(void);

/* ---- Traps ------------------------------------------------------------------
 */

/* As machine/x86_64.S has it: the processor pushes into the program's
 * registers, and behind them is the kernel's stack. */
struct registers {
    struct frame frame;
    uint64_t kernel_sp;
};

_Static_assert(sizeof(struct frame) % 16 == 0 &&
                   sizeof(struct registers) <= sizeof(struct program),
               "a program has its registers");

void program_enter(struct registers *registers);
_Noreturn void kernel_exception(const struct frame *frame);

_Noreturn void
kernel_exception(const struct frame *frame)
{
    give_up("exception %lu of the kernel: %#lx at %#lx, %#lx", frame->vector,
            frame->error, frame->rip, read_cr2());
}

/* cpu/cpu.c loads it on each CPU. */
void
idt_load(void)
{
    static uint64_t gates[256][2] __attribute__((aligned(16)));
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed))
    pointer = {sizeof(gates) - 1, (uint64_t)(uintptr_t)gates};

    for (uint64_t i = 0; i < 256; i++) {
        uint64_t address = (uint64_t)(uintptr_t)trap_stubs + i * 16;
        uint64_t type = i == CALL ? 0xee : 0x8e; /* programs may say INT */
        uint64_t stack = i == VECTOR_DOUBLE_FAULT ? 1 : 0;
        gates[i][0] = (address & 0xffff) | KERNEL_CODE << 16 | stack << 32 |
                      type << 40 | (address >> 16 & 0xffff) << 48;
        gates[i][1] = address >> 32;
    }
    __asm__ volatile("lidt %0" ::"m"(pointer));
}

/* ---- The machine ------------------------------------------------------------
 */

_Noreturn void kernel_main(uint64_t argument);
_Noreturn void
kernel_main(uint64_t argument)
{
    const struct pvh_info *info = direct_pointer(argument);

    cpu_init(0);
    apic_init(info->rsdp);
    bare_main();
}

void
machine_init(void)
{
}

struct aspen_kernel_cpu *
machine_cpu(unsigned number)
{
    cpu_init(number);
    apic_cpu_on();
    return &cpus[number].port;
}

bool
machine_start_second(void (*run)(uint64_t argument), char *stack_end)
{
    if (apic_cpus < 2)
        return false;
    memcpy(direct_pointer(TRAMPOLINE), ap_trampoline,
           (size_t)(ap_trampoline_end - ap_trampoline));
    cpus_online = 2;
    boot_stack = (uint64_t)(uintptr_t)stack_end;
    boot_argument = 0;
    boot_target = run;
    apic_start_cpu(cpus[1].apic_id, TRAMPOLINE);
    return true;
}

void
machine_poll(void)
{
    aspen_x86_64_tlb_interrupt();
}

void
machine_write(char byte)
{
    while (!(in8(COM1 + 5) & 0x20))
        __asm__ volatile("pause");
    out8(COM1, (uint8_t)byte);
}

_Noreturn void
machine_off(int status)
{
    (void)status;
    for (;;)
        out16(ACPI_PORT, 0x2000);
}

void
machine_begin_root(uint64_t *root)
{
    memcpy(root + 256, boot_root + 256, 256 * sizeof(*root));
}

void
machine_load(uint32_t root)
{
    write_cr3(root ? (uint64_t)root << 12
                   : (uint64_t)(uintptr_t)boot_root - KERNEL_BASE);
}

void
machine_faulted(uint64_t address)
{
    (void)address;
}

/* ---- Programs ---------------------------------------------------------------
 */

static struct registers *
registers_of(const struct program *program)
{
    return (struct registers *)(uintptr_t)program->words;
}

/* What is fetched may be zeroes, which access where RAX points to: nowhere. */
void
program_begin(struct program *program, uint64_t pc, uint64_t a, uint64_t b,
              uint64_t c)
{
    registers_of(program)->frame = (struct frame){
        .rdi = a,
        .rsi = b,
        .rdx = c,
        .rax = (uint64_t)1 << 63,
        .rip = pc,
        .cs = USER_CODE,
        .rflags = 0x202,
        .ss = USER_DATA,
    };
}

uint64_t
program_word(const struct program *program, unsigned number)
{
    const struct frame *frame = &registers_of(program)->frame;

    return number == 0 ? frame->rdi : number == 1 ? frame->rsi : frame->rdx;
}

void
program_run(struct program *program, struct trap *trap)
{
    struct registers *registers = registers_of(program);
    const struct frame *frame = &registers->frame;
    struct tss *tss = &cpus[aspen_port_cpu()].tss;

    tss->rsp[0] = (uint64_t)(uintptr_t)(frame + 1);
    for (;;) {
        program_enter(registers);
        if (frame->vector != VECTOR_KICK)
            break;
        apic_end_interrupt();
        aspen_x86_64_tlb_interrupt();
    }
    uint64_t error = frame->error;
    bool is_fault = frame->vector == VECTOR_PAGE_FAULT && !(error & 8);
    *trap = (struct trap){
        .kind = is_fault                ? TRAP_FAULT
                : frame->vector == CALL ? TRAP_CALL
                                        : TRAP_OTHER,
        .access = error & 16  ? MMU_EXEC
                  : error & 2 ? MMU_WRITE
                              : MMU_READ,
        .why = error & 1 ? WHY_DENIED : WHY_ABSENT,
        .level = LEVEL_UNTOLD,
        .address = read_cr2(),
        .pc = frame->rip,
        .cause = frame->vector << 32 | error,
    };
}
