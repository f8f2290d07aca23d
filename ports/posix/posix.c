/* SPDX-License-Identifier: MIT */
/*
 * posix.c - the part of the posix port that is not inline: memory, waiting,
 * the slow paths of locks, panic. RCU's deferred work is in rcu.c.
 *
 * P1  A thread that finds a lock taken sets its waiters bit before it sleeps,
 *     and looks at the word again under the bucket's mutex; who frees the
 *     lock clears the bit before it takes that mutex. So no wake-up is lost.
 *
 * First to break: tests/unit/port/test_posix_port.c.
 */
#define _GNU_SOURCE
#include "aspen_posix.h"
#include <aspen/error.h>
#include <aspen/lock_order.h>
#include <aspen_port.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define BUCKETS          64u
#define SPINS            100
#define LARGE_BYTES      ((size_t)64 << 10) /* from here on straight from mmap */
#define HUGE_PAGE_BYTES  ((size_t)2 << 20)
#define POLL_NANOSECONDS 10000000L

struct bucket {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
};

static struct bucket buckets[BUCKETS] = {
    [0 ... BUCKETS - 1] = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER},
};

__thread unsigned aspen_posix_slot;
static __thread bool fatal_signal;
#ifdef ASPEN_TEST_BUILD
static __thread struct aspen_lock_order lock_order;
#endif

static aspen_posix_tlb_observer *tlb_observer;
static void *tlb_observer_context;
static uint64_t tlb_flushes;

/* ---- Memory ------------------------------------------------------------ */

