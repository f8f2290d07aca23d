/* SPDX-License-Identifier: MIT */
/*
 * priorities.c - random orders by priorities: who has the highest of those that
 * can go on does, until a moment that was chosen before takes it from him. Few
 * such moments find what many random switches do not, since most bugs need few.
 */
#include "sim_run.h"

#define DEPTH_MAX 16u

struct priorities {
    uint64_t seed;
    unsigned of[ALL];            /* the higher the sooner */
    uint64_t changes[DEPTH_MAX]; /* steps, in no order */
    unsigned change_count;
    unsigned lowest; /* that nobody has yet */
};

static uint64_t
below(struct priorities *priorities, uint64_t limit)
{
    priorities->seed =
        priorities->seed * 6364136223846793005u + 1442695040888963407u;
    return (priorities->seed >> 33) % limit;
}

/* The highest ones are for tasks as they begin. */
static void
shuffle(struct priorities *priorities, uint64_t steps)
{
    for (unsigned i = 0; i < ALL; i++)
        priorities->of[i] = DEPTH_MAX + i;
    for (unsigned i = ALL - 1; i > 0; i--) {
        unsigned other = (unsigned)below(priorities, i + 1);
        unsigned mine = priorities->of[i];
        priorities->of[i] = priorities->of[other];
        priorities->of[other] = mine;
    }
    for (unsigned i = 0; i < priorities->change_count; i++)
        priorities->changes[i] = below(priorities, steps);
    priorities->lowest = DEPTH_MAX;
}

static unsigned
highest(const struct priorities *priorities, uint8_t enabled)
{
    unsigned best = NOBODY;

    for (unsigned i = 0; i < ALL; i++)
        if (enabled >> i & 1 &&
            (best == NOBODY || priorities->of[i] > priorities->of[best]))
            best = i;
    return best;
}

static unsigned
choose_highest(uint32_t number, uint8_t enabled, uint8_t sleeping,
               void *context)
{
    struct priorities *priorities = context;

    (void)sleeping;
    for (unsigned i = 0; i < priorities->change_count; i++)
        if (priorities->changes[i] == number)
            priorities->of[highest(priorities, enabled)] = --priorities->lowest;
    return highest(priorities, enabled);
}

void
sim_random_priorities(const struct sim_program *program, uint64_t runs,
                      uint64_t seed, unsigned depth, struct sim_result *result)
{
    struct priorities priorities = {.seed = seed};
    uint64_t steps = 1;

    if (depth > 1)
        priorities.change_count =
            depth - 1 < DEPTH_MAX ? depth - 1 : DEPTH_MAX - 1;
    sim_begin(program, result);
    sim.seed = seed + 1;
    while (runs-- && !result->broken) {
        shuffle(&priorities, steps);
        sim_run_once(choose_highest, &priorities);
        steps = result->longest;
        if (sim.after_run)
            sim.after_run(result);
    }
}
