/* SPDX-License-Identifier: MIT */
/*
 * aspen_port.h of the posix port: threads are pthreads, RCU is liburcu (the
 * flavour that registers threads by itself), page tables are walked by
 * software. For tests, tools, benches and programs that embed Aspen.
 * ports/template/aspen_port.h has the contract of each function.
 *
 * Locks are one word. The fast path is one atomic operation, inline; who has
 * to wait sleeps on a condition variable that its address hashes to
 * (aspen_port_wait_while), so no lock needs more than its word.
 */
#ifndef ASPEN_PORT_H
#define ASPEN_PORT_H

/*
 * liburcu's header for AArch64 asks for CLOCK_MONOTONIC, which libc hides from
 * -std=c11 unless it is told otherwise before the first of its headers.
 */
#if !defined(_DEFAULT_SOURCE) && !defined(_GNU_SOURCE)
#define _DEFAULT_SOURCE 1
#endif

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#if defined(__aarch64__) && !defined(CLOCK_MONOTONIC)
#error "include aspen_port.h first, or compile with -D_DEFAULT_SOURCE"
#endif

#if defined(__SANITIZE_ADDRESS__)
#define ASPEN_POSIX_ASAN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ASPEN_POSIX_ASAN
#endif
#if __has_feature(thread_sanitizer)
#define ASPEN_POSIX_TSAN
#endif
#endif
#if defined(__SANITIZE_THREAD__) && !defined(ASPEN_POSIX_TSAN)
#define ASPEN_POSIX_TSAN
#endif

/*
 * Inline the readers; liburcu allows that to MIT code. Not under sanitizers,
 * which find that its per-thread records are aligned to less than declared.
 */
#if !defined(_LGPL_SOURCE) && !defined(ASPEN_POSIX_ASAN) &&                    \
    !defined(ASPEN_POSIX_TSAN)
#define _LGPL_SOURCE
#endif
#include <urcu-bp.h>

/* ---- What we are ------------------------------------------------------- */

/* Not the host's CPUs: threads are spread over so many slots. */
#define ASPEN_PORT_CPUS 16

/* Tables are walked by software: any format works on any host. Who wants
 * another than the processor's says so before. */
#if !defined(ASPEN_PORT_PAGING_AARCH64) &&                                     \
    !defined(ASPEN_PORT_PAGING_X86_64) &&                                      \
    !defined(ASPEN_PORT_PAGING_X86_64_LA57) &&                                 \
    !defined(ASPEN_PORT_PAGING_RISCV_SV39) &&                                  \
    !defined(ASPEN_PORT_PAGING_RISCV_SV48)
#ifdef __aarch64__
#define ASPEN_PORT_PAGING_AARCH64
#else
#define ASPEN_PORT_PAGING_X86_64
#endif
#endif

/* ---- Memory ------------------------------------------------------------ */

extern void *aspen_port_memory_alloc(size_t bytes);
extern void aspen_port_memory_free(void *memory, size_t bytes);

static inline void *
aspen_port_frame_pointer(void *direct_map, uint32_t frame)
{
    return (char *)direct_map + ((size_t)frame << 12);
}

/* ---- Spin locks -------------------------------------------------------- */

struct aspen_port_spinlock {
    uint32_t word; /* 1: locked */
};

extern void aspen_posix_spin_lock_slow(struct aspen_port_spinlock *lock);

static inline bool
aspen_port_spin_trylock(struct aspen_port_spinlock *lock)
{
    return __atomic_exchange_n(&lock->word, 1, __ATOMIC_ACQUIRE) == 0;
}

static inline void
aspen_port_spin_lock(struct aspen_port_spinlock *lock)
{
    if (__builtin_expect(!aspen_port_spin_trylock(lock), 0))
        aspen_posix_spin_lock_slow(lock);
}

static inline void
aspen_port_spin_unlock(struct aspen_port_spinlock *lock)
{
    __atomic_store_n(&lock->word, 0, __ATOMIC_RELEASE);
}

/* ---- Reader-writer locks ----------------------------------------------- */

/*
 *   31       30        29                  0
 *   writer | waiters | number of readers   |
 *
 * While somebody waits, newcomers wait as well, so writers get their turn.
 * Who leaves the lock free clears `waiters` and wakes all of them.
 */
struct aspen_port_rwlock {
    uint32_t word;
};

#define ASPEN_POSIX_RW_WRITER  0x80000000u
#define ASPEN_POSIX_RW_WAITERS 0x40000000u

