/* SPDX-License-Identifier: MIT */
/*
 * base/lock.h - the locks of the core, and their order.
 *
 * Every lock is taken through this file and names its class. The classes
 * (aspen/lock_order.h, where ports of the test build see them) are the lock
 * order of the whole library, outermost first. The test build panics and prints
 * what is held when somebody takes a lock that is not strictly inside
 * everything held, or makes an allocation that may sleep below
 * ASPEN_LOCK_I_MMAP. The release build compiles to the port's functions.
 *
 *     mm parent > mm child > vma > object sync > object size > frame bit lock
 *       > i_mmap > anon_vma root
 *         > page table child > page table parent
 *           > leaves, never nested in each other: page cache, zone, swap map,
 *             swap list, lru, registry, cache magazine, cache depot
 *
 * Exceptions, each named by its class: a leaf may be taken inside
 * everything; cache and zone locks are innermost of all, since anything may
 * allocate or free.
 */
#ifndef ASPEN_BASE_LOCK_H
#define ASPEN_BASE_LOCK_H

#include <aspen/compiler.h>
#include <aspen/lock_order.h>
#include <aspen_port.h>

#ifdef ASPEN_TEST_BUILD
/* aspen_port_lock_order() may return NULL: then nothing is checked. */
void aspen_lock_order_enter(enum aspen_lock_class lock_class, const void *lock);
void aspen_lock_order_leave(const void *lock);
/* After a try-lock: recorded, not checked, since it cannot deadlock. */
void aspen_lock_order_enter_try(enum aspen_lock_class lock_class,
                                const void *lock);
/* Panics when a lock at or inside `outermost` is held. */
void aspen_lock_order_assert_outside(enum aspen_lock_class outermost);
bool aspen_lock_order_holds(const void *lock);
#else
#define aspen_lock_order_enter(lock_class, lock)     ((void)0)
#define aspen_lock_order_enter_try(lock_class, lock) ((void)0)
#define aspen_lock_order_leave(lock)                 ((void)0)
#define aspen_lock_order_assert_outside(outermost)   ((void)0)
#define aspen_lock_order_holds(lock)                 (true)
#endif

/* Spin locks: at most 4 bytes, zero is unlocked; nobody sleeps inside. */
static inline void
aspen_spin_lock(struct aspen_port_spinlock *lock, enum aspen_lock_class c)
{
    (void)c;
    aspen_lock_order_enter(c, lock);
    aspen_port_spin_lock(lock);
}

static inline bool
aspen_spin_trylock(struct aspen_port_spinlock *lock, enum aspen_lock_class c)
{
    (void)c;
    if (!aspen_port_spin_trylock(lock))
        return false;
    aspen_lock_order_enter_try(c, lock);
    return true;
}

static inline void
aspen_spin_unlock(struct aspen_port_spinlock *lock)
{
    aspen_lock_order_leave(lock);
    aspen_port_spin_unlock(lock);
}

/* Sleeping reader-writer locks. */
static inline void
aspen_read_lock(struct aspen_port_rwlock *lock, enum aspen_lock_class c)
{
    (void)c;
    aspen_lock_order_enter(c, lock);
    aspen_port_read_lock(lock);
}

static inline bool
aspen_read_trylock(struct aspen_port_rwlock *lock, enum aspen_lock_class c)
{
    (void)c;
    if (!aspen_port_read_trylock(lock))
        return false;
    aspen_lock_order_enter_try(c, lock);
    return true;
}

static inline void
aspen_read_unlock(struct aspen_port_rwlock *lock)
{
    aspen_lock_order_leave(lock);
    aspen_port_read_unlock(lock);
}

static inline void
aspen_write_lock(struct aspen_port_rwlock *lock, enum aspen_lock_class c)
{
    (void)c;
    aspen_lock_order_enter(c, lock);
    aspen_port_write_lock(lock);
}

static inline bool
aspen_write_trylock(struct aspen_port_rwlock *lock, enum aspen_lock_class c)
{
    (void)c;
    if (!aspen_port_write_trylock(lock))
        return false;
    aspen_lock_order_enter_try(c, lock);
    return true;
}

/* 0, or -ASPEN_EINTR with nothing locked. */
static inline int
aspen_write_lock_killable(struct aspen_port_rwlock *lock,
                          enum aspen_lock_class c)
{
    (void)c;
    int error;
    aspen_lock_order_enter(c, lock);
    error = aspen_port_write_lock_killable(lock);
    if (error)
        aspen_lock_order_leave(lock);
    return error;
}

static inline void
aspen_write_unlock(struct aspen_port_rwlock *lock)
{
    aspen_lock_order_leave(lock);
    aspen_port_write_unlock(lock);
}

#endif
