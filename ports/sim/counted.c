/* SPDX-License-Identifier: MIT */
/*
 * counted.c - the data races of a search: each pair of places once, with the
 * schedule that came by it first. Who finds them is sim/memory.
 */
#include "sim_run.h"

#include <stdio.h>
#include <string.h>

#define RACES 64u

static struct {
    bool on;
    unsigned count;
    struct sim_race races[RACES];
    uint32_t places[RACES][2];
} counted;

bool
sim_sees_memory(void)
{
#if defined(SIM_MEMORY)
    return true;
#else
    return false;
#endif
}

void
sim_count_races(bool on)
{
    counted.on = on;
}

void
sim_forget_races(void)
{
    counted.count = 0;
}

const struct sim_race *
sim_races(unsigned *count)
{
    *count = counted.count;
    return counted.races;
}

bool
sim_races_counted(void)
{
    return counted.on;
}

bool
sim_race_is_new(uint32_t place, uint32_t other)
{
    const uint32_t low = place < other ? place : other;
    const uint32_t high = place < other ? other : place;

    for (unsigned i = 0; i < counted.count; i++)
        if (counted.places[i][0] == low && counted.places[i][1] == high)
            return false;
    if (counted.count == RACES)
        return false;
    counted.places[counted.count][0] = low;
    counted.places[counted.count][1] = high;
    return true;
}

void
sim_race_keep(const char *what)
{
    struct sim_race *race = &counted.races[counted.count++];

    snprintf(race->what, sizeof(race->what), "%s", what);
    sim_write_schedule(race->schedule, sizeof(race->schedule));
}
