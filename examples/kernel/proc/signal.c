/* SPDX-License-Identifier: MIT */
/*
 * signal.c - who gets a signal, and what it does.
 */
#include "proc/signal.h"

#include "mm/user.h"
#include "proc/process.h"
#include "proc/sigframe.h"

#define UNBLOCKABLE (signal_bit(SIGKILL) | signal_bit(SIGSTOP))
/* What happens to who has no handler: nothing. (Nobody is ever stopped.) */
#define IGNORED                                                                \
    (signal_bit(SIGCHLD) | signal_bit(SIGCONT) | signal_bit(SIGURG) |          \
     signal_bit(SIGWINCH) | signal_bit(SIGSTOP) | signal_bit(SIGTSTP) |        \
     signal_bit(SIGTTIN) | signal_bit(SIGTTOU))

/* ---- Sending ----------------------------------------------------------- */

static bool
is_ignored(const struct signal_action *action, int signal)
{
    return action->handler == SIG_IGN ||
           (action->handler == SIG_DFL && IGNORED & signal_bit(signal));
}

void
signal_send_locked(struct process *process, int signal)
{
    if (process->zombie)
        return;
    if (signal == SIGKILL) {
        if (!process->exiting)
            process->status = SIGKILL;
        process->exiting = true;
        process_end_threads_locked(process, NULL);
        return;
    }
    if (is_ignored(&process->actions[signal - 1], signal)) {
        bool blocked = false;
        list_for_each(entry, &process->threads)
        {
            blocked |= (container_of(entry, struct thread, sibling)->blocked &
                        signal_bit(signal)) != 0;
        }
        if (!blocked)
            return;
    }
    process->pending |= signal_bit(signal);
    list_for_each(entry, &process->threads)
    {
        struct thread *thread = container_of(entry, struct thread, sibling);
        if (!(thread->blocked & signal_bit(signal)))
            wake_thread(thread, true);
    }
}

void
signal_send_thread_locked(struct thread *thread, int signal)
{
    if (signal == SIGKILL) {
        signal_send_locked(thread->process, signal);
    } else if (!is_ignored(&thread->process->actions[signal - 1], signal) ||
               thread->blocked & signal_bit(signal)) {
        thread->pending |= signal_bit(signal);
        wake_thread(thread, true);
    }
}

void
signal_send_self(int signal)
{
    bool on = irq_lock(&process_lock);

    signal_send_thread_locked(current, signal);
    irq_unlock(&process_lock, on);
}

void
signal_send_group(int group, int signal)
{
    bool on = irq_lock(&process_lock);

    list_for_each(entry, &processes)
    {
        struct process *process = container_of(entry, struct process, all);
        if (process->group == group)
            signal_send_locked(process, signal);
    }
    irq_unlock(&process_lock, on);
}

/* Blocked or ignored: then there is no way on for the program. */
void
signal_fault(int signal, int code, uint64_t address)
{
    struct thread *self = current;
    struct signal_action *action = &self->process->actions[signal - 1];
    bool on = irq_lock(&process_lock);

    self->fault_address = address;
    self->fault_code = code;
    self->fault_signal = signal;
    if (self->blocked & signal_bit(signal) || action->handler == SIG_IGN) {
        action->handler = SIG_DFL;
        self->blocked &= ~signal_bit(signal);
    }
    self->pending |= signal_bit(signal);
    irq_unlock(&process_lock, on);
}

/* ---- Receiving --------------------------------------------------------- */

static uint64_t
due_signals(const struct thread *thread)
{
    return (thread->pending | thread->process->pending) & ~thread->blocked;
}

static void
forget_locked(struct process *process, int signal)
{
    process->pending &= ~signal_bit(signal);
    list_for_each(entry, &process->threads)
    {
        container_of(entry, struct thread, sibling)->pending &=
            ~signal_bit(signal);
    }
}

void
signal_set_action(int signal, const struct signal_action *new,
                  struct signal_action *old)
{
    struct process *process = current->process;
    bool on = irq_lock(&process_lock);

    *old = process->actions[signal - 1];
    if (new) {
        process->actions[signal - 1] = *new;
        if (is_ignored(new, signal))
            forget_locked(process, signal);
    }
    irq_unlock(&process_lock, on);
}

