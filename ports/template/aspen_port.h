/* SPDX-License-Identifier: MIT */
/*
 * aspen_port.h - everything the core asks of its host. Copy this file, keep
 * the names, replace the bodies. docs/use/porting.md walks through it.
 *
 * As it stands it compiles: locks are bare-metal spin loops on one word, and
 * what only you can know is declared `extern`, for your kernel to define.
 * The core calls nothing else but memcpy, memmove, memset and memcmp.
 *
 * Context: unless a comment says otherwise a function may be called with any
 * of the core's locks held and must not sleep.
 */
#ifndef ASPEN_PORT_H
#define ASPEN_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- What you are ------------------------------------------------------ */

/* CPUs that aspen_port_cpu() can name: 0 .. ASPEN_PORT_CPUS - 1. */
#define ASPEN_PORT_CPUS 8

/*
 * Page-table format, as the processor is set up: ASPEN_PORT_PAGING_X86_64, or
 * ASPEN_PORT_PAGING_X86_64_LA57 with CR4.LA57; ASPEN_PORT_PAGING_AARCH64;
 * ASPEN_PORT_PAGING_RISCV_SV39 or ASPEN_PORT_PAGING_RISCV_SV48.
 */
#if defined(__aarch64__)
#define ASPEN_PORT_PAGING_AARCH64
#elif defined(__x86_64__)
#define ASPEN_PORT_PAGING_X86_64
#elif defined(__riscv)
#define ASPEN_PORT_PAGING_RISCV_SV39
#endif

/*
 * Does somebody write accessed and dirty bits into page-table entries while the
 * core changes them? Real processors do; software that walks these tables in
 * their place may, by compare and exchange. Where nobody but the core writes
 * entries - whoever walks them faults on a page that is not accessed yet, or
 * before a write not dirty - leave it out and save a locked operation for each
 * page.
 */
#define ASPEN_PORT_MMU_WRITES_ENTRIES

/* ---- Memory for metadata ----------------------------------------------- */

/*
 * `bytes` of zeroed memory aligned to 4096, or NULL: any size, when a machine
 * is created and at run time. Mostly it is chunks of 16 KiB for many objects.
 * It must not sleep: locks may be held, the spin lock of a page cache among
 * them.
 */
extern void *aspen_port_memory_alloc(size_t bytes);
extern void aspen_port_memory_free(void *memory, size_t bytes);

/*
 * The direct map: where frame `frame` of the machine whose configuration said
 * `direct_map` can be read and written.
 */
static inline void *
aspen_port_frame_pointer(void *direct_map, uint32_t frame)
{
    return (char *)direct_map + ((size_t)frame << 12);
}

/* ---- Locks ------------------------------------------------------------- */

/* At most 4 bytes; all zero is unlocked. Disables preemption if you have it. */
struct aspen_port_spinlock {
    uint32_t word;
};

static inline bool
aspen_port_spin_trylock(struct aspen_port_spinlock *lock)
{
    return __atomic_exchange_n(&lock->word, 1, __ATOMIC_ACQUIRE) == 0;
}

static inline void
aspen_port_spin_lock(struct aspen_port_spinlock *lock)
{
    while (!aspen_port_spin_trylock(lock))
        while (__atomic_load_n(&lock->word, __ATOMIC_RELAXED))
            ;
}

static inline void
aspen_port_spin_unlock(struct aspen_port_spinlock *lock)
{
    __atomic_store_n(&lock->word, 0, __ATOMIC_RELEASE);
}

/*
 * A reader-writer lock whose holder may sleep; a writer that waits keeps new
 * readers out or not, as you like. All zero need not be unlocked: the core
 * calls init and destroy.
 */
struct aspen_port_rwlock {
    uint32_t word; /* readers; all ones: a writer */
};

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
    uint32_t readers = __atomic_load_n(&lock->word, __ATOMIC_RELAXED);
    return readers != UINT32_MAX &&
           __atomic_compare_exchange_n(&lock->word, &readers, readers + 1,
                                       false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED);
}

static inline bool
aspen_port_write_trylock(struct aspen_port_rwlock *lock)
{
    uint32_t unlocked = 0;
    return __atomic_compare_exchange_n(&lock->word, &unlocked, UINT32_MAX,
                                       false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED);
}

static inline void
aspen_port_read_lock(struct aspen_port_rwlock *lock)
{
    while (!aspen_port_read_trylock(lock))
        ;
}

static inline void
aspen_port_read_unlock(struct aspen_port_rwlock *lock)
{
    __atomic_fetch_sub(&lock->word, 1, __ATOMIC_RELEASE);
}

static inline void
aspen_port_write_lock(struct aspen_port_rwlock *lock)
{
    while (!aspen_port_write_trylock(lock))
        ;
}

static inline void
aspen_port_write_unlock(struct aspen_port_rwlock *lock)
{
    __atomic_store_n(&lock->word, 0, __ATOMIC_RELEASE);
}

/*
 * Is the current task about to be killed? The core polls it at every
 * cancellation point and then answers -ASPEN_EINTR.
 */
