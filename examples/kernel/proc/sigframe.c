/* SPDX-License-Identifier: MIT */
/*
 * sigframe.c - a program's state goes on its stack, and comes back from there.
 * The layout is that of Linux's struct rt_sigframe.
 */
#include "proc/sigframe.h"

#include "mm/user.h"
#include "proc/process.h"

#define RED_ZONE 128u

struct context {
    uint64_t flags;
    uint64_t link;
    uint64_t stack, stack_flags, stack_bytes;
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
    uint64_t rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, rflags;
    uint16_t cs, gs, fs, ss;
    uint64_t error, trap, old_mask, cr2;
    uint64_t fpu;
    uint64_t reserved[8];
    uint64_t blocked;
};

struct info {
    int32_t signal, error, code, padding;
    uint64_t address;
    uint8_t rest[104];
};

struct sigframe {
    uint64_t returns_to;
    struct context context;
    struct info info;
};

static void
save(struct context *context, const struct frame *frame)
{
    *context = (struct context){
        .r8 = frame->r8,
        .r9 = frame->r9,
        .r10 = frame->r10,
        .r11 = frame->r11,
        .r12 = frame->r12,
        .r13 = frame->r13,
        .r14 = frame->r14,
        .r15 = frame->r15,
        .rdi = frame->rdi,
        .rsi = frame->rsi,
        .rbp = frame->rbp,
        .rbx = frame->rbx,
        .rdx = frame->rdx,
        .rax = frame->rax,
        .rcx = frame->rcx,
        .rsp = frame->rsp,
        .rip = frame->rip,
        .rflags = frame->rflags,
        .cs = USER_CODE,
        .ss = USER_DATA,
    };
}

static void
restore(const struct context *context, struct frame *frame)
{
    *frame = (struct frame){
        .r8 = context->r8,
        .r9 = context->r9,
        .r10 = context->r10,
        .r11 = context->r11,
        .r12 = context->r12,
        .r13 = context->r13,
        .r14 = context->r14,
        .r15 = context->r15,
        .rdi = context->rdi,
        .rsi = context->rsi,
        .rbp = context->rbp,
        .rbx = context->rbx,
        .rdx = context->rdx,
        .rax = context->rax,
        .rcx = context->rcx,
        .rsp = context->rsp,
        .rip = context->rip,
        .cs = USER_CODE,
        .ss = USER_DATA,
        /* Only what a program may set itself. */
        .rflags = (context->rflags & 0xcd5) | 0x202,
    };
}

static uint64_t
stack_for(const struct frame *frame, const struct signal_action *action)
{
    struct thread *self = current;
    uint64_t base = self->alternate_stack, bytes = self->alternate_bytes;

    if (action->flags & SA_ONSTACK && bytes && frame->rsp - base > bytes)
        return base + bytes;
    return frame->rsp - RED_ZONE;
}

int
sigframe_push(struct frame *frame, int signal,
              const struct signal_action *action, uint64_t blocked)
{
    struct thread *self = current;
    struct sigframe push = {.returns_to = action->restorer};
    uint64_t fpu = round_down(stack_for(frame, action) - sizeof(self->fpu), 64);
    /* As after a call: 8 below what is aligned. */
    uint64_t at = round_down(fpu - sizeof(push), 16) - 8;

    save(&push.context, frame);
    push.context.stack = self->alternate_stack;
    push.context.stack_bytes = self->alternate_bytes;
    push.context.stack_flags = self->alternate_bytes ? 0 : 2;
    push.context.fpu = fpu;
    push.context.blocked = blocked;
    push.info.signal = signal;
    if (self->fault_signal == signal) {
        push.info.code = self->fault_code;
        push.info.address = self->fault_address;
        push.context.cr2 = self->fault_address;
        self->fault_signal = 0;
    }
    __asm__ volatile("fxsave64 %0" : "=m"(self->fpu));
    if (user_write(fpu, self->fpu, sizeof(self->fpu)) ||
        user_write(at, &push, sizeof(push)))
        return -EFAULT;
    frame->rip = action->handler;
    frame->rsp = at;
    frame->rdi = (uint64_t)signal;
    frame->rsi = at + offsetof(struct sigframe, info);
    frame->rdx = at + offsetof(struct sigframe, context);
    frame->rax = 0;
    frame->rflags &= ~(uint64_t)0x500; /* DF, TF */
    return 0;
}

long
signal_return(struct frame *frame)
{
    struct context context;
    /* Not the thread's own, which is written if it sleeps meanwhile. */
    uint8_t fpu[512] __attribute__((aligned(16)));

    if (user_read(&context, frame->rsp, sizeof(context)) ||
        (context.fpu && user_read(fpu, context.fpu, sizeof(fpu))))
        process_exit(SIGSEGV);
    if (context.fpu) {
        /* What MXCSR does not have would be an exception of the kernel. */
        uint32_t mxcsr;
        memcpy(&mxcsr, fpu + 24, 4);
        mxcsr &= 0xffbf;
        memcpy(fpu + 24, &mxcsr, 4);
        __asm__ volatile("fxrstor64 %0" ::"m"(fpu));
    }
    restore(&context, frame);
    signal_set_blocked(context.blocked);
    return (long)frame->rax;
}
