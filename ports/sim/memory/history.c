/* SPDX-License-Identifier: MIT */
/*
 * history.c - the last stores of each atomic word, what each told, and which
 * of them a load may find (memory.h, I2 and I3).
 *
 * Read-modify-writes find the last one, and tell what it told besides (release
 * sequences). Where a plain store has changed the word its history begins anew.
 */
#include "memory.h"
#include "sim_run.h"

#include <string.h>

#define WORDS_SEEN (1u << 15)

struct store {
    uint64_t value;
    unsigned thread;
    uint32_t time;
    struct clock told; /* what who acquires it learns */
};

/* From `time` on the thread has read store `number` or a later one. */
struct reading {
    uint32_t time;
    uint32_t number;
};

/* Stores are numbered from 0; the last HISTORY are there. */
struct history {
    const void *address;
    uint32_t run;
    uint32_t count;
    struct store stores[HISTORY];
    struct reading readings[THREADS][HISTORY];
    uint32_t read[THREADS]; /* how many there were */
};

static struct history histories[WORDS_SEEN];

/* The run in which some 8 bytes of these had a history: most never do. */
#define FILTER (1u << 14)
static uint32_t filter[FILTER];

static uint32_t *
filter_of(uintptr_t address)
{
    return &filter[(address / 8 * 0x9e3779b97f4a7c15u) >> 50];
}

static struct history *
find(const void *address, bool make)
{
    uintptr_t hash = (uintptr_t)address * 0x9e3779b97f4a7c15u;

    for (uint32_t i = 0; i < WORDS_SEEN; i++) {
        struct history *history =
            &histories[((uint32_t)(hash >> 40) + i) % WORDS_SEEN];
        if (history->run == sim.run && history->address == address)
            return history;
        if (history->run == sim.run)
            continue;
        if (!make)
            return NULL;
        history->address = address;
        history->run = sim.run;
        *filter_of((uintptr_t)address) = sim.run;
        history->count = 0;
        memset(history->read, 0, sizeof(history->read));
        return history;
    }
    sim_fail("too many words for sim/memory");
    return &histories[0];
}

static struct store *
store_at(struct history *history, uint32_t number)
{
    return &history->stores[number % HISTORY];
}

/* Of somebody that everybody has seen. */
static void
begin_with(struct history *history, uint64_t value)
{
    history->count = 1;
    memset(history->read, 0, sizeof(history->read));
    *store_at(history, 0) = (struct store){.value = value};
}

/* With `now` as the last one. */
static struct history *
history_of(const void *address, uint64_t now)
{
    struct history *history = find(address, true);

    if (!history->count || store_at(history, history->count - 1)->value != now)
        begin_with(history, now);
    return history;
}

/* ---- Loads ------------------------------------------------------------- */

/* The oldest one that the thread may still find. */
static uint32_t
oldest_for(struct history *history, const struct thread *thread)
{
    const uint32_t *seen = thread->clock.seen;
    uint32_t kept = history->count < HISTORY ? history->count : HISTORY;
    uint32_t oldest = history->count - kept;

    for (uint32_t i = oldest; i < history->count; i++) {
        const struct store *store = store_at(history, i);
        if (store->time <= seen[store->thread])
            oldest = i;
    }
    for (unsigned other = 0; other < THREADS; other++)
        for (uint32_t i = 0; i < history->read[other] && i < HISTORY; i++) {
            const struct reading *reading = &history->readings[other][i];
            bool known =
                reading->time <= seen[other] || other == thread->number;
            if (known && reading->number > oldest)
                oldest = reading->number;
        }
    return oldest;
}

static void
note_reading(struct history *history, const struct thread *thread,
             uint32_t number)
{
    uint32_t *count = &history->read[thread->number];
    struct reading *readings = history->readings[thread->number];

    if (*count && readings[(*count - 1) % HISTORY].number == number)
        return;
    readings[(*count)++ % HISTORY] =
        (struct reading){.time = thread->now, .number = number};
}

static void
learn(struct thread *thread, const struct store *store, unsigned order)
{
    memory_join(order & ACQUIRE ? &thread->clock : &thread->pending,
                &store->told);
}

uint64_t
memory_load(const void *address, uint64_t now, unsigned order)
{
    struct thread *thread = memory_thread();

    if (memory_is_outside(thread))
        return now;
    struct history *history = history_of(address, now);
    uint32_t last = history->count - 1;
    uint32_t choices =
        memory_looks() ? 1 : history->count - oldest_for(history, thread);
    uint32_t number = last - sim_choose_value(choices);
    const struct store *store = store_at(history, number);

    note_reading(history, thread, number);
    learn(thread, store, order);
    return store->value;
}

/* ---- Stores ------------------------------------------------------------ */

static void
add(struct history *history, uint64_t value, unsigned order,
    const struct clock *besides)
{
    struct thread *thread = memory_thread();
    struct store store = {
        .value = value,
        .thread = thread->number,
        .time = thread->now,
        .told = thread->fence,
    };
    struct clock clock = memory_publish(thread);

    if (order & RELEASE)
        memory_join(&store.told, &clock);
    if (besides)
        memory_join(&store.told, besides);
    *store_at(history, history->count++) = store;
}

void
memory_store(const void *address, uint64_t before, uint64_t after,
             unsigned order)
{
    if (!memory_is_outside(memory_thread()))
        add(history_of(address, before), after, order, NULL);
}

void
memory_change(const void *address, uint64_t before, uint64_t after,
              unsigned order)
{
    if (memory_is_outside(memory_thread()))
        return;
    struct history *history = history_of(address, before);
    const struct store *last = store_at(history, history->count - 1);
    struct clock told = last->told;

    learn(memory_thread(), last, order);
    add(history, after, order, &told);
}

void
memory_forget(const void *address, size_t bytes)
{
    uintptr_t first = (uintptr_t)address & ~(uintptr_t)7;

    if (memory_is_outside(memory_thread()))
        return;
    for (uintptr_t at = first; at < (uintptr_t)address + bytes; at++) {
        struct history *history =
            *filter_of(at) == sim.run ? find((const void *)at, false) : NULL;
        if (history)
            history->count = 0;
    }
}
