/* SPDX-License-Identifier: MIT */
/*
 * signal.h - signals, with Linux's numbers and layouts.
 */
#ifndef KERNEL_PROC_SIGNAL_H
#define KERNEL_PROC_SIGNAL_H

#include <stdbool.h>
#include <stdint.h>

struct frame;
struct process;
struct thread;

#define SIGNALS 64u

#define SIGINT   2
#define SIGQUIT  3
#define SIGILL   4
#define SIGTRAP  5
#define SIGBUS   7
#define SIGFPE   8
#define SIGKILL  9
#define SIGSEGV  11
#define SIGPIPE  13
#define SIGALRM  14
#define SIGCHLD  17
#define SIGCONT  18
#define SIGSTOP  19
#define SIGTSTP  20
#define SIGTTIN  21
#define SIGTTOU  22
#define SIGURG   23
#define SIGWINCH 28

#define SI_KERNEL     0x80
#define SEGV_MAPERR   1
#define SEGV_ACCERR   2
#define SEGV_PKUERR   4
#define BUS_ADRALN    1
#define BUS_ADRERR    2
#define BUS_MCEERR_AR 4
#define FPE_INTDIV    1
#define FPE_FLTINV    7
#define ILL_ILLOPN    2
#define TRAP_TRACE    2

#define SIG_DFL 0u
#define SIG_IGN 1u

#define SA_NOCLDWAIT 0x00000002u
#define SA_ONSTACK   0x08000000u
#define SA_RESTART   0x10000000u
#define SA_NODEFER   0x40000000u
#define SA_RESETHAND 0x80000000u

struct signal_action {
    uint64_t handler;
    uint64_t flags;
    uint64_t restorer;
    uint64_t mask;
};

static inline uint64_t
signal_bit(int signal)
{
    return (uint64_t)1 << (signal - 1);
}

/* Context: any, interrupts included. */
void signal_send_self(int signal); /* the current thread */
void signal_send_group(int group, int signal);
/* With process_lock held. */
void signal_send_locked(struct process *process, int signal);
void signal_send_thread_locked(struct thread *thread, int signal);

/* Of the current process. `new`: or NULL. */
void signal_set_action(int signal, const struct signal_action *new,
                       struct signal_action *old);

/* An exception of the current thread. */
void signal_fault(int signal, int code, uint64_t address);

/* Something for the current thread, that it does not block. */
bool signal_is_pending(void);
/* On the way back into the program: build a handler's frame, or end. */
void signal_deliver(struct frame *frame);
long signal_return(struct frame *frame);
/* A call that a signal interrupted: again, or EINTR for the program. */
void signal_settle_call(struct frame *frame, bool again);

/* Other signals blocked, until the next handler has run. */
void signal_set_blocked(uint64_t blocked);

/* From the timer's interrupt: alarms that are due. */
void alarm_tick(void);

#endif
