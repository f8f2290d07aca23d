/* SPDX-License-Identifier: MIT */
/*
 * thread.h - threads, sleeping and waking.
 *
 * The kernel is not preempted: a thread leaves its CPU when it sleeps, when it
 * yields, or on its way back into a user program. One lock, of the scheduler,
 * covers the run queue and who sleeps on what.
 */
#ifndef KERNEL_SCHED_THREAD_H
#define KERNEL_SCHED_THREAD_H

#include "cpu/cpu.h"
#include "cpu/trap.h"
#include "lib/lib.h"

#ifdef ASPEN_TEST_BUILD
#include <aspen/lock_order.h>
#endif

#define STACK_BYTES 16384u

struct aspen_mm;
struct process;

enum thread_state {
    THREAD_RUNS, /* or waits for a CPU */
    THREAD_SLEEPS,
    THREAD_DEAD,
};

/* At the bottom of its kernel stack. */
struct thread {
    uint64_t rsp; /* while another one runs */
    uint64_t fs_base;
    struct aspen_mm *mm; /* whose tables it needs; NULL: only the kernel's */
    enum thread_state state;
    bool on_cpu;
    bool interruptible; /* a signal ends its sleep */
    struct list run;    /* in the run queue */
    struct list wait;   /* in a bucket of those who sleep */
    struct list timed;  /* among those who sleep for a time */
    const void *key;    /* what it sleeps on; NULL: on nothing */
    uint64_t deadline;
#ifdef ASPEN_TEST_BUILD
    struct aspen_lock_order lock_order;
#endif
    /* What a user program's thread is beside that; see proc/process.h. */
    struct process *process;
    struct list sibling; /* process->threads */
    int id;
    uint64_t blocked; /* signals, bit number - 1 */
    uint64_t pending;
    uint64_t saved_blocked; /* of rt_sigsuspend, while `restore_blocked` */
    bool restore_blocked;
    bool must_die; /* of exit_group, exec, SIGKILL */
    bool exits;    /* it does so already */
    bool gives_up; /* swapoff: somebody else needs the memory */
    uint64_t alternate_stack, alternate_bytes;
    uint64_t clear_tid;     /* a user's address, or 0 */
    uint64_t fault_address; /* for siginfo of a synchronous signal */
    int fault_code, fault_signal;
    struct thread *vfork_child; /* that has its memory, while it waits */
    int vfork_parent;           /* who waits for this one, if he lives; or 0 */
    uint64_t fail_number;       /* of the next call, the step that fails */
    uint64_t canary;
    uint8_t fpu[512] __attribute__((aligned(16)));
};

/* What the processor has after a reset: FCW, MXCSR. */
extern const uint8_t fpu_reset[512];

#define THREAD_CANARY 0x7468726561645f5fu

static inline struct frame *
thread_frame(struct thread *thread)
{
    return (struct frame *)((char *)thread + STACK_BYTES) - 1;
}

/* A thread that is not runnable yet; NULL: no memory. It runs
 * function(argument), and then what its frame says. */
struct thread *thread_create(void (*function)(void *), void *argument);
void thread_start(struct thread *thread);
/* One that was never started. */
void thread_free(struct thread *thread);
/* A thread of the kernel alone, which never ends. */
void thread_kernel(void (*function)(void *), void *argument);
_Noreturn void thread_end(void);

/* It needs other tables from now on, or none. */
void thread_set_mm(struct thread *thread, struct aspen_mm *mm);

void schedule(void);
void take_turns(void);           /* the same, if this one's time is over */
void sched_adopt(void *stack);   /* whoever runs here is a thread */
_Noreturn void sched_idle(void); /* and has nothing more to do */
void sched_tick(void);           /* from the timer's interrupt */

/* ---- Sleeping ---------------------------------------------------------- */

#define FOREVER 0u

/*
 * The current thread sleeps at its next schedule(), unless somebody wakes it
 * before. So: wait_begin(), look once more, schedule() or not, wait_end().
 */
void wait_begin(const void *key, bool interruptible, uint64_t deadline);
void wait_end(void);
void wake_all(const void *key);
/* A thread that sleeps interruptibly, or any. */
void wake_thread(struct thread *thread, bool interruptible_only);

/* No signal ends it. */
void thread_sleep(uint64_t until);

/* Why who waits until then waits no longer; 0: it does. */
int wait_error(uint64_t until);

#define WAIT_LOOP_(key, interruptible, until, done)                            \
    do {                                                                       \
        for (;;) {                                                             \
            wait_begin(key, interruptible, until);                             \
            if (done)                                                          \
                break;                                                         \
            schedule();                                                        \
            wait_end();                                                        \
        }                                                                      \
        wait_end();                                                            \
    } while (0)

/* Sleep until `condition` holds. */
#define WAIT(key, condition) WAIT_LOOP_(key, false, FOREVER, condition)

/* The same until a signal comes (-EINTR) or time is up (-ETIMEDOUT). */
#define WAIT_INTERRUPTIBLE(key, until, condition, error)                       \
    do {                                                                       \
        uint64_t until_ = (until);                                             \
        error = 0;                                                             \
        WAIT_LOOP_(key, true, until_,                                          \
                   (condition) || (error = wait_error(until_)) != 0);          \
    } while (0)

/* ---- Locks ------------------------------------------------------------- */

/* With interrupts off: for what interrupts touch. */
struct irq_lock {
    uint32_t word;
};

bool irq_lock(struct irq_lock *lock); /* whether interrupts were on */
void irq_unlock(struct irq_lock *lock, bool on);

/* Held while sleeping; the port's own. */
struct mutex {
    struct aspen_port_rwlock lock;
};

static inline void
mutex_lock(struct mutex *mutex)
{
    aspen_port_write_lock(&mutex->lock);
}

static inline void
mutex_unlock(struct mutex *mutex)
{
    aspen_port_write_unlock(&mutex->lock);
}

#define spinlock    aspen_port_spinlock
#define spin_lock   aspen_port_spin_lock
#define spin_unlock aspen_port_spin_unlock

/* ---- Time -------------------------------------------------------------- */

#define SECOND ((uint64_t)1000000000)

uint64_t time_now(void);  /* nanoseconds since the start; never 0 */
uint64_t time_unix(void); /* and since 1970 */

#endif
