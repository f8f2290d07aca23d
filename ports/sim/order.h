/* SPDX-License-Identifier: MIT */
/*
 * order.h - what sim/memory is told of a run, where the core is built for it
 * (SIM_MEMORY): nothing otherwise.
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

#if defined(SIM_MEMORY)

#include <stdbool.h>
#include <stddef.h>

/* What one has released until now, all that acquire it from now on know. */
void sim_acquire(const void *what);
void sim_release(const void *what);
/* A processor would take one locked instruction for it. */
void sim_locked(const void *what);
void *sim_thread_now(void);
void sim_thread_switch(void *thread);
/* In the thread's name somebody looks until the last value is what it waits
 * for; `thread` of the end goes on. */
void sim_look_begin(void *thread);
void sim_look_end(void *thread);
/* One that knows all that the one that asks does, and the other way. */
void *sim_thread_start(void);
void sim_thread_join(void *thread);
void sim_memory_begin(void); /* of a run */
/* Who uses it fails, until it is given to somebody. */
void sim_memory_freed(const void *address, size_t bytes);
void sim_memory_made(const void *address, size_t bytes);

#else

#define sim_memory_begin()              ((void)0)
#define sim_memory_freed(memory, bytes) ((void)(memory), (void)(bytes))
#define sim_memory_made(memory, bytes)  ((void)(memory), (void)(bytes))
#define sim_acquire(what)               ((void)(what))
#define sim_release(what)               ((void)(what))
#define sim_locked(what)                ((void)(what))
#define sim_thread_now()                NULL
#define sim_thread_start()              NULL
#define sim_thread_switch(thread)       ((void)(thread))
#define sim_look_begin(thread)          ((void)(thread))
#define sim_look_end(thread)            ((void)(thread))
#define sim_thread_join(thread)         ((void)(thread))

#endif

#endif
