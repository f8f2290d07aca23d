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
    uint32_t locked; /* instructions of that kind */
    bool written;
};

struct line {
    uintptr_t address;
    struct use uses[SIM_TASKS];
};

static struct {
    bool on[SIM_TASKS];
    bool
        locked[SIM_TASKS]; /* what it did last was locked: it is a fence, too */
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

/* Nobody else sees it. */
static bool
is_on_stack(const struct thread *thread, const char *at)
{
    const char *stack = sim.tasks[thread->number].stack;

    return stack && at >= stack && at < stack + SIM_STACK_BYTES;
}

static bool
is_recorded(const struct thread *thread, const void *address)
{
    const char *at = address;

    return thread->number < SIM_TASKS && record.on[thread->number] &&
           !memory_looks() && (at < __executable_start || at >= _end) &&
           !is_on_stack(thread, at);
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
    record.locked[thread->number] = kind & MEMORY_LOCKED;
    use->locked += (kind & MEMORY_LOCKED) != 0;
    if (use->address && (use->written || !writes))
        return;
    use->address = address;
    use->place = place_of(place);
    use->written = writes;
}

/* A fence is none of any line; so it has one of its own, which nobody writes.
 */
void
memory_locked(const void *address, bool fence)
{
    const struct thread *thread = memory_thread();

    if (thread->number >= SIM_TASKS || !record.on[thread->number] ||
        memory_looks() || (fence && record.locked[thread->number]))
        return;
    record.locked[thread->number] = true;
    line_of((uintptr_t)address & ~(uintptr_t)(LINE - 1))
        ->uses[thread->number]
        .locked++;
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
sim_costs(struct sim_cost *costs, unsigned most)
{
    unsigned count = 0;

    for (uint32_t i = 0; i < record.count && count < most; i++) {
        const struct use *use = &record.lines[i].uses[0];
        if (use->address || use->locked)
            costs[count++] = (struct sim_cost){.address = use->address,
                                               .place = use->place,
                                               .locked = use->locked,
                                               .written = use->written};
    }
    return count;
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