extern void aspen_posix_read_lock_slow(struct aspen_port_rwlock *lock);
extern int aspen_posix_write_lock_slow(struct aspen_port_rwlock *lock,
                                       bool killable);
extern void aspen_posix_rwlock_wake(struct aspen_port_rwlock *lock);

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

    while (word < ASPEN_POSIX_RW_WAITERS)
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
                                       ASPEN_POSIX_RW_WRITER, false,
                                       __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static inline void
aspen_port_read_lock(struct aspen_port_rwlock *lock)
{
    if (__builtin_expect(!aspen_port_read_trylock(lock), 0))
        aspen_posix_read_lock_slow(lock);
}

static inline void
aspen_port_read_unlock(struct aspen_port_rwlock *lock)
{
    uint32_t old = __atomic_fetch_sub(&lock->word, 1, __ATOMIC_RELEASE);
    if (__builtin_expect(old == (ASPEN_POSIX_RW_WAITERS | 1), 0))
        aspen_posix_rwlock_wake(lock);
}

static inline void
aspen_port_write_lock(struct aspen_port_rwlock *lock)
{
    if (__builtin_expect(!aspen_port_write_trylock(lock), 0))
        (void)aspen_posix_write_lock_slow(lock, false);
}

static inline int
aspen_port_write_lock_killable(struct aspen_port_rwlock *lock)
{
    if (__builtin_expect(aspen_port_write_trylock(lock), 1))
        return 0;
    return aspen_posix_write_lock_slow(lock, true);
}

static inline void
aspen_port_write_unlock(struct aspen_port_rwlock *lock)
{
    uint32_t old = __atomic_fetch_and(&lock->word, ~ASPEN_POSIX_RW_WRITER,
                                      __ATOMIC_RELEASE);
    if (__builtin_expect(old & ASPEN_POSIX_RW_WAITERS, 0))
        aspen_posix_rwlock_wake(lock);
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

/*
 * ThreadSanitizer does not see how liburcu waits for readers: it is told that
 * what follows a grace period comes after every reader before it.
 */
#ifdef ASPEN_POSIX_TSAN
#include <sanitizer/tsan_interface.h>
extern char aspen_posix_rcu_tag;
#define ASPEN_POSIX_READER_ENDS()   __tsan_release(&aspen_posix_rcu_tag)
#define ASPEN_POSIX_READERS_ENDED() __tsan_acquire(&aspen_posix_rcu_tag)
#else
#define ASPEN_POSIX_READER_ENDS()   ((void)0)
#define ASPEN_POSIX_READERS_ENDED() ((void)0)
#endif

static inline void
aspen_port_rcu_read_lock(void)
{
    urcu_bp_read_lock();
}

static inline void
aspen_port_rcu_read_unlock(void)
{
    ASPEN_POSIX_READER_ENDS();
    urcu_bp_read_unlock();
}

extern void
aspen_port_rcu_defer(struct aspen_port_rcu_head *head,
                     void (*callback)(struct aspen_port_rcu_head *head));
extern void aspen_port_rcu_synchronise(void);
extern void aspen_port_rcu_barrier(void);

/* ---- Processor --------------------------------------------------------- */

extern __thread unsigned aspen_posix_slot; /* 0: none yet; else index + 1 */
extern unsigned aspen_posix_take_slot(void);

static inline unsigned
aspen_port_cpu(void)
{
    unsigned slot = aspen_posix_slot;
    return __builtin_expect(slot != 0, 1) ? slot - 1 : aspen_posix_take_slot();
}

struct aspen_tlb_flush; /* aspen/tlb.h */
extern void aspen_port_tlb_flush(const struct aspen_tlb_flush *flush);

static inline void
aspen_port_cache_flush(uint32_t root)
{
    (void)root; /* no virtually tagged caches */
}

/* For tests alone: no processor walks these tables. */
#ifdef ASPEN_PORT_ICACHE_SYNC
extern void aspen_port_icache_sync(const void *memory, size_t bytes);
#endif

extern _Noreturn void aspen_port_panic(const char *message);

/* ---- Test builds ------------------------------------------------------- */

#ifdef ASPEN_TEST_BUILD
struct aspen_lock_order;
extern struct aspen_lock_order *aspen_port_lock_order(void);
#endif

#ifdef ASPEN_POSIX_ASAN
#include <sanitizer/asan_interface.h>
#define ASPEN_PORT_POISON(memory, bytes)                                       \
    __asan_poison_memory_region((memory), (bytes))
#define ASPEN_PORT_UNPOISON(memory, bytes)                                     \
    __asan_unpoison_memory_region((memory), (bytes))
#endif

#endif
