/* SPDX-License-Identifier: MIT */
/*
 * aspen_port.h of the x86-64 port: a kernel on the bare machine, whose page
 * tables the processor walks. ports/template/aspen_port.h has the contract of
 * each function; aspen_x86_64.h says what the kernel has to give, and when it
 * has to call. examples/kernel is such a kernel.
 *
 * What a kernel does in its own way (memory, sleeping, signals, panic) is
 * declared here and defined by it; what is the same in all of them (locks,
 * RCU, shoot-down of TLBs) is in this folder.
 */
#ifndef ASPEN_PORT_H
#define ASPEN_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- What we are ------------------------------------------------------- */

#define ASPEN_PORT_CPUS 8
#define ASPEN_PORT_PAGING_X86_64
#define ASPEN_PORT_MMU_WRITES_ENTRIES

/*
 * What the port keeps for each CPU. The kernel's own record begins with it,
 * and in the kernel GS points to it.
 */
struct aspen_x86_64_cpu {
    uint32_t number;
    uint32_t spinning;  /* spin locks held: no sleeping, no preemption */
    uint32_t readers;   /* RCU readers: the same */
    uint32_t idle;      /* nobody reads: it waits for an interrupt */
    uint64_t quiescent; /* counts moments without a reader */
};

static inline unsigned
aspen_port_cpu(void)
{
    unsigned number;

    __asm__ volatile("movl %%gs:0, %0" : "=r"(number));
    return number;
}

/* ---- Memory ------------------------------------------------------------ */

extern void *aspen_port_memory_alloc(size_t bytes);
extern void aspen_port_memory_free(void *memory, size_t bytes);

static inline void *
aspen_port_frame_pointer(void *direct_map, uint32_t frame)
{
    return (char *)direct_map + ((size_t)frame << 12);
}

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
    __asm__ volatile("incl %%gs:4" ::: "memory", "cc");
    if (__atomic_exchange_n(&lock->word, 1, __ATOMIC_ACQUIRE) == 0)
        return true;
    __asm__ volatile("decl %%gs:4" ::: "memory", "cc");
    return false;
}

static inline void
aspen_port_spin_lock(struct aspen_port_spinlock *lock)
{
    while (!aspen_port_spin_trylock(lock))
        while (__atomic_load_n(&lock->word, __ATOMIC_RELAXED))
            __asm__ volatile("pause");
}

static inline void
aspen_port_spin_unlock(struct aspen_port_spinlock *lock)
{
    __atomic_store_n(&lock->word, 0, __ATOMIC_RELEASE);
    __asm__ volatile("decl %%gs:4" ::: "memory", "cc");
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

#define ASPEN_X86_64_RW_WRITER  (1u << 31)
#define ASPEN_X86_64_RW_WAITERS (1u << 30)

extern void aspen_x86_64_read_lock_slow(struct aspen_port_rwlock *lock);
extern int aspen_x86_64_write_lock_slow(struct aspen_port_rwlock *lock,
                                        bool killable);
extern void aspen_x86_64_rwlock_wake(struct aspen_port_rwlock *lock);

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

    while (word < ASPEN_X86_64_RW_WAITERS)
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
                                       ASPEN_X86_64_RW_WRITER, false,
                                       __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static inline void
aspen_port_read_lock(struct aspen_port_rwlock *lock)
{
    if (!aspen_port_read_trylock(lock))
        aspen_x86_64_read_lock_slow(lock);
}

static inline void
aspen_port_read_unlock(struct aspen_port_rwlock *lock)
{
    uint32_t before = __atomic_fetch_sub(&lock->word, 1, __ATOMIC_RELEASE);

    if (before == (ASPEN_X86_64_RW_WAITERS | 1))
        aspen_x86_64_rwlock_wake(lock);
}

static inline void
aspen_port_write_lock(struct aspen_port_rwlock *lock)
{
    if (!aspen_port_write_trylock(lock))
        (void)aspen_x86_64_write_lock_slow(lock, false);
}

static inline int
aspen_port_write_lock_killable(struct aspen_port_rwlock *lock)
{
    if (aspen_port_write_trylock(lock))
        return 0;
    return aspen_x86_64_write_lock_slow(lock, true);
}

static inline void
aspen_port_write_unlock(struct aspen_port_rwlock *lock)
{
    uint32_t before = __atomic_fetch_and(&lock->word, ~ASPEN_X86_64_RW_WRITER,
                                         __ATOMIC_RELEASE);

    if (before & ASPEN_X86_64_RW_WAITERS)
        aspen_x86_64_rwlock_wake(lock);
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
    __asm__ volatile("incl %%gs:8" ::: "memory", "cc");
}

static inline void
aspen_port_rcu_read_unlock(void)
{
    __asm__ volatile("decl %%gs:8" ::: "memory", "cc");
}

extern void
aspen_port_rcu_defer(struct aspen_port_rcu_head *head,
                     void (*callback)(struct aspen_port_rcu_head *head));
extern void aspen_port_rcu_synchronise(void);
extern void aspen_port_rcu_barrier(void);

/* ---- Processor --------------------------------------------------------- */

struct aspen_tlb_flush; /* aspen/tlb.h */
extern void aspen_port_tlb_flush(const struct aspen_tlb_flush *flush);

static inline void
aspen_port_cache_flush(uint32_t root)
{
    (void)root; /* caches are tagged by physical addresses */
}

extern _Noreturn void aspen_port_panic(const char *message);

/* ---- Test builds ------------------------------------------------------- */

#ifdef ASPEN_TEST_BUILD
struct aspen_lock_order;
extern struct aspen_lock_order *aspen_port_lock_order(void);
#endif

#endif