extern bool aspen_port_fatal_signal_pending(void);

/* 0, or -4 (ASPEN_EINTR): a fatal signal came while waiting; not locked. */
static inline int
aspen_port_write_lock_killable(struct aspen_port_rwlock *lock)
{
    while (!aspen_port_write_trylock(lock))
        if (aspen_port_fatal_signal_pending())
            return -4;
    return 0;
}

/* ---- Waiting ----------------------------------------------------------- */

/*
 * Sleep while busy(argument) is true. `key` names what is waited for; a
 * wake of the same key makes the port ask again, also one that comes between
 * busy()'s answer and the sleep. Spurious wake-ups are fine. busy() takes no
 * lock and does not wait, so it may be asked under the lock of the port's own
 * that wake takes, and with interrupts off.
 * Context: wait: no spin lock is held. May sleep. wake: any lock of the core's
 * may be held; what `key` pointed to may be gone.
 */
extern void aspen_port_wait_while(const void *key,
                                  bool (*busy)(const void *argument),
                                  const void *argument);
extern void aspen_port_wake_all(const void *key);

/* ---- RCU --------------------------------------------------------------- */

/* At most 16 bytes. */
struct aspen_port_rcu_head {
    struct aspen_port_rcu_head *next;
    void (*callback)(struct aspen_port_rcu_head *head);
};

/* Sections of one task may lie in one another; nobody sleeps in one. */
extern void aspen_port_rcu_read_lock(void);
extern void aspen_port_rcu_read_unlock(void);

/*
 * Call callback(head) once after every reader that runs now has finished. The
 * core passes batches: one head stands for many objects.
 *
 * A callback takes spin locks of the core, calls aspen_port_rcu_defer() again,
 * and never sleeps. So it may run in a thread, in a soft interrupt, or here,
 * before aspen_port_rcu_defer() returns, where no other CPU or task can be a
 * reader; but never in an interrupt that could come while this CPU holds one of
 * the core's spin locks.
 *
 * Context: the core may hold sleeping locks, but no spin lock, and is no reader
 * itself.
 */
extern void
aspen_port_rcu_defer(struct aspen_port_rcu_head *head,
                     void (*callback)(struct aspen_port_rcu_head *head));

/* Wait for all readers that run now. May sleep; no spin lock is held. */
extern void aspen_port_rcu_synchronise(void);

/* Wait until every callback deferred so far has run. May sleep. */
extern void aspen_port_rcu_barrier(void);

/* ---- Processor --------------------------------------------------------- */

/*
 * The current CPU: a hint for which cache to use. The core tolerates
 * migration right after the call.
 */
extern unsigned aspen_port_cpu(void);

/*
 * Drop translations of a range of an address space from the TLBs of some CPUs.
 * It is done when this returns. aspen/tlb.h says what the argument holds.
 *
 * Context: the core holds no spin lock and is no RCU reader; it may hold locks
 * that sleep. May sleep; may take interrupts, and answer the flushes of others,
 * while it waits. docs/use/porting.md, "TLB flushes".
 */
struct aspen_tlb_flush; /* aspen/tlb.h */
extern void aspen_port_tlb_flush(const struct aspen_tlb_flush *flush);

/* Before copying an address space: write back virtually tagged caches. */
static inline void
aspen_port_cache_flush(uint32_t root)
{
    (void)root;
}

/*
 * Instruction caches that do not watch what is stored. With the macro defined
 * no entry of a page table lets code be fetched from a page that the core has
 * filled, copied or stored into, before this has returned for it: whatever was
 * stored there is what every CPU fetches from then on. It is called for whole
 * pages, once before the first fetch, and for what the core stores later.
 *
 *   AArch64    unless CTR_EL0.DIC and .IDC are set: DC CVAU of each line, DSB
 *              ISH, IC IVAU of each line, DSB ISH; ISB is in the way back
 *   RISC-V     FENCE.I on this hart, and on all others (SBI's remote fence)
 *   x86-64     leave both out: no instruction is left of it
 *
 * Context: as aspen_port_tlb_flush().
 */
#if defined(__aarch64__) || defined(__riscv)
#define ASPEN_PORT_ICACHE_SYNC
extern void aspen_port_icache_sync(const void *memory, size_t bytes);
#endif

/* A bug in the core or a broken promise of the port. Does not return. */
extern _Noreturn void aspen_port_panic(const char *message);

/* ---- Test builds only -------------------------------------------------- */

#ifdef ASPEN_TEST_BUILD
struct aspen_lock_order; /* aspen/lock_order.h */
/* What the current task holds, all zero at first; NULL: do not check. */
extern struct aspen_lock_order *aspen_port_lock_order(void);
#endif

/*
 * Optional: mark freed metadata unreadable (AddressSanitizer). Define both to
 * use them.
 *
 * #define ASPEN_PORT_POISON(memory, bytes)
 * #define ASPEN_PORT_UNPOISON(memory, bytes)
 *
 * Optional: ASPEN_PORT_ATOMIC_POINT(address, is_write) runs before every
 * atomic operation of the core (base/atomic.h).
 */

#endif