/* What came while it was blocked may be ignored: nobody wakes up for it. */
bool
signal_is_pending(void)
{
    struct thread *self = current;

    if (!self->process || self->exits)
        return false;
    if (self->must_die || self->restore_blocked)
        return true;
    if (!due_signals(self))
        return false;
    bool on = irq_lock(&process_lock);
    uint64_t due = due_signals(self), ignored = 0;
    for (int signal = 1; signal <= (int)SIGNALS; signal++)
        if (is_ignored(&self->process->actions[signal - 1], signal))
            ignored |= due & signal_bit(signal);
    self->pending &= ~ignored;
    self->process->pending &= ~ignored;
    irq_unlock(&process_lock, on);
    return due & ~ignored;
}

bool
aspen_port_fatal_signal_pending(void)
{
    return current->process &&
           ((current->must_die && !current->exits) || current->gives_up);
}

void
signal_set_blocked(uint64_t blocked)
{
    bool on = irq_lock(&process_lock);

    current->blocked = blocked & ~UNBLOCKABLE;
    irq_unlock(&process_lock, on);
}

/* That of an exception, or the lowest that is due, or 0. */
static int
take_signal(struct signal_action *action)
{
    struct thread *self = current;
    struct process *process = self->process;
    bool on = irq_lock(&process_lock);
    uint64_t due = due_signals(self);
    int signal = due ? __builtin_ctzll(due) + 1 : 0;

    if (self->fault_signal && due & signal_bit(self->fault_signal))
        signal = self->fault_signal;
    if (signal) {
        if (self->pending & signal_bit(signal))
            self->pending &= ~signal_bit(signal);
        else
            process->pending &= ~signal_bit(signal);
        *action = process->actions[signal - 1];
        if (action->flags & SA_RESETHAND)
            process->actions[signal - 1].handler = SIG_DFL;
    }
    irq_unlock(&process_lock, on);
    return signal;
}

void
signal_settle_call(struct frame *frame, bool again)
{
    if (frame->vector != VECTOR_SYSCALL || frame->rax != (uint64_t)-ERESTART)
        return;
    frame->rax = again ? frame->error : (uint64_t)-EINTR;
    if (again)
        frame->rip -= 2; /* SYSCALL has two bytes */
}

static void
run_handler(struct frame *frame, int signal, const struct signal_action *action)
{
    struct thread *self = current;
    uint64_t saved =
        self->restore_blocked ? self->saved_blocked : self->blocked;
    uint64_t blocked = self->blocked | action->mask;

    self->restore_blocked = false;
    signal_settle_call(frame, action->flags & SA_RESTART);
    if (sigframe_push(frame, signal, action, saved))
        process_exit(SIGSEGV);
    if (!(action->flags & SA_NODEFER))
        blocked |= signal_bit(signal);
    signal_set_blocked(blocked);
}

/* To the log: a program that ends by an exception of its own. */
static void
say_why(const struct frame *frame, int signal)
{
    const struct thread *self = current;

    if (self->fault_signal == signal)
        print("%s (%d): signal %d, code %d, address %lx, at %lx, stack %lx\n",
              self->process->name, self->process->id, signal, self->fault_code,
              self->fault_address, frame->rip, frame->rsp);
}

void
signal_deliver(struct frame *frame)
{
    struct thread *self = current;
    struct signal_action action = {0};
    int signal;

    if (self->must_die) {
        if (self->process->exiting)
            process_exit(self->process->status);
        thread_exit(0);
    }
    while ((signal = take_signal(&action)) != 0) {
        if (is_ignored(&action, signal))
            continue;
        if (action.handler == SIG_DFL) {
            say_why(frame, signal);
            process_exit(signal);
        }
        run_handler(frame, signal, &action);
        return;
    }
    if (self->restore_blocked) {
        self->restore_blocked = false;
        signal_set_blocked(self->saved_blocked);
    }
}

/* ---- Alarms ------------------------------------------------------------ */

void
alarm_tick(void)
{
    bool on = irq_lock(&process_lock);
    uint64_t now = time_now();

    list_for_each(entry, &processes)
    {
        struct process *process = container_of(entry, struct process, all);
        if (!process->alarm || process->alarm > now)
            continue;
        process->alarm = 0;
        signal_send_locked(process, SIGALRM);
    }
    irq_unlock(&process_lock, on);
}
