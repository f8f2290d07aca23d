/* SPDX-License-Identifier: MIT */
/*
 * traps.c - exceptions and interrupts, by their number.
 */
#include "cpu/trap.h"

#include "dev/apic.h"
#include "dev/disk.h"
#include "fs/tty.h"
#include "mm/fault.h"
#include "mm/space.h"
#include "mm/user.h"
#include "proc/signal.h"
#include "sched/thread.h"

struct gate {
    uint16_t offset_0;
    uint16_t selector;
    uint8_t ist;
    uint8_t type;
    uint16_t offset_16;
    uint32_t offset_32;
    uint32_t reserved;
};

#define GATE_INTERRUPT 0x8eu /* interrupts go off */
#define GATE_USER      0x60u /* programs may say INT */

static struct gate idt[256];
extern char trap_stubs[];

/* What an exception of a program is to it. */
static const struct {
    uint8_t signal;
    int code;
} exceptions[32] = {
    [0] = {SIGFPE, FPE_INTDIV},  [1] = {SIGTRAP, TRAP_TRACE},
    [3] = {SIGTRAP, SI_KERNEL},  [4] = {SIGSEGV, SI_KERNEL},
    [5] = {SIGSEGV, SI_KERNEL},  [6] = {SIGILL, ILL_ILLOPN},
    [11] = {SIGBUS, SI_KERNEL},  [12] = {SIGBUS, SI_KERNEL},
    [13] = {SIGSEGV, SI_KERNEL}, [16] = {SIGFPE, FPE_FLTINV},
    [17] = {SIGBUS, BUS_ADRALN}, [19] = {SIGFPE, FPE_FLTINV},
};

void
idt_init(void)
{
    for (unsigned i = 0; i < LENGTH(idt); i++) {
        uint64_t address = (uint64_t)(uintptr_t)trap_stubs + i * 16;
        idt[i] = (struct gate){
            .offset_0 = (uint16_t)address,
            .selector = KERNEL_CODE,
            .ist = i == VECTOR_DOUBLE_FAULT ? 1 : 0,
            .type = GATE_INTERRUPT | (i == VECTOR_BREAKPOINT ? GATE_USER : 0),
            .offset_16 = (uint16_t)(address >> 16),
            .offset_32 = (uint32_t)(address >> 32),
        };
    }
}

void
idt_load(void)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed))
    pointer = {sizeof(idt) - 1, (uint64_t)(uintptr_t)idt};

    __asm__ volatile("lidt %0" ::"m"(pointer));
}

_Noreturn void
trap_panic(const struct frame *frame, uint64_t address)
{
    print("rax %lx rbx %lx rcx %lx rdx %lx rsi %lx rdi %lx\n", frame->rax,
          frame->rbx, frame->rcx, frame->rdx, frame->rsi, frame->rdi);
    print("rbp %lx rsp %lx r8 %lx r9 %lx r12 %lx r13 %lx\n", frame->rbp,
          frame->rsp, frame->r8, frame->r9, frame->r12, frame->r13);
    panic("exception %u, error %lx, at %lx, address %lx",
          (unsigned)frame->vector, frame->error, frame->rip, address);
}

static void
interrupt(struct frame *frame)
{
    switch (frame->vector) {
    case VECTOR_TIMER:
        apic_end_interrupt();
        sched_tick();
        if (aspen_port_cpu() == 0)
            alarm_tick();
        break;
    case VECTOR_KICK:
        apic_end_interrupt();
        aspen_x86_64_tlb_interrupt();
        space_leave_ended();
        break;
    case VECTOR_SERIAL:
        tty_interrupt();
        apic_end_interrupt();
        break;
    case VECTOR_DISK:
        disk_interrupt();
        apic_end_interrupt();
        break;
    case VECTOR_SPURIOUS:
        break;
    default:
        panic("interrupt %u", (unsigned)frame->vector);
    }
}

static void
exception(struct frame *frame)
{
    if (!frame_is_user(frame) || !exceptions[frame->vector].signal)
        trap_panic(frame, 0);
    interrupts_on();
    signal_fault(exceptions[frame->vector].signal,
                 exceptions[frame->vector].code,
                 frame->vector == 6 || frame->vector == 0 ? frame->rip : 0);
}

void
trap_enter(struct frame *frame)
{
    if (frame_is_user(frame))
        aspen_kernel_quiescent(&this_cpu()->port);
    if (frame->vector >= 32) {
        interrupt(frame);
    } else if (frame->vector == VECTOR_PAGE_FAULT) {
        uint64_t address = read_cr2();
        if (frame->rflags & 0x200)
            interrupts_on();
        page_fault(frame, address);
    } else {
        exception(frame);
    }
}

/* SYSRET gives back what SYSCALL took, where that has not been changed. */
static bool
sysret_does(const struct frame *frame)
{
    return frame->vector == VECTOR_SYSCALL && frame->rcx == frame->rip &&
           frame->r11 == frame->rflags && frame->cs == USER_CODE &&
           frame->ss == USER_DATA && frame->rip >> 47 == 0 &&
           !(frame->rflags & 0x10100); /* RF, TF */
}

bool
trap_leave(struct frame *frame)
{
    for (;;) {
        bool resched = this_cpu()->resched;
        /* IRET to what is no address would be an exception of the kernel. */
        if (frame->rip >= USER_LIMIT && !signal_is_pending())
            signal_fault(SIGSEGV, SI_KERNEL, 0);
        if (!resched && !signal_is_pending())
            break;
        interrupts_on();
        if (resched)
            schedule();
        signal_deliver(frame);
        interrupts_off();
    }
    signal_settle_call(frame, true);
    return sysret_does(frame);
}