static void *
map_lazily(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

void *
aspen_port_memory_alloc(size_t bytes)
{
    void *memory;

    if (bytes >= LARGE_BYTES) {
        memory = map_lazily(bytes);
        if (memory && bytes >= HUGE_PAGE_BYTES)
            (void)madvise(memory, bytes, MADV_HUGEPAGE); /* a hint */
        return memory;
    }
    bytes = (bytes + 4095) & ~(size_t)4095;
    memory = aligned_alloc(4096, bytes);
    if (memory)
        memset(memory, 0, bytes);
    return memory;
}

void
aspen_port_memory_free(void *memory, size_t bytes)
{
    if (!memory)
        return;
    if (bytes >= LARGE_BYTES)
        munmap(memory, bytes);
    else
        free(memory);
}

void *
aspen_posix_direct_map_create(uint32_t frames)
{
    return map_lazily((size_t)frames << 12);
}

void
aspen_posix_direct_map_destroy(void *direct_map, uint32_t frames)
{
    if (direct_map)
        munmap(direct_map, (size_t)frames << 12);
}

/* ---- Waiting ----------------------------------------------------------- */

static struct bucket *
bucket_of(const void *key)
{
    uint64_t hash = (uint64_t)(uintptr_t)key * 0x9e3779b97f4a7c15u;
    return &buckets[hash >> 58];
}

void
aspen_port_wait_while(const void *key, bool (*busy)(const void *argument),
                      const void *argument)
{
    struct bucket *bucket = bucket_of(key);

    pthread_mutex_lock(&bucket->mutex);
    while (busy(argument))
        pthread_cond_wait(&bucket->changed, &bucket->mutex);
    pthread_mutex_unlock(&bucket->mutex);
}

void
aspen_port_wake_all(const void *key)
{
    struct bucket *bucket = bucket_of(key);

    pthread_mutex_lock(&bucket->mutex);
    pthread_cond_broadcast(&bucket->changed);
    pthread_mutex_unlock(&bucket->mutex);
}

/*
 * Sleep until the word is no longer `seen`, or something else happened. The
 * time limit is for fatal signals only: one that comes between the last look
 * and the sleep wakes nobody.
 */
static void
wait_for_change(const uint32_t *word, uint32_t seen)
{
    struct bucket *bucket = bucket_of(word);
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += POLL_NANOSECONDS;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    pthread_mutex_lock(&bucket->mutex);
    if (__atomic_load_n(word, __ATOMIC_RELAXED) == seen)
        pthread_cond_timedwait(&bucket->changed, &bucket->mutex, &until);
    pthread_mutex_unlock(&bucket->mutex);
}

/* ---- Locks ------------------------------------------------------------- */

static void
pause_or_yield(unsigned *spins)
{
    if (++*spins % SPINS == 0)
        sched_yield();
    else
        caa_cpu_relax();
}

void
aspen_posix_spin_lock_slow(struct aspen_port_spinlock *lock)
{
    unsigned spins = 0;

    do {
        while (__atomic_load_n(&lock->word, __ATOMIC_RELAXED))
            pause_or_yield(&spins);
    } while (!aspen_port_spin_trylock(lock));
}

/*
 * One try for somebody who waits already, so the waiters bit does not keep it
 * out. `held`: the bits that do; `take`: what is added. False: slept, maybe.
 */
static bool
try_or_sleep(uint32_t *word, uint32_t held, uint32_t take)
{
    uint32_t seen = __atomic_load_n(word, __ATOMIC_RELAXED);

    if (!(seen & held))
        return __atomic_compare_exchange_n(word, &seen, seen + take, false,
                                           __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
    if (!(seen & ASPEN_POSIX_RW_WAITERS) &&
        !__atomic_compare_exchange_n(word, &seen, seen | ASPEN_POSIX_RW_WAITERS,
                                     false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        return false;
    wait_for_change(word, seen | ASPEN_POSIX_RW_WAITERS);
    return false;
}

void
aspen_posix_read_lock_slow(struct aspen_port_rwlock *lock)
{
    bool locked = false;

    /* Behind those who wait; once awake only a writer keeps a reader out. */
    if (__atomic_load_n(&lock->word, __ATOMIC_RELAXED) & ASPEN_POSIX_RW_WAITERS)
        locked = try_or_sleep(&lock->word, ~0u, 1);
    while (!locked)
        locked = try_or_sleep(&lock->word, ASPEN_POSIX_RW_WRITER, 1);
}

int
aspen_posix_write_lock_slow(struct aspen_port_rwlock *lock, bool killable)
{
    while (!try_or_sleep(&lock->word, ~ASPEN_POSIX_RW_WAITERS,
                         ASPEN_POSIX_RW_WRITER))
        if (killable && aspen_port_fatal_signal_pending())
            return -ASPEN_EINTR;
    return 0;
}

/* The lock was left free with its waiters bit set. */
void
aspen_posix_rwlock_wake(struct aspen_port_rwlock *lock)
{
    uint32_t seen = ASPEN_POSIX_RW_WAITERS;

    /* If somebody took it meanwhile, that one finds the bit and wakes. */
    if (__atomic_compare_exchange_n(&lock->word, &seen, 0, false,
                                    __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        aspen_port_wake_all(&lock->word);
}

/* ---- Signals ----------------------------------------------------------- */

bool
aspen_port_fatal_signal_pending(void)
{
    return __atomic_load_n(&fatal_signal, __ATOMIC_RELAXED);
}

void
aspen_posix_set_fatal_signal(bool pending)
{
    __atomic_store_n(&fatal_signal, pending, __ATOMIC_RELAXED);
}

/* ---- Processor --------------------------------------------------------- */

unsigned
aspen_posix_take_slot(void)
{
    static unsigned next;
    unsigned slot = __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED);

    aspen_posix_slot = slot % ASPEN_PORT_CPUS + 1;
    return aspen_posix_slot - 1;
}

void
aspen_port_tlb_flush(const struct aspen_tlb_flush *flush)
{
    __atomic_fetch_add(&tlb_flushes, 1, __ATOMIC_RELAXED);
    if (tlb_observer)
        tlb_observer(tlb_observer_context, flush);
}

void
aspen_posix_observe_tlb(aspen_posix_tlb_observer *observer, void *context)
{
    tlb_observer_context = context;
    tlb_observer = observer;
}

uint64_t
aspen_posix_tlb_flushes(void)
{
    return __atomic_load_n(&tlb_flushes, __ATOMIC_RELAXED);
}

#ifdef ASPEN_PORT_ICACHE_SYNC
static aspen_posix_icache_observer *icache_observer;

void
aspen_port_icache_sync(const void *memory, size_t bytes)
{
    char *start = (char *)(uintptr_t)memory;

    __builtin___clear_cache(start, start + bytes);
    if (icache_observer)
        icache_observer(memory, bytes);
}

void
aspen_posix_observe_icache(aspen_posix_icache_observer *observer)
{
    icache_observer = observer;
}
#endif

/* ---- Odds and ends ----------------------------------------------------- */

void
aspen_port_panic(const char *message)
{
    fprintf(stderr, "aspen: panic: %s\n", message);
#ifdef ASPEN_TEST_BUILD
    for (unsigned i = 0; i < lock_order.depth; i++)
        fprintf(stderr, "aspen:   holds %s %p\n",
                aspen_lock_class_name(lock_order.held[i].lock_class),
                lock_order.held[i].lock);
#endif
    fflush(NULL);
    abort();
}

#ifdef ASPEN_TEST_BUILD
struct aspen_lock_order *
aspen_port_lock_order(void)
{
    return &lock_order;
}
#endif
