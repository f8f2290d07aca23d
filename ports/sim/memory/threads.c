/* SPDX-License-Identifier: MIT */
/*
 * threads.c - what happens before what, to the letter of C11: a clock for each
 * thread, and one for each thing by which threads meet.
 *
 * Fences are those of the view-based models of C11 (Kang et al. 2017): a fence
 * knows what all fences before it had seen, but that alone makes no plain
 * access safe.
 */
#include "memory.h"
#include "order.h"
#include "sim_run.h"

#include <string.h>

#define MEETINGS (1u << 12)

/* A lock, a word of a grace period: what who comes there learns. */
struct meeting {
    const void *what;
    uint32_t run;
    struct clock clock;
};

static struct {
    struct thread threads[THREADS];
    struct clock fences;
    struct meeting meetings[MEETINGS];
} memory = {.threads[OUTSIDE].number = OUTSIDE};

struct memory_now memory_now = {.running = &memory.threads[OUTSIDE]};

static void
go_on(struct thread *thread, bool looks)
{
    memory_now = (struct memory_now){
        .running = thread,
        .looks = looks,
        .is_seen = !looks && !memory_is_outside(thread),
    };
}

static void
join_times(uint32_t into[THREADS], const uint32_t from[THREADS])
{
    for (unsigned i = 0; i < THREADS; i++)
        if (from[i] > into[i])
            into[i] = from[i];
}

void
memory_join(struct clock *into, const struct clock *from)
{
    join_times(into->before, from->before);
    join_times(into->seen, from->seen);
}

struct clock
memory_publish(struct thread *thread)
{
    unsigned me = thread->number;

    thread->clock.before[me] = thread->clock.seen[me] = thread->now++;
    return thread->clock;
}

void
memory_fence(void)
{
    static const char fences;
    struct thread *thread = memory_now.running;

    sim_point(&fences, true); /* their order matters */
    memory_join(&thread->clock, &thread->pending);
    (void)memory_publish(thread);
    join_times(memory.fences.seen, thread->clock.seen);
    join_times(thread->clock.seen, memory.fences.seen);
    thread->fence = thread->clock;
}

/* ---- Meetings ---------------------------------------------------------- */

static struct clock *
clock_of(const void *what)
{
    uintptr_t hash = (uintptr_t)what * 0x9e3779b97f4a7c15u;

    for (uint32_t i = 0; i < MEETINGS; i++) {
        struct meeting *meeting =
            &memory.meetings[((uint32_t)(hash >> 40) + i) % MEETINGS];
        if (meeting->run == sim.run && meeting->what == what)
            return &meeting->clock;
        if (meeting->run == sim.run)
            continue;
        *meeting = (struct meeting){.what = what, .run = sim.run};
        return &meeting->clock;
    }
    sim_fail("too many locks for sim/memory");
    return &memory.meetings[0].clock;
}

void
sim_acquire(const void *what)
{
    if (memory_is_outside(memory_now.running))
        return;
    memory_line(what, MEMORY_ATOMIC | MEMORY_WRITE,
                __builtin_return_address(0));
    memory_join(&memory_now.running->clock, clock_of(what));
}

void
sim_locked(const void *what)
{
    if (!memory_is_outside(memory_now.running))
        memory_locked(what, false);
}

void
sim_release(const void *what)
{
    if (memory_is_outside(memory_now.running))
        return;
    struct clock clock = memory_publish(memory_now.running);
    memory_join(clock_of(what), &clock);
}

/* ---- Threads (order.h) ------------------------------------------------- */

void
sim_memory_begin(void)
{
    memset(memory.threads, 0, sizeof(memory.threads));
    memset(&memory.fences, 0, sizeof(memory.fences));
    for (unsigned i = 0; i < THREADS; i++) {
        memory.threads[i].number = i;
        memory.threads[i].now = 1;
    }
    go_on(&memory.threads[OUTSIDE], false);
}

void *
sim_thread_now(void)
{
    return memory_now.running;
}

void
sim_thread_switch(void *thread)
{
    go_on(thread, memory_now.looks);
}

void
sim_look_begin(void *thread)
{
    go_on(thread, true);
}

void
sim_look_end(void *thread)
{
    go_on(thread, false);
}

/* The threads of a run are begun one after the other. */
void *
sim_thread_start(void)
{
    struct thread *thread = memory.threads;
    struct clock clock = memory_publish(memory_now.running);

    while (thread->clock.before[OUTSIDE])
        thread++;
    memory_join(&thread->clock, &clock);
    return thread;
}

void
sim_thread_join(void *thread)
{
    struct clock clock = memory_publish(thread);

    memory_join(&memory_now.running->clock, &clock);
}
