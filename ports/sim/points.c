/* SPDX-License-Identifier: MIT */
/*
 * points.c - what the core asks of the port, each a point where another task
 * may go on: locks, waiting, memory, RCU. And how a run fails.
 */
#define _GNU_SOURCE
#include "sim_run.h"

#include <aspen/tlb.h>

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sim_run sim = {.running = NOBODY};

/* ---- Failing ----------------------------------------------------------- */

/* "0*12 1*3~1 ...": the choices of this run, equal neighbours together. The
 * step that a task is in is one of them. */
void
sim_write_schedule(char *out, size_t size)
{
    uint32_t count = sim.count + (sim.stepping && sim.running != NOBODY);
    size_t used = 0;

    for (uint32_t i = 0; i < count && used + 24 < size;) {
        uint32_t first = i;
        unsigned value = 0;
        while (i < count && !value &&
               sim.steps[i].task == sim.steps[first].task)
            value = sim.steps[i++].value;
        used +=
            (size_t)snprintf(out + used, size - used, "%s%u*%u",
                             used ? " " : "", sim.steps[first].task, i - first);
        if (value)
            used += (size_t)snprintf(out + used, size - used, "~%u", value);
    }
}

void
sim_note_failure(const char *what)
{
    if (!sim.result) {
        fprintf(stderr, "sim: %s\n", what);
        abort();
    }
    if (sim.failed)
        return;
    sim.failed = true;
    sim.result->broken = true;
    snprintf(sim.result->what, sizeof(sim.result->what), "%s", what);
    sim_write_schedule(sim.result->schedule, sizeof(sim.result->schedule));
}

void
sim_fail(const char *what)
{
    sim_note_failure(what);
    if (sim.running != NOBODY) {
        /* The run is over: nobody chooses this task again. */
        sim_leave_task(sim.running);
    }
}

_Noreturn void
aspen_port_panic(const char *message)
{
    sim_fail(message);
    fprintf(stderr, "sim: panic outside of a task: %s\n", message);
    abort();
}

struct aspen_lock_order *
aspen_port_lock_order(void)
{
    return sim.running == NOBODY ? &sim.held_outside
                                 : &sim.tasks[sim.running].held;
}

unsigned
sim_task(void)
{
    return sim.running < SIM_TASKS ? sim.running : 0;
}

/* ---- Points ------------------------------------------------------------ */

void
sim_leave_task(unsigned me)
{
    sim.running = NOBODY;
    sim_thread_switch(sim.scheduler_thread);
    sim_fiber_switch(&sim.tasks[me].fiber, &sim.scheduler);
}

static void
give_way(struct operation operation)
{
    unsigned me = sim.running;

    sim.tasks[me].next = operation;
    sim_leave_task(me);
    sim.running = me;
    if (sim.seen)
        sim_show(&operation);
}

static void
point(const void *address, bool is_write, const char *what)
{
    if (sim.running != NOBODY)
        give_way((struct operation){
            .what = what, .address = address, .is_write = is_write});
}

void
sim_point(const void *address, bool is_write)
{
    if (sim.running == NOBODY && sim.looking)
        sim_bound_watch(address);
    point(address, is_write, NULL);
}

bool
sim_lock_free(const uint32_t *holders, bool exclusive)
{
    return exclusive ? *holders == 0 : *holders != UINT32_MAX;
}

/* What readers have done, only a writer has to see. */
static const void *
readers_of(const uint32_t *holders)
{
    return (const char *)holders + 1;
}

static void
take(uint32_t *holders, bool exclusive)
{
    *holders = exclusive ? UINT32_MAX : *holders + 1;
    sim_locked(holders);
    sim_acquire(holders);
    if (exclusive)
        sim_acquire(readers_of(holders));
}

void
sim_lock(uint32_t *holders, bool exclusive)
{
    if (sim.running != NOBODY)
        give_way((struct operation){
            .what = exclusive ? "lock" : "lock to read",
            .address = holders,
            .is_write = exclusive,
            .wait = exclusive ? WAIT_LOCK_EXCLUSIVE : WAIT_LOCK_SHARED,
        });
    if (!sim_lock_free(holders, exclusive))
        sim_fail("a lock is taken that is held, where nobody can wait");
    take(holders, exclusive);
}

void
sim_unlock_locked(uint32_t *holders, bool exclusive)
{
    sim_locked(holders);
    sim_unlock(holders, exclusive);
}

