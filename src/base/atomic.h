/* SPDX-License-Identifier: MIT */
/*
 * base/atomic.h - the only file that names atomic operations.
 *
 * Operations take a pointer to a plain integer or pointer of at most 8 bytes
 * that every concurrent user accesses through this file. The order is in the
 * name; without one it is acquire for loads, release for stores and acquire +
 * release for read-modify-write.
 *
 * A port may define ASPEN_PORT_ATOMIC_POINT(address, is_write) in its
 * aspen_port.h: it runs before each operation (the sim port switches tasks
 * there). By default it is nothing. Accesses to page-table entries and tree
 * slots go through here as well, so a port sees every shared access.
 */
#ifndef ASPEN_BASE_ATOMIC_H
#define ASPEN_BASE_ATOMIC_H

#include <aspen_port.h>

/* The pointer, evaluated once, after the port's point. */
#ifdef ASPEN_PORT_ATOMIC_POINT
#define ASPEN_PORT_ATOMIC_POINTS
static inline uintptr_t
aspen_atomic_point(const volatile void *address, bool is_write)
{
    (void)is_write;
    ASPEN_PORT_ATOMIC_POINT(address, is_write);
    return (uintptr_t)address;
}
#define ASPEN_ATOMIC_AT(p, is_write)                                           \
    ((__typeof__(p))aspen_atomic_point((p), (is_write)))
#else
#define ASPEN_PORT_ATOMIC_POINT(address, is_write) ((void)0)
#define ASPEN_ATOMIC_AT(p, is_write)               (p)
#endif

#define aspen_load_relaxed(p)                                                  \
    __atomic_load_n(ASPEN_ATOMIC_AT(p, false), __ATOMIC_RELAXED)
#define aspen_load(p)                                                          \
    __atomic_load_n(ASPEN_ATOMIC_AT(p, false), __ATOMIC_ACQUIRE)

/* Of what does not change any more once somebody can ask for it: no point for
 * a port that wants to know of shared accesses. */
#define aspen_load_settled(p)         __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define aspen_load_settled_relaxed(p) __atomic_load_n((p), __ATOMIC_RELAXED)

#define aspen_store_relaxed(p, v)                                              \
    __atomic_store_n(ASPEN_ATOMIC_AT(p, true), (v), __ATOMIC_RELAXED)
#define aspen_store(p, v)                                                      \
    __atomic_store_n(ASPEN_ATOMIC_AT(p, true), (v), __ATOMIC_RELEASE)

#define aspen_exchange(p, v)                                                   \
    __atomic_exchange_n(ASPEN_ATOMIC_AT(p, true), (v), __ATOMIC_ACQ_REL)

/* Strong; on failure *expected is what was there. */
#define aspen_compare_exchange(p, expected, v)                                 \
    __atomic_compare_exchange_n(ASPEN_ATOMIC_AT(p, true), (expected), (v),     \
                                false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)

/* These return the value before the operation. */
#define aspen_fetch_add(p, v)                                                  \
    __atomic_fetch_add(ASPEN_ATOMIC_AT(p, true), (v), __ATOMIC_ACQ_REL)
#define aspen_fetch_add_relaxed(p, v)                                          \
    __atomic_fetch_add(ASPEN_ATOMIC_AT(p, true), (v), __ATOMIC_RELAXED)
#define aspen_fetch_sub(p, v)                                                  \
    __atomic_fetch_sub(ASPEN_ATOMIC_AT(p, true), (v), __ATOMIC_ACQ_REL)
#define aspen_fetch_sub_relaxed(p, v)                                          \
    __atomic_fetch_sub(ASPEN_ATOMIC_AT(p, true), (v), __ATOMIC_RELAXED)
#define aspen_fetch_or(p, v)                                                   \
    __atomic_fetch_or(ASPEN_ATOMIC_AT(p, true), (v), __ATOMIC_ACQ_REL)
#define aspen_fetch_and(p, v)                                                  \
    __atomic_fetch_and(ASPEN_ATOMIC_AT(p, true), (v), __ATOMIC_ACQ_REL)

/* Of a sum that nobody decides by: no point, either. */
#define aspen_count_relaxed(p, v)                                              \
    ((void)__atomic_fetch_add((p), (v), __ATOMIC_RELAXED))

/* Before bytes of a page are read or written, which others may do as well: not
 * atomic, but a shared access that a port sees. `page`: where it begins. */
#define aspen_contents_point(page, is_write)                                   \
    ASPEN_PORT_ATOMIC_POINT((page), (is_write))

#define aspen_fence() __atomic_thread_fence(__ATOMIC_SEQ_CST)

/* The same right behind a read-modify-write, which is one by itself on some
 * processors. (Linux: smp_mb__after_atomic) */
#if defined(__x86_64__) && !defined(ASPEN_PORT_ATOMIC_POINTS)
#define aspen_fence_after_atomic() __atomic_signal_fence(__ATOMIC_SEQ_CST)
#else
#define aspen_fence_after_atomic() aspen_fence()
#endif

#endif
