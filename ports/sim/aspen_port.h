/* SPDX-License-Identifier: MIT */
/*
 * aspen_port.h of the sim port: one thread, tasks that take turns, every lock,
 * atomic and RCU operation a place where the scheduler may choose another
 * (sim.h). For tests of what concurrent calls do to each other.
 *
 * Taking a lock is a step that waits until the lock is free; giving one back
 * is a part of the step before it, since nobody can see the difference. Readers
 * of a read-write lock do not conflict with each other.
 *
 * Each task is a CPU of its own. From before it spins for a spin lock until it
 * gives it back its interrupts are off, and it answers no flush.
 */
#ifndef ASPEN_PORT_H
#define ASPEN_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim.h"

#define ASPEN_PORT_CPUS SIM_TASKS
#if !defined(ASPEN_PORT_PAGING_AARCH64)
#define ASPEN_PORT_PAGING_X86_64
#endif
#define ASPEN_PORT_ATOMIC_POINT(address, is_write)                             \
    sim_point((const void *)(address), (is_write))

void *aspen_port_memory_alloc(size_t bytes);
void aspen_port_memory_free(void *memory, size_t bytes);

static inline void *
aspen_port_frame_pointer(void *direct_map, uint32_t frame)
{
    return (char *)direct_map + ((size_t)frame << 12);
}

struct aspen_port_spinlock {
    uint32_t holders; /* 1: locked */
};

struct aspen_port_rwlock {
    uint32_t holders; /* readers; UINT32_MAX: a writer */
};

/* Wait until the word allows it, then take it. */
void sim_lock(uint32_t *holders, bool exclusive);
bool sim_trylock(uint32_t *holders, bool exclusive);
void sim_unlock(uint32_t *holders, bool exclusive);
/* Where others may hold it or wait meanwhile, so that a store is not enough. */
void sim_unlock_locked(uint32_t *holders, bool exclusive);
/* Of the task's CPU; each off has its on. */
void sim_interrupts_off(void);
void sim_interrupts_on(void);

static inline void
aspen_port_spin_lock(struct aspen_port_spinlock *lock)
{
    sim_interrupts_off();
    sim_lock(&lock->holders, true);
}

static inline bool
aspen_port_spin_trylock(struct aspen_port_spinlock *lock)
{
    sim_interrupts_off();
    if (sim_trylock(&lock->holders, true))
        return true;
    sim_interrupts_on();
    return false;
}

static inline void
aspen_port_spin_unlock(struct aspen_port_spinlock *lock)
{
    sim_unlock(&lock->holders, true);
    sim_interrupts_on();
}

static inline void
aspen_port_rwlock_init(struct aspen_port_rwlock *lock)
{
    lock->holders = 0;
}

static inline void
aspen_port_rwlock_destroy(struct aspen_port_rwlock *lock)
{
    if (lock->holders)
        sim_fail("a lock is destroyed while it is held");
}

static inline void
aspen_port_read_lock(struct aspen_port_rwlock *lock)
{
    sim_lock(&lock->holders, false);
}

static inline bool
aspen_port_read_trylock(struct aspen_port_rwlock *lock)
{
    return sim_trylock(&lock->holders, false);
}

static inline void
aspen_port_read_unlock(struct aspen_port_rwlock *lock)
{
    sim_unlock_locked(&lock->holders, false);
}

static inline void
aspen_port_write_lock(struct aspen_port_rwlock *lock)
{
    sim_lock(&lock->holders, true);
}

static inline bool
aspen_port_write_trylock(struct aspen_port_rwlock *lock)
{
    return sim_trylock(&lock->holders, true);
}

static inline void
aspen_port_write_unlock(struct aspen_port_rwlock *lock)
{
    sim_unlock_locked(&lock->holders, true);
}

static inline bool
aspen_port_fatal_signal_pending(void)
{
    return false; /* cancellation comes through failpoints */
}

static inline int
aspen_port_write_lock_killable(struct aspen_port_rwlock *lock)
{
    sim_lock(&lock->holders, true);
    return 0;
}

void aspen_port_wait_while(const void *key, bool (*busy)(const void *argument),
                           const void *argument);
void aspen_port_wake_all(const void *key);

struct aspen_port_rcu_head {
    struct aspen_port_rcu_head *next;
    void (*callback)(struct aspen_port_rcu_head *head);
};

void aspen_port_rcu_read_lock(void);
void aspen_port_rcu_read_unlock(void);
void aspen_port_rcu_defer(struct aspen_port_rcu_head *head,
                          void (*callback)(struct aspen_port_rcu_head *head));
void aspen_port_rcu_synchronise(void);
void aspen_port_rcu_barrier(void);

/* A CPU for each task: their caches never meet. */
static inline unsigned
aspen_port_cpu(void)
{
    return sim_task();
}

/* Waits until each CPU of the mask has answered. There is no processor but what
 * a test puts before this function (tests/mmu). */
struct aspen_tlb_flush; /* aspen/tlb.h */
void aspen_port_tlb_flush(const struct aspen_tlb_flush *flush);

static inline void
aspen_port_cache_flush(uint32_t root)
{
    (void)root;
}

_Noreturn void aspen_port_panic(const char *message);

#ifdef ASPEN_TEST_BUILD
struct aspen_lock_order;
struct aspen_lock_order *aspen_port_lock_order(void);
#endif

#if defined(SIM_MEMORY)
/* sim/memory: who uses it fails, until it is given to somebody. */
void sim_memory_freed(const void *address, size_t bytes);
void sim_memory_made(const void *address, size_t bytes);
#define ASPEN_PORT_POISON(memory, bytes)   sim_memory_freed(memory, bytes)
#define ASPEN_PORT_UNPOISON(memory, bytes) sim_memory_made(memory, bytes)
#elif defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define ASPEN_PORT_POISON(memory, bytes)                                       \
    ASAN_POISON_MEMORY_REGION(memory, bytes)
#define ASPEN_PORT_UNPOISON(memory, bytes)                                     \
    ASAN_UNPOISON_MEMORY_REGION(memory, bytes)
#endif

#endif
