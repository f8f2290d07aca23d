/* SPDX-License-Identifier: MIT */
/*
 * lock_order.c - the test build's memory of what a task holds.
 *
 * I1  A lock is taken only if its class is strictly inside the class of every
 *     lock held; what a try-lock got is recorded but not checked.
 * I2  The record is the task's own (aspen_port_lock_order), so it needs no
 *     lock itself.
 *
 * Called from base/lock.h. First to break: tests/unit/base/test_lock_order.c.
 */
#include "base/lock.h"

#include "base/assert.h"

#define CLASSES(X)                                                             \
    X(ASPEN_LOCK_MM_PARENT, "mm")                                              \
    X(ASPEN_LOCK_MM_CHILD, "mm child")                                         \
    X(ASPEN_LOCK_VMA, "vma")                                                   \
    X(ASPEN_LOCK_OBJECT_SYNC, "object sync")                                   \
    X(ASPEN_LOCK_OBJECT_SIZE, "object size")                                   \
    X(ASPEN_LOCK_FRAME, "frame")                                               \
    X(ASPEN_LOCK_I_MMAP, "i_mmap")                                             \
    X(ASPEN_LOCK_ANON_VMA, "anon_vma")                                         \
    X(ASPEN_LOCK_TABLE_CHILD, "table child")                                   \
    X(ASPEN_LOCK_TABLE, "table")                                               \
    X(ASPEN_LOCK_TABLE_BELOW, "table below")                                   \
    X(ASPEN_LOCK_PAGE_CACHE, "page cache")                                     \
    X(ASPEN_LOCK_SWAP_MAP, "swap map")                                         \
    X(ASPEN_LOCK_LEAF, "leaf")                                                 \
    X(ASPEN_LOCK_CACHE, "cache")                                               \
    X(ASPEN_LOCK_DEPOT, "depot")

const char *
aspen_lock_class_name(enum aspen_lock_class lock_class)
{
#define CLASS_NAME(lock_class, name) [lock_class] = name,
    static const char *const names[ASPEN_LOCK_CLASSES] = {CLASSES(CLASS_NAME)};

    return (unsigned)lock_class < ASPEN_LOCK_CLASSES ? names[lock_class]
                                                     : "unknown";
}

#ifdef ASPEN_TEST_BUILD

static _Noreturn void
panic_about(enum aspen_lock_class lock_class)
{
#define CLASS_PANIC(lock_class, name)                                          \
    [lock_class] = "lock order: " name " is not inside all that is held",
    static const char *const messages[ASPEN_LOCK_CLASSES] = {
        CLASSES(CLASS_PANIC)};

    aspen_port_panic(messages[lock_class]);
}

static void
record(struct aspen_lock_order *order, enum aspen_lock_class lock_class,
       const void *lock)
{
    ASPEN_ASSERT(order->depth < ASPEN_LOCK_HELD_MAX);
    order->held[order->depth].lock_class = lock_class;
    order->held[order->depth].lock = lock;
    order->depth++;
}

void
aspen_lock_order_enter(enum aspen_lock_class lock_class, const void *lock)
{
    struct aspen_lock_order *order = aspen_port_lock_order();

    if (!order)
        return;
    for (unsigned i = 0; i < order->depth; i++)
        if (order->held[i].lock_class >= lock_class)
            panic_about(lock_class);
    record(order, lock_class, lock);
}

void
aspen_lock_order_enter_try(enum aspen_lock_class lock_class, const void *lock)
{
    struct aspen_lock_order *order = aspen_port_lock_order();

    if (order)
        record(order, lock_class, lock);
}

/* Locks may be given back in any order. */
void
aspen_lock_order_leave(const void *lock)
{
    struct aspen_lock_order *order = aspen_port_lock_order();
    unsigned i;

    if (!order)
        return;
    for (i = order->depth; i-- > 0;)
        if (order->held[i].lock == lock)
            break;
    if (i >= order->depth)
        aspen_port_panic("lock order: unlock of a lock that is not held");
    order->depth--;
    for (; i < order->depth; i++)
        order->held[i] = order->held[i + 1];
}

void
aspen_lock_order_assert_outside(enum aspen_lock_class outermost)
{
    struct aspen_lock_order *order = aspen_port_lock_order();

    if (!order)
        return;
    for (unsigned i = 0; i < order->depth; i++)
        if (order->held[i].lock_class >= outermost)
            aspen_port_panic("lock order: not allowed inside what is held");
}

/* Without a record nobody can tell: yes, so that assertions hold. */
bool
aspen_lock_order_holds(const void *lock)
{
    struct aspen_lock_order *order = aspen_port_lock_order();

    if (!order)
        return true;
    for (unsigned i = 0; i < order->depth; i++)
        if (order->held[i].lock == lock)
            return true;
    return false;
}

#endif
