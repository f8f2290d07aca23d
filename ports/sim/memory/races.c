/* SPDX-License-Identifier: MIT */
/*
 * races.c - for each 8 bytes, what every task last did to them: an access that
 * does not happen after another task's, where one of them writes and one is
 * not atomic, is a data race. So is any to memory that somebody has freed.
 */
#include "memory.h"
#include "place.h"
#include "sim_run.h"

#include <stdio.h>

#define CELLS   (1u << 16)
#define KINDS   4 /* MEMORY_WRITE and MEMORY_ATOMIC, or not */
#define KEPT    12
#define GRANULE 8u

struct access {
    uint32_t time;
    uint32_t place;
    uint8_t bytes; /* a bit for each */
    uint8_t thread;
    uint8_t kind;
};

/* The last access of each thread, kind and bytes; of more than KEPT the oldest
 * ones are forgotten. */
struct cell {
    uintptr_t address;
    uint32_t run;
    uint32_t freed; /* the place, or 0 */
    uint32_t count;
    struct access accesses[KEPT];
};

static struct cell cells[CELLS];

static struct cell *
find(uintptr_t address, bool make)
{
    /* Neighbours are neighbours there, too: they are looked at together. */
    uintptr_t hash = address / 64 * 0x9e3779b97f4a7c15u;
    uint32_t first = (uint32_t)(hash >> 40) * 8 + address / GRANULE % 8;

    for (uint32_t i = 0; i < CELLS; i++) {
        struct cell *cell = &cells[(first + i) % CELLS];
        if (cell->run == sim.run && cell->address == address)
            return cell;
        if (cell->run == sim.run)
            continue;
        if (!make)
            return NULL;
        cell->address = address;
        cell->run = sim.run;
        cell->freed = cell->count = 0;
        return cell;
    }
    sim_fail("too much memory for sim/memory");
    return &cells[0];
}

/* ---- What is said ------------------------------------------------------ */

static const char *
name_of(unsigned kind)
{
    static const char *const names[KINDS] = {"read", "write", "atomic read",
                                             "atomic write"};
    return names[kind];
}

static void
describe(char text[256], const char *what, const struct access *access,
         const char *other, uint32_t other_place)
{
    char here[96];
    char there[96];

    place_name(access->place, here, sizeof(here));
    place_name(other_place, there, sizeof(there));
    snprintf(text, 256, "%s: %s at %s, %s at %s", what, name_of(access->kind),
             here, other, there);
}

static void
found_freed(const struct access *access, uint32_t freed)
{
    char text[256];

    describe(text, "use after free", access, "freed", freed);
    sim_fail(text);
}

static void
found_race(const struct access *access, const struct access *was)
{
    char text[256];

    if (sim_races_counted() && !sim_race_is_new(access->place, was->place))
        return;
    describe(text, "data race", access, name_of(was->kind), was->place);
    if (sim_races_counted())
        sim_race_keep(text);
    else
        sim_fail(text);
}

/* ---- Looking ----------------------------------------------------------- */

static bool
conflicts(const struct access *one, const struct access *other)
{
    return one->thread != other->thread && one->bytes & other->bytes &&
           (one->kind | other->kind) & MEMORY_WRITE &&
           !(one->kind & other->kind & MEMORY_ATOMIC);
}

static void
look(const struct cell *cell, const struct thread *thread,
     const struct access *access)
{
    if (cell->freed)
        found_freed(access, cell->freed);
    for (uint32_t i = 0; i < cell->count && i < KEPT; i++) {
        const struct access *was = &cell->accesses[i];
        if (conflicts(access, was) &&
            was->time > thread->clock.before[was->thread])
            found_race(access, was);
    }
}

static void
note(struct cell *cell, const struct access *access)
{
    for (uint32_t i = 0; i < cell->count && i < KEPT; i++) {
        struct access *was = &cell->accesses[i];
        if (was->thread == access->thread && was->kind == access->kind &&
            was->bytes == access->bytes) {
            *was = *access;
            return;
        }
    }
    cell->accesses[cell->count++ % KEPT] = *access;
}

/* Those of the bytes that are in the granule, as bits. */
static uint8_t
bytes_in(uintptr_t granule, uintptr_t address, size_t bytes)
{
    unsigned mask = 0;

    for (unsigned i = 0; i < GRANULE; i++)
        if (granule + i >= address && granule + i < address + bytes)
            mask |= 1u << i;
    return (uint8_t)mask;
}

void
memory_access_seen(const void *address, size_t bytes, unsigned kind,
                   const void *place)
{
    const struct thread *thread = memory_thread();
    uintptr_t first = (uintptr_t)address;

    for (uintptr_t granule = first & ~(uintptr_t)(GRANULE - 1);
         granule < first + bytes; granule += GRANULE) {
        struct access access = {
            .time = thread->now,
            .place = place_of(place),
            .bytes = bytes_in(granule, first, bytes),
            .thread = (uint8_t)thread->number,
            .kind = (uint8_t)(kind & (MEMORY_WRITE | MEMORY_ATOMIC)),
        };
        memory_line((const void *)granule, kind, place);
        struct cell *cell = find(granule, true);
        look(cell, thread, &access);
        note(cell, &access);
    }
}

/* ---- Freeing ----------------------------------------------------------- */

void
sim_memory_freed(const void *address, size_t bytes)
{
    const void *place = __builtin_return_address(0);
    uintptr_t first = (uintptr_t)address;

    if (!memory_now.is_seen)
        return;
    memory_access(address, bytes, MEMORY_WRITE, place);
    for (uintptr_t granule = first; granule < first + bytes; granule += GRANULE)
        find(granule, true)->freed = place_of(place);
}

void
sim_memory_made(const void *address, size_t bytes)
{
    uintptr_t first = (uintptr_t)address;

    memory_forget(address, bytes);
    if (!memory_now.is_seen)
        return;
    for (uintptr_t granule = first; granule < first + bytes;
         granule += GRANULE) {
        struct cell *cell = find(granule, false);
        if (cell)
            cell->freed = cell->count = 0;
    }
}