bool
sim_trylock(uint32_t *holders, bool exclusive)
{
    if (sim.running != NOBODY) /* its answer depends on every holder */
        give_way((struct operation){.what = exclusive ? "try to lock"
                                                      : "try to lock to read",
                                    .address = holders,
                                    .is_write = true,
                                    .tries = true});
    if (!sim_lock_free(holders, exclusive))
        return false;
    take(holders, exclusive);
    return true;
}

void
sim_unlock(uint32_t *holders, bool exclusive)
{
    if (exclusive ? *holders != UINT32_MAX
                  : *holders == 0 || *holders == UINT32_MAX)
        sim_fail("a lock is given back that is not held");
    sim_release(exclusive ? holders : readers_of(holders));
    *holders = exclusive ? 0 : *holders - 1;
    /* Whoever takes it next comes after all that was done under it. */
    if (sim.running != NOBODY) {
        sim_released(holders, exclusive);
        sim_bound_release(holders, exclusive);
    }
}

/* ---- Interrupts and flushes -------------------------------------------- */

void
sim_interrupts_off(void)
{
    uint32_t *off;

    if (sim.running == NOBODY)
        return;
    off = &sim.tasks[sim.running].interrupts_off;
    if (*off == 0)
        point(off, true, "interrupts off");
    ++*off;
}

void
sim_interrupts_on(void)
{
    if (sim.running == NOBODY)
        return;
    struct task *task = &sim.tasks[sim.running];
    /* Who waits for an answer comes after all that was done until now. */
    if (--task->interrupts_off == 0) {
        sim_released(&task->interrupts_off, true);
        sim_bound_release(&task->interrupts_off, true);
    }
}

static void
wait_for_answer(unsigned cpu)
{
    if (cpu != sim.running && !sim.tasks[cpu].finished)
        give_way((struct operation){
            .what = "flush, answered",
            .address = &sim.tasks[cpu].interrupts_off,
            .wait = WAIT_INTERRUPTS,
        });
}

void
aspen_port_tlb_flush(const struct aspen_tlb_flush *flush)
{
    if (sim.running == NOBODY)
        return;
    if (sim.tasks[sim.running].reading)
        sim_fail("an RCU reader waits for other CPUs");
    for (unsigned cpu = 0; cpu < SIM_TASKS; cpu++)
        if (*flush->cpus >> cpu & 1)
            wait_for_answer(cpu);
}

/* ---- Waiting ----------------------------------------------------------- */

void
aspen_port_wait_while(const void *key, bool (*busy)(const void *argument),
                      const void *argument)
{
    if (sim.running == NOBODY) {
        if (busy(argument))
            sim_fail("waiting for ever outside of the simulation");
        return;
    }
    give_way((struct operation){
        .what = "wait, over",
        .address = key,
        .is_write = true,
        .wait = WAIT_WHILE,
        .busy = busy,
        .argument = argument,
    });
}

void
aspen_port_wake_all(const void *key)
{
    point(key, true, "wake"); /* the scheduler asks busy() at every step */
}

/* ---- Memory ------------------------------------------------------------ */

/* Memory that a run took and, when it was cut or failed, did not give back:
 * this stands in a page before it. */
struct memory {
    struct memory *next;
    size_t bytes;
    unsigned number; /* in this run */
};

#define BEFORE 4096u

static struct memory *memories;
static unsigned memory_count; /* of this run */

static void *
bytes_of(struct memory *entry)
{
    return (char *)entry + BEFORE;
}

/* Each run takes the same again: it need not come from the kernel. */
static void
keep_freed(void)
{
#if defined(M_MMAP_THRESHOLD) && defined(M_TRIM_THRESHOLD)
    static bool done;

    if (done)
        return;
    done = true;
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 256 << 20);
#endif
}

void *
aspen_port_memory_alloc(size_t bytes)
{
    keep_freed();
    struct memory *entry =
        aligned_alloc(4096, BEFORE + ((bytes + 4095) & ~(size_t)4095));

    if (!entry)
        return NULL;
    entry->next = memories;
    entry->bytes = bytes;
    entry->number = ++memory_count;
    memories = entry;
    sim_memory_made(bytes_of(entry), bytes);
    return memset(bytes_of(entry), 0, bytes);
}

