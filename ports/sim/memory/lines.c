/* SPDX-License-Identifier: MIT */
/*
 * lines.c - which cache lines tasks touch while they say so: where one writes
 * what another touches, their processors wait for each other, whatever they
 * mean to each other.
 */
#include "memory.h"
#include "place.h"
#include "sim_run.h"

#include <string.h>

#define LINES 8192u
#define LINE  64u

/* Of one thread: what it wrote first in the line or, if nothing, read. */
struct use {
    const void *address;
    uint32_t place;
    bool written;
};

struct line {
    uintptr_t address;
    struct use uses[SIM_TASKS];
};

static struct {
    bool on[SIM_TASKS];
    uint32_t count;
    struct line lines[LINES];
} record;

extern const char __executable_start[], _end[]; /* the linker's */

static struct line *
line_of(uintptr_t address)
{
    for (uint32_t i = 0; i < record.count; i++)
        if (record.lines[i].address == address)
            return &record.lines[i];
    if (record.count == LINES)
        sim_fail("too many lines for sim/memory");
    struct line *line = &record.lines[record.count++];
    *line = (struct line){.address = address};
    return line;
}

static bool
is_recorded(const struct thread *thread, const void *address)
{
    const char *at = address;

    return thread->number < SIM_TASKS && record.on[thread->number] &&
           !memory_looks() && (at < __executable_start || at >= _end);
}

void
memory_line(const void *address, unsigned kind, const void *place)
{
    const struct thread *thread = memory_thread();

    if (!is_recorded(thread, address))
        return;
    struct line *line = line_of((uintptr_t)address & ~(uintptr_t)(LINE - 1));
    struct use *use = &line->uses[thread->number];
    bool writes = kind & MEMORY_WRITE;
    if (use->address && (use->written || !writes))
        return;
    *use = (struct use){address, place_of(place), writes};
}

void
sim_record(bool on)
{
    if (sim_task() < SIM_TASKS)
        record.on[sim_task()] = on;
}

void
sim_record_begin(void)
{
    record.count = 0;
    memset(record.on, 0, sizeof(record.on));
}

unsigned
sim_conflicts(struct sim_conflict *conflicts, unsigned most)
{
    unsigned count = 0;

    for (uint32_t i = 0; i < record.count && count < most; i++) {
        const struct use *uses = record.lines[i].uses;
        if (!uses[0].address || !uses[1].address ||
            !(uses[0].written || uses[1].written))
            continue;
        struct sim_conflict *conflict = &conflicts[count++];
        for (unsigned task = 0; task < 2; task++) {
            conflict->address[task] = uses[task].address;
            conflict->writes[task] = uses[task].written;
            conflict->place[task] = uses[task].place;
        }
    }
    return count;
}
