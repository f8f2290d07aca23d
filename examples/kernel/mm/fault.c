/* SPDX-License-Identifier: MIT */
/*
 * fault.c - a page fault: Aspen repairs it, or the program hears a signal.
 */
#include "mm/fault.h"

#include "mm/oom.h"
#include "mm/space.h"
#include "mm/user.h"
#include "proc/process.h"
#include "sched/thread.h"

#include <aspen/error.h>
#include <aspen/fault.h>

/* Bits of the processor's error code. */
#define FAULT_WRITE 2u
#define FAULT_EXEC  16u

struct verdict {
    int error;
    int signal; /* 0: none */
    int code;
};

/* The table of aspen/fault.h; all others are SIGBUS, BUS_ADRERR. */
static const struct verdict verdicts[] = {
    {ASPEN_EFAULT, SIGSEGV, SEGV_MAPERR},
    {ASPEN_EACCES, SIGSEGV, SEGV_ACCERR},
    {ASPEN_EKEYREJECTED, SIGSEGV, SEGV_PKUERR},
    {ASPEN_EHWPOISON, SIGBUS, BUS_MCEERR_AR},
    {ASPEN_ENOMEM, SIGKILL, 0},
    {ASPEN_ESRCH, SIGKILL, 0},
    {ASPEN_EINTR, 0, 0},
    {ASPEN_EAGAIN, 0, 0},
};

static void
tell_program(int error, uint64_t address)
{
    struct verdict verdict = {0, SIGBUS, BUS_ADRERR};

    for (unsigned i = 0; i < LENGTH(verdicts); i++)
        if (verdicts[i].error == -error)
            verdict = verdicts[i];
    if (verdict.signal == SIGKILL) {
        print("%s (%d): out of memory at %lx\n", current->process->name,
              current->process->id, address);
        signal_send_self(SIGKILL);
    } else if (verdict.signal) {
        signal_fault(verdict.signal, verdict.code, address);
    }
}

void
page_fault(struct frame *frame, uint64_t address)
{
    unsigned access = frame->error & FAULT_EXEC    ? ASPEN_ACCESS_EXEC
                      : frame->error & FAULT_WRITE ? ASPEN_ACCESS_WRITE
                                                   : ASPEN_ACCESS_READ;
    int error = -EFAULT;

    if (!frame_is_user(frame) && !user_fixup(frame->rip))
        trap_panic(frame, address);
    if (address < USER_LIMIT && current->mm)
        do
            error = aspen_fault(current->mm, address, access);
        while (error == -ASPEN_ENOMEM && oom_make_room());
    take_turns();
    if (!error)
        return;
    if (frame_is_user(frame))
        tell_program(error, address);
    else
        frame->rip = user_fixup(frame->rip);
}