void
aspen_port_memory_free(void *memory, size_t bytes)
{
    struct memory **link = &memories;

    sim_memory_freed(memory, bytes);
    while (*link && bytes_of(*link) != memory)
        link = &(*link)->next;
    if (!*link) {
        sim_fail("memory is freed that was not allocated");
        return;
    }
    struct memory *entry = *link;
    *link = entry->next;
    free(entry);
}

void
sim_free_memories(void)
{
    while (memories)
        aspen_port_memory_free(bytes_of(memories), 0);
    memory_count = 0;
}

unsigned
sim_find_memory(const void *address, size_t *offset)
{
    for (struct memory *entry = memories; entry; entry = entry->next) {
        *offset = (uintptr_t)address - (uintptr_t)bytes_of(entry);
        if (*offset < entry->bytes)
            return entry->number;
    }
    return 0;
}

/* ---- RCU --------------------------------------------------------------- */

static const char rcu_word;

void
aspen_port_rcu_read_lock(void)
{
    if (sim.running == NOBODY)
        return;
    point(&rcu_word, false, "rcu read");
    sim.tasks[sim.running].reading++;
}

void
aspen_port_rcu_read_unlock(void)
{
    if (sim.running == NOBODY)
        return;
    sim_release(&rcu_word);
    if (--sim.tasks[sim.running].reading == 0) {
        sim.tasks[sim.running].sections++;
        sim_bound_release(&rcu_word, false);
    }
}

/* The reader sections that are open now: section number + 1; 0: none. */
static void
note_readers(uint64_t grace[SIM_TASKS])
{
    for (unsigned i = 0; i < SIM_TASKS; i++)
        grace[i] = sim.tasks[i].reading ? sim.tasks[i].sections + 1 : 0;
}

bool
sim_grace_over(const uint64_t grace[SIM_TASKS])
{
    for (unsigned i = 0; i < SIM_TASKS; i++)
        if (grace[i] && sim.tasks[i].reading &&
            sim.tasks[i].sections + 1 == grace[i])
            return false;
    return true;
}

void
aspen_port_rcu_defer(struct aspen_port_rcu_head *head,
                     void (*callback)(struct aspen_port_rcu_head *head))
{
    point(&rcu_word, true, "rcu defer");
    if (sim.callback_count == CALLBACKS)
        sim_fail("too many deferred callbacks");
    struct callback *entry = &sim.callbacks[sim.callback_count++];
    head->callback = callback;
    entry->head = head;
    sim_release(head);
    note_readers(entry->grace);
}

void
aspen_port_rcu_synchronise(void)
{
    if (sim.running == NOBODY)
        return;
    struct operation operation = {.what = "rcu synchronise, over",
                                  .address = &rcu_word,
                                  .is_write = true,
                                  .wait = WAIT_GRACE};
    note_readers(operation.grace);
    give_way(operation);
    sim_acquire(&rcu_word);
}

/* The first callback whose readers are gone, taken off the list; or NULL. */
static struct aspen_port_rcu_head *
take_callback(void)
{
    for (unsigned i = 0; i < sim.callback_count; i++) {
        if (!sim_grace_over(sim.callbacks[i].grace))
            continue;
        struct aspen_port_rcu_head *head = sim.callbacks[i].head;
        sim_acquire(head);
        sim_acquire(&rcu_word);
        sim.callback_count--;
        memmove(&sim.callbacks[i], &sim.callbacks[i + 1],
                (sim.callback_count - i) * sizeof(sim.callbacks[0]));
        return head;
    }
    return NULL;
}

void
aspen_port_rcu_barrier(void)
{
    struct aspen_port_rcu_head *head;

    if (sim.running != NOBODY)
        sim_fail("a barrier inside of the simulation");
    while ((head = take_callback()) != NULL)
        head->callback(head);
}

static bool
no_callback(const void *unused)
{
    (void)unused;
    for (unsigned i = 0; i < sim.callback_count; i++)
        if (sim_grace_over(sim.callbacks[i].grace))
            return false;
    return true;
}

void
sim_run_deferred(void)
{
    for (;;) {
        struct aspen_port_rcu_head *head;
        give_way((struct operation){.what = "rcu callbacks",
                                    .address = &rcu_word,
                                    .is_write = true,
                                    .wait = WAIT_WHILE,
                                    .busy = no_callback});
        while ((head = take_callback()) != NULL)
            head->callback(head);
    }
}
