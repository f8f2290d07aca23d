/* SPDX-License-Identifier: MIT */
/**
 * aspen/lock_order.h - what a task holds, for ports of test builds.
 *
 * In a test build (-DASPEN_TEST_BUILD) the port keeps one struct
 * aspen_lock_order for each task, all zero at first, and gives it by
 * aspen_port_lock_order(). Only the core writes it. A port may print it, as
 * ports/posix/posix.c does when it panics. Not part of aspen.h: who calls
 * Aspen has no use for it.
 */
#ifndef ASPEN_LOCK_ORDER_H
#define ASPEN_LOCK_ORDER_H

#ifdef __cplusplus
extern "C" {
#endif

/** The classes of locks, outermost first; src/base/lock.h draws the order. */
enum aspen_lock_class {
    ASPEN_LOCK_MM_PARENT,
    ASPEN_LOCK_MM = ASPEN_LOCK_MM_PARENT, /* an mm that is locked alone */
    ASPEN_LOCK_MM_CHILD,
    ASPEN_LOCK_VMA,
    ASPEN_LOCK_OBJECT_SYNC,
    ASPEN_LOCK_OBJECT_SIZE,
    ASPEN_LOCK_FRAME,
    ASPEN_LOCK_I_MMAP,
    ASPEN_LOCK_ANON_VMA,
    ASPEN_LOCK_TABLE_CHILD,
    ASPEN_LOCK_TABLE, /* a page table that is locked alone */
    ASPEN_LOCK_TABLE_PARENT = ASPEN_LOCK_TABLE,
    ASPEN_LOCK_TABLE_BELOW, /* a table inside its parent table's lock */
    ASPEN_LOCK_PAGE_CACHE,
    ASPEN_LOCK_SWAP_MAP,
    ASPEN_LOCK_LEAF,  /* swap list, registry, lru: never nested */
    ASPEN_LOCK_CACHE, /* a magazine */
    ASPEN_LOCK_DEPOT, /* shared halves: cache depot, zone */
    ASPEN_LOCK_CLASSES
};

#define ASPEN_LOCK_HELD_MAX 48

/** What one task holds: held[0] to held[depth - 1], in the order taken. */
struct aspen_lock_order {
    unsigned depth;
    struct {
        enum aspen_lock_class lock_class;
        const void *lock;
    } held[ASPEN_LOCK_HELD_MAX];
};

/** For people: "i_mmap"; "unknown" when out of range. Never fails. */
const char *aspen_lock_class_name(enum aspen_lock_class lock_class);

#ifdef __cplusplus
}
#endif

#endif
