/* SPDX-License-Identifier: MIT */
/*
 * memory.h - the run-time that the explorer's core is built for where plain
 * memory and memory order count (SIM_MEMORY): the compiler calls it at each
 * access, as it would call ThreadSanitizer's (-fsanitize=thread).
 *
 *   calls.c     what the compiler calls, with the place in the source
 *   threads.c   which accesses happen before which
 *   races.c     plain accesses that nothing orders
 *   lines.c     which cache lines are touched by whom
 *   history.c   what an atomic word was: what a load may find
 *
 * I1  Each atomic operation counts with the order that it is written with,
 *     whatever the processor would do. That tasks take turns orders nothing:
 *     locks, grace periods and atomic operations do.
 * I2  Memory itself always holds what was stored last, which is the last one in
 *     the word's order as well: two stores are never put in the order that they
 *     were not made in.
 * I3  With relaxed memory a load finds any of the last HISTORY stores that C11
 *     lets it: none older than one that happens before it, or than what was
 *     read by somebody who happens before it. Without, it finds the last.
 *
 * Who does not say what it accesses (the port, the tests, memcpy) is not seen.
 */
#ifndef ASPEN_SIM_MEMORY_H
#define ASPEN_SIM_MEMORY_H

#include "sim.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define THREADS (SIM_TASKS + 2) /* tasks, deferred work, and outside of it */
#define OUTSIDE (THREADS - 1)
#define HISTORY 8

/* Of each thread, until which of its operations something knows it. */
struct clock {
    uint32_t before[THREADS]; /* happened: what these wrote may be read */
    uint32_t seen[THREADS];   /* and by fences: older stores are not found */
};

struct thread {
    unsigned number;
    uint32_t now; /* its operations so far, and this one */
    struct clock clock;
    struct clock fence;   /* as of its last fence: a relaxed store says so */
    struct clock pending; /* of what it read relaxed: known from a fence on */
};

/* Most accesses are of set-ups and checks, which nobody watches: so this is
 * looked at before anything is called. */
extern struct memory_now {
    struct thread *running;
    bool looks;
    bool is_seen; /* a task runs, for itself */
} memory_now;

/* The one that runs; while another looks in its name (busy()), that one. */
static inline struct thread *
memory_thread(void)
{
    return memory_now.running;
}

/* What comes before tasks and after them is there for all. */
static inline bool
memory_is_outside(const struct thread *thread)
{
    return thread->number == OUTSIDE;
}

/* It looks on behalf of the thread: the last value is what it finds. */
static inline bool
memory_looks(void)
{
    return memory_now.looks;
}

void memory_join(struct clock *into, const struct clock *from);

/* What the thread is and knows, for others; it goes on behind that. */
struct clock memory_publish(struct thread *thread);

/* A seq_cst fence: it comes before or after each other one. */
void memory_fence(void);

/* ---- history.c --------------------------------------------------------- */

enum order {
    RELAXED = 0,
    ACQUIRE = 1,
    RELEASE = 2,
};

/* `now` is in memory. What does the thread find there? */
uint64_t memory_load(const void *address, uint64_t now, unsigned order);

/* `before` is in memory, and `after` comes there. */
void memory_store(const void *address, uint64_t before, uint64_t after,
                  unsigned order);

/* The same for who has read `before` in the same step. */
void memory_change(const void *address, uint64_t before, uint64_t after,
                   unsigned order);

/* Something else was written there by plain stores. */
void memory_forget(const void *address, size_t bytes);

/* ---- races.c ----------------------------------------------------------- */

#define MEMORY_WRITE  1u
#define MEMORY_ATOMIC 2u
#define MEMORY_LOCKED 4u /* a locked instruction does it */

/* An access of `kind` at `place` in the program, by a task. */
void memory_access_seen(const void *address, size_t bytes, unsigned kind,
                        const void *place);

static inline void
memory_access(const void *address, size_t bytes, unsigned kind,
              const void *place)
{
    if (memory_now.is_seen)
        memory_access_seen(address, bytes, kind, place);
}

/* ---- lines.c ----------------------------------------------------------- */

/* The same, of one line; of a lock as well. */
void memory_line(const void *address, unsigned kind, const void *place);

/* A locked instruction there. A fence behind one is none. */
void memory_locked(const void *address, bool fence);

#endif
