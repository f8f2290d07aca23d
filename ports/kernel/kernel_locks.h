/* SPDX-License-Identifier: MIT */
/*
 * kernel_locks.h - the part of aspen_port.h that kernels on all processors have
 * in common: locks, what waits, RCU. The port's header includes it behind
 * ASPEN_PORT_CPUS and what is its own; aspen_kernel.h says what the kernel
 * around it gives and calls. Its own are
 *
 *   aspen_kernel_spin_begins()   no task is taken off this CPU from here
 *   aspen_kernel_spin_ends()     to here
 *   aspen_kernel_read_begins()   the same, for an RCU reader
 *   aspen_kernel_read_ends()
 *   aspen_kernel_pause()         this CPU spins
 */
#ifndef ASPEN_KERNEL_LOCKS_H
#define ASPEN_KERNEL_LOCKS_H

/*
 * What the port keeps for each CPU. `spinning` and `readers` are for kernels
 * whose interrupts take tasks off their CPU while these run in the kernel: the
 * marks count in them. The x86-64 port knows where they stand.
 */
struct aspen_kernel_cpu {
    uint32_t number;
    uint32_t spinning;  /* spin locks held: no sleeping, no preemption */
    uint32_t readers;   /* RCU readers: the same */
    uint32_t idle;      /* nobody reads: it waits, or runs a program */
    uint64_t quiescent; /* counts moments without a reader */
};

/* ---- Spin locks -------------------------------------------------------- */

/*
 * The CPU's count of them keeps its task from being taken off it. Interrupts
 * stay on, so that a CPU that waits for a lock answers the requests to flush
 * its TLB; no interrupt's handler takes a lock of the core.
 */
struct aspen_port_spinlock {
    uint32_t word; /* 1: locked */
};

static inline bool
aspen_port_spin_trylock(struct aspen_port_spinlock *lock)
{
    aspen_kernel_spin_begins();
    if (__atomic_exchange_n(&lock->word, 1, __ATOMIC_ACQUIRE) == 0)
        return true;
    aspen_kernel_spin_ends();
    return false;
}

static inline void
aspen_port_spin_lock(struct aspen_port_spinlock *lock)
{
    while (!aspen_port_spin_trylock(lock))
        while (__atomic_load_n(&lock->word, __ATOMIC_RELAXED))
            aspen_kernel_pause();
}

static inline void
aspen_port_spin_unlock(struct aspen_port_spinlock *lock)
{
    __atomic_store_n(&lock->word, 0, __ATOMIC_RELEASE);
    aspen_kernel_spin_ends();
}

/* ---- Reader-writer locks ----------------------------------------------- */

/*
 *   31       30        29                  0
 *   writer   waiters   readers
 *
 * The fast path is one atomic operation. Who does not get the lock sets the
 * waiters bit, which keeps new readers out, and sleeps (rwlock.c).
 */
struct aspen_port_rwlock {
    uint32_t word;
};

#define ASPEN_KERNEL_RW_WRITER  (1u << 31)
#define ASPEN_KERNEL_RW_WAITERS (1u << 30)

extern void aspen_kernel_read_lock_slow(struct aspen_port_rwlock *lock);
extern int aspen_kernel_write_lock_slow(struct aspen_port_rwlock *lock,
                                        bool killable);
extern void aspen_kernel_rwlock_wake(struct aspen_port_rwlock *lock);

static inline void
aspen_port_rwlock_init(struct aspen_port_rwlock *lock)
{
    lock->word = 0;
}

static inline void
aspen_port_rwlock_destroy(struct aspen_port_rwlock *lock)
{
    (void)lock;
}

static inline bool
aspen_port_read_trylock(struct aspen_port_rwlock *lock)
{
    uint32_t word = __atomic_load_n(&lock->word, __ATOMIC_RELAXED);

    while (word < ASPEN_KERNEL_RW_WAITERS)
        if (__atomic_compare_exchange_n(&lock->word, &word, word + 1, true,
                                        __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return true;
    return false;
}

static inline bool
aspen_port_write_trylock(struct aspen_port_rwlock *lock)
{
    uint32_t unlocked = 0;

    return __atomic_compare_exchange_n(&lock->word, &unlocked,
                                       ASPEN_KERNEL_RW_WRITER, false,
                                       __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static inline void
aspen_port_read_lock(struct aspen_port_rwlock *lock)
{
    if (!aspen_port_read_trylock(lock))
        aspen_kernel_read_lock_slow(lock);
}

static inline void
aspen_port_read_unlock(struct aspen_port_rwlock *lock)
{
    uint32_t before = __atomic_fetch_sub(&lock->word, 1, __ATOMIC_RELEASE);

    if (before == (ASPEN_KERNEL_RW_WAITERS | 1))
        aspen_kernel_rwlock_wake(lock);
}

static inline void
aspen_port_write_lock(struct aspen_port_rwlock *lock)
{
    if (!aspen_port_write_trylock(lock))
        (void)aspen_kernel_write_lock_slow(lock, false);
}

static inline int
aspen_port_write_lock_killable(struct aspen_port_rwlock *lock)
{
    if (aspen_port_write_trylock(lock))
        return 0;
    return aspen_kernel_write_lock_slow(lock, true);
}

static inline void
aspen_port_write_unlock(struct aspen_port_rwlock *lock)
{
    uint32_t before = __atomic_fetch_and(&lock->word, ~ASPEN_KERNEL_RW_WRITER,
                                         __ATOMIC_RELEASE);

    if (before & ASPEN_KERNEL_RW_WAITERS)
        aspen_kernel_rwlock_wake(lock);
}

/* ---- Signals and waiting ----------------------------------------------- */

extern bool aspen_port_fatal_signal_pending(void);
extern void aspen_port_wait_while(const void *key,
                                  bool (*busy)(const void *argument),
                                  const void *argument);
extern void aspen_port_wake_all(const void *key);

/* ---- RCU --------------------------------------------------------------- */

struct aspen_port_rcu_head {
    struct aspen_port_rcu_head *next;
    void (*callback)(struct aspen_port_rcu_head *head);
};

/* A reader is not taken off its CPU: that is all that it takes. */
static inline void
aspen_port_rcu_read_lock(void)
{
    aspen_kernel_read_begins();
}

static inline void
aspen_port_rcu_read_unlock(void)
{
    aspen_kernel_read_ends();
}

extern void
aspen_port_rcu_defer(struct aspen_port_rcu_head *head,
                     void (*callback)(struct aspen_port_rcu_head *head));
extern void aspen_port_rcu_synchronise(void);
extern void aspen_port_rcu_barrier(void);

#endif
