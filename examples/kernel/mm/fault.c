/* SPDX-License-Identifier: MIT */
/*
 * fault.c - a page fault: Aspen repairs it, or the program hears a signal.
 */
#include "mm/fault.h"

#include "mm/space.h"
#include "mm/user.h"
#include "proc/process.h"
#include "sched/thread.h"

#include <aspen/fault.h>

/* Bits of the processor's error code. */
#define FAULT_WRITE 2u
#define FAULT_EXEC  16u

/* What each error of aspen_fault() is to a program: see aspen/fault.h. */
static void
tell_program(int error, uint64_t address)
{
    switch (-error) {
    case EINTR: /* it dies on its way out */
        break;
    case EFAULT:
        signal_fault(SIGSEGV, SEGV_MAPERR, address);
        break;
    case EACCES:
        signal_fault(SIGSEGV, SEGV_ACCERR, address);
        break;
    case ENOMEM:
        print("%s (%d): out of memory at %lx\n", current->process->name,
              current->process->id, address);
        signal_send_process(current->process, SIGKILL);
        break;
    default: /* beyond the end of a file, or its disk does not answer */
        signal_fault(SIGBUS, BUS_ADRERR, address);
        break;
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
        error = aspen_fault(current->mm, address, access);
    if (!error)
        return;
    if (frame_is_user(frame))
        tell_program(error, address);
    else
        frame->rip = user_fixup(frame->rip);
}
