/* SPDX-License-Identifier: MIT */
/*
 * seen.c - what a step did, and what its address is called, for who looks on.
 */
#define _GNU_SOURCE
#include "sim_run.h"

#include <execinfo.h>
#include <stdio.h>

#define NAMES 8u

static struct {
    const char *start;
    size_t bytes;
    size_t unit;
    const char *name;
} names[NAMES];

void
sim_forget_names(void)
{
    names[0].name = NULL;
}

void
sim_name(const void *start, size_t bytes, size_t unit, const char *name)
{
    for (unsigned i = 0; i < NAMES; i++) {
        if (names[i].name)
            continue;
        names[i].start = start;
        names[i].bytes = bytes;
        names[i].unit = unit;
        names[i].name = name;
        if (i + 1 < NAMES)
            names[i + 1].name = NULL;
        return;
    }
}

void
sim_name_of(const void *address, char *out, size_t size)
{
    size_t offset;

    for (unsigned i = 0; i < NAMES && names[i].name; i++) {
        offset = (uintptr_t)address - (uintptr_t)names[i].start;
        if (offset >= names[i].bytes)
            continue;
        if (names[i].unit == names[i].bytes)
            snprintf(out, size, "%s + 0x%zx", names[i].name, offset);
        else
            snprintf(out, size, "%s %zu + 0x%zx", names[i].name,
                     offset / names[i].unit, offset % names[i].unit);
        return;
    }
    unsigned number = sim_find_memory(address, &offset);
    if (number)
        snprintf(out, size, "memory %u + 0x%zx", number, offset);
    else
        out[0] = '\0';
}

void
sim_show(const struct operation *operation)
{
    struct sim_seen step = {
        .task = sim.running,
        .what = operation->what       ? operation->what
                : operation->is_write ? "store"
                                      : "load",
        .address = operation->address,
    };

    step.depth = (unsigned)backtrace(step.callers, SIM_CALLERS);
    sim.seen(&step);
}
