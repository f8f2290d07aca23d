/* SPDX-License-Identifier: MIT */
/*
 * signals.c - calls that send, block and handle signals.
 */
#include "sys/call.h"

static long
sys_rt_sigaction(const uint64_t *a)
{
    struct signal_action new, old;
    unsigned signal = (unsigned)a[0];

    if (signal < 1 || signal > SIGNALS ||
        (a[1] && (signal == SIGKILL || signal == SIGSTOP)) || a[3] != 8)
        return -EINVAL;
    if (a[1] && user_read(&new, a[1], sizeof(new)))
        return -EFAULT;
    signal_set_action((int)signal, a[1] ? &new : NULL, &old);
    return a[2] ? user_write(a[2], &old, sizeof(old)) : 0;
}

static long
sys_rt_sigprocmask(const uint64_t *a)
{
    uint64_t set, blocked = current->blocked;

    if (a[3] != 8)
        return -EINVAL;
    if (a[1] && user_read(&set, a[1], sizeof(set)))
        return -EFAULT;
    if (a[1] && a[0] > 2)
        return -EINVAL;
    if (a[1])
        signal_set_blocked(a[0] == 0   ? blocked | set
                           : a[0] == 1 ? blocked & ~set
                                       : set);
    return a[2] ? user_write(a[2], &blocked, sizeof(blocked)) : 0;
}

static long
sys_rt_sigreturn(const uint64_t *a)
{
    (void)a;
    return signal_return(thread_frame(current));
}

static long
sys_rt_sigsuspend(const uint64_t *a)
{
    uint64_t set;
    int error;

    if (user_read(&set, a[0], sizeof(set)))
        return -EFAULT;
    current->saved_blocked = current->blocked;
    signal_set_blocked(set);
    WAIT_INTERRUPTIBLE(current, FOREVER, false, error);
    current->restore_blocked = true;
    return error;
}

static long
sys_pause(const uint64_t *a)
{
    int error;

    (void)a;
    WAIT_INTERRUPTIBLE(current, FOREVER, false, error);
    return error;
}

static long
sys_sigaltstack(const uint64_t *a)
{
    struct thread *self = current;
    uint64_t new[3],
        old[3] = {self->alternate_stack, self->alternate_bytes ? 0 : 2,
                  self->alternate_bytes};

    if (a[0] && user_read(new, a[0], sizeof(new)))
        return -EFAULT;
    if (a[1] && user_write(a[1], old, sizeof(old)))
        return -EFAULT;
    if (!a[0])
        return 0;
    if (!(new[1] & 2) && new[2] < 2048)
        return -ENOMEM;
    self->alternate_stack = new[0];
    self->alternate_bytes = new[1] & 2 ? 0 : new[2];
    return 0;
}

/* All others, for -1, but the first one. */
static bool
is_meant(const struct process *process, int id)
{
    return process_is_meant(process, id) &&
           (id != -1 || (process->id != 1 && process != current->process));
}

static long
sys_kill(const uint64_t *a)
{
    int id = (int)a[0], signal = (int)a[1];
    bool any = false;

    if (signal < 0 || signal > (int)SIGNALS)
        return -EINVAL;
    bool on = irq_lock(&process_lock);
    list_for_each(entry, &processes)
    {
        struct process *process = container_of(entry, struct process, all);
        if (!is_meant(process, id))
            continue;
        any = true;
        if (signal)
            signal_send_locked(process, signal);
    }
    irq_unlock(&process_lock, on);
    return any ? 0 : -ESRCH;
}

static long
sys_tgkill(const uint64_t *a)
{
    int id = (int)a[1], signal = (int)a[2];

    if (signal < 0 || signal > (int)SIGNALS)
        return -EINVAL;
    bool on = irq_lock(&process_lock);
    struct thread *thread = thread_find(id);
    if (thread && thread->process->id != (int)a[0])
        thread = NULL;
    if (thread && signal)
        signal_send_thread_locked(thread, signal);
    irq_unlock(&process_lock, on);
    return thread ? 0 : -ESRCH;
}

/* ---- Alarms ------------------------------------------------------------ */

static long
sys_alarm(const uint64_t *a)
{
    struct process *process = current->process;
    uint64_t now = time_now(), before = process->alarm;
    bool on = irq_lock(&process_lock);

    process->alarm = (uint32_t)a[0] ? now + (uint32_t)a[0] * SECOND : 0;
    irq_unlock(&process_lock, on);
    return before > now ? (long)((before - now + SECOND - 1) / SECOND) : 0;
}

const struct call signal_calls[] = {
    {13, sys_rt_sigaction},   {14, sys_rt_sigprocmask},
    {15, sys_rt_sigreturn},   {34, sys_pause},
    {37, sys_alarm},          {62, sys_kill},
    {130, sys_rt_sigsuspend}, {131, sys_sigaltstack},
    {234, sys_tgkill},        {0, NULL},
};
