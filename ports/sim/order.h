/* SPDX-License-Identifier: MIT */
/*
 * order.h - what ThreadSanitizer is told of a run, where the core is built for
 * it (SIM_TSAN): nothing otherwise.
 *
 * Each task is a thread to it, and what one has written another may read only
 * behind a lock, an atomic operation or a grace period that says so: with the
 * order that it is written with, whatever the processor does. So a relaxed
 * operation that has to publish, or a lock that is not taken, is a data race in
 * the first run that comes by. That tasks take turns orders nothing.
 *
 * The port and the tests are built without it: what they share is their own.
 */
#ifndef ASPEN_SIM_ORDER_H
#define ASPEN_SIM_ORDER_H

#if defined(SIM_TSAN)

#include <sanitizer/tsan_interface.h>
#include <stdbool.h>
#include <stdint.h>

static inline void
sim_acquire(const void *what)
{
    __tsan_acquire((void *)(uintptr_t)what);
}

static inline void
sim_release(const void *what)
{
    __tsan_release((void *)(uintptr_t)what);
}

static inline void *
sim_thread_now(void)
{
    return __tsan_get_current_fiber();
}

static inline void
sim_thread_switch(void *thread)
{
    __tsan_switch_to_fiber(thread, __tsan_switch_to_fiber_no_sync);
}

/* Who only looks writes nothing but variables of his own; where threads look on
 * one stack in turn, these stand at the same addresses. */
void AnnotateIgnoreWritesBegin(const char *file, int line);
void AnnotateIgnoreWritesEnd(const char *file, int line);

static inline void
sim_look_begin(void *thread)
{
    sim_thread_switch(thread);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
}

static inline void
sim_look_end(void *thread)
{
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    sim_thread_switch(thread);
}

/* A thread that has seen all that the one that asks has: `thread`, or a new one
 * for NULL. */
static inline void *
sim_thread_start(void *thread)
{
    void *me = sim_thread_now();

    if (!thread)
        return __tsan_create_fiber(0);
    __tsan_switch_to_fiber(thread, 0);
    sim_thread_switch(me);
    return thread;
}

/* The one that asks has seen all that the thread has. The thread again, for the
 * next run; NULL if it was left in the middle of a call. */
static inline void *
sim_thread_join(void *thread, bool returned)
{
    void *me = sim_thread_now();

    sim_thread_switch(thread);
    __tsan_switch_to_fiber(me, 0);
    if (returned)
        return thread;
    __tsan_destroy_fiber(thread);
    return NULL;
}

#else

#define sim_acquire(what)                 ((void)(what))
#define sim_release(what)                 ((void)(what))
#define sim_thread_now()                  NULL
#define sim_thread_start(thread)          (thread)
#define sim_thread_switch(thread)         ((void)(thread))
#define sim_look_begin(thread)            ((void)(thread))
#define sim_look_end(thread)              ((void)(thread))
#define sim_thread_join(thread, returned) ((void)(returned), (thread))

#endif

#endif
