/* SPDX-License-Identifier: MIT */
/*
 * untraced.c - clones that ask for CLONE_UNTRACED, so that no tracer gets the
 * new task.
 *
 * The filter is inherited all the same, and what it stops answers ENOSYS when
 * there is no tracer: the new task could make no call that matters. So the
 * kernel is asked without the flag, and the guest's own argument is put back
 * before anybody could look at it.
 *
 * Called by follow.c. tests/tools/shadow.sh breaks first.
 */
#define _GNU_SOURCE
#include "guest/drive.h"
#include "guest/parts.h"
#include "host/processor.h"

#include <errno.h>
#include <sched.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

/* clone has the flags in a register, clone3 in memory, to which one leads. */
static bool
flags_set(pid_t tid, const struct linux_call *call, uint64_t flags)
{
    struct user_regs_struct registers;

    if (call->number == SYS_clone3)
        return ptrace(PTRACE_POKEDATA, tid,
                      (void *)(uintptr_t)call->arguments[0],
                      (void *)(uintptr_t)flags) == 0;
    if (!guest_registers(tid, &registers))
        return false;
    processor_set_first_argument(&registers, flags);
    return guest_registers_set(tid, &registers);
}

void
guest_untraced_clear(struct guest_task *task)
{
    struct guest_call *call = &task->call;
    uint64_t flags = call->clone_flags & ~(uint64_t)CLONE_UNTRACED;

    if (!(call->clone_flags & CLONE_UNTRACED) ||
        !flags_set(task->tid, &call->call, flags))
        return;
    call->clone_flags = flags;
    call->untraced = true;
}

static void
restore(pid_t tid, const struct linux_call *call, uint64_t flags)
{
    if (call->number == SYS_clone3 || PROCESSOR_KEEPS_ARGUMENTS)
        (void)flags_set(tid, call, flags | CLONE_UNTRACED);
}

void
guest_untraced_restore(struct guest_task *task)
{
    struct guest_call *call = &task->call;

    if (!call->untraced)
        return;
    call->untraced = false;
    restore(task->tid, &call->call, call->clone_flags);
}

/* The registers and the memory of the call are in task->call for it. */
void
guest_untraced_restore_child(struct guest_task *task)
{
    const struct guest_call *call = &task->call;

    if (!task->untraced)
        return;
    task->untraced = false;
    if (call->call.number != SYS_clone3 || !(call->clone_flags & CLONE_VM))
        restore(task->tid, &call->call, call->clone_flags);
}
