/* SPDX-License-Identifier: MIT */
/*
 * sim.c - the search through the orders of tasks that take turns.
 *
 * It is that of Abdulla, Aronis, Jonsson and Sagonas (2014), after Flanagan and
 * Godefroid (2005): where a step could have come before an earlier dependent
 * one of another task, whoever can begin with what it needs becomes one more
 * choice there (source sets). Sleep sets leave out a choice whose effect was
 * seen in a run before. With a bound of preemptions it is another one: bound.c.
 */
#include "sim_run.h"

#include <stdio.h>
#include <string.h>

static unsigned
lowest(uint8_t mask)
{
    for (unsigned i = 0; i < ALL; i++)
        if (mask & 1u << i)
            return i;
    return NOBODY;
}

/* Follow what is given, then the task that ran last while it can. */
static unsigned
choose_next(uint32_t number, uint8_t enabled, uint8_t sleeping, void *unused)
{
    (void)unused;
    if (number < sim.given)
        return sim.steps[number].task;
    uint8_t awake = enabled & (uint8_t)~sleeping;
    if (number && awake & 1u << sim.steps[number - 1].task)
        return sim.steps[number - 1].task;
    return lowest(awake);
}

/* Wanted, not done, and not in vain. */
static unsigned
next_choice(uint32_t number)
{
    const struct step *step = &sim.steps[number];
    uint8_t left = (uint8_t)(step->wanted & ~step->done & ~step->sleeping);

    while (sim.bounds && left && !sim_bound_allows(number, lowest(left)))
        left &= (uint8_t)(left - 1);
    return lowest(left);
}

/* The deepest step with another value for its load, or with such a choice: the
 * next run follows this one up to there. False: there is none. */
static bool
next_choices(void)
{
    for (uint32_t i = sim.count; i-- > 0;) {
        struct step *step = &sim.steps[i];
        if (step->value + 1u < step->values) {
            step->value++;
            sim.given = i + 1;
            return true;
        }
        unsigned next = next_choice(i);
        if (next == NOBODY)
            continue;
        step->task = (uint8_t)next;
        step->value = 0;
        sim.given = i + 1;
        return true;
    }
    return false;
}

void
sim_relax(unsigned loads)
{
    sim.relaxed = loads;
}

void
sim_begin(const struct sim_program *program, struct sim_result *result)
{
    memset(result, 0, sizeof(*result));
    sim.program = program;
    sim.result = result;
    sim.bounds = NULL;
    sim.given = 0;
    sim.seed = 0;
}

void
sim_watch(void (*after_run)(const struct sim_result *result))
{
    sim.after_run = after_run;
}

static void
search(uint64_t most, struct sim_result *result)
{
    do {
        sim_run_once(choose_next, NULL);
        if (sim.bounds && sim.bounds->shard && !sim.given)
            result->schedules = 0; /* the first part has it */
        if (sim.after_run)
            sim.after_run(result);
        if (result->broken || result->schedules + result->cut >= most)
            return;
    } while (next_choices());
    result->complete = true;
}

void
sim_explore(const struct sim_program *program, uint64_t most,
            struct sim_result *result)
{
    sim_begin(program, result);
    search(most, result);
}

void
sim_explore_bounded(const struct sim_program *program,
                    const struct sim_bounds *bounds, uint64_t most,
                    struct sim_result *result)
{
    sim_begin(program, result);
    sim.bounds = bounds;
    search(most, result);
    sim.bounds = NULL;
}

static unsigned
choose_any(uint32_t number, uint8_t enabled, uint8_t sleeping, void *context)
{
    uint64_t *seed = context;
    (void)sleeping;

    /* Stay with one task for a while: most bugs need few switches. */
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    if (number && enabled & 1u << sim.steps[number - 1].task &&
        (*seed >> 33) % 8)
        return sim.steps[number - 1].task;
    unsigned skip = (unsigned)((*seed >> 40) % ALL);
    for (;; skip = (skip + 1) % ALL)
        if (enabled & 1u << skip)
            return skip;
}

void
sim_random(const struct sim_program *program, uint64_t runs, uint64_t seed,
           struct sim_result *result)
{
    sim_begin(program, result);
    sim.seed = seed + 1;
    while (runs-- && !result->broken) {
        sim_run_once(choose_any, &seed);
        if (sim.after_run)
            sim.after_run(result);
    }
}

struct replay {
    const char *next;
    unsigned task;
    unsigned left;
    unsigned value; /* of the last of these */
};

static unsigned
choose_given(uint32_t number, uint8_t enabled, uint8_t sleeping, void *context)
{
    struct replay *replay = context;
    int used = 0;

    (void)sleeping;
    if (!replay->left && sscanf(replay->next, " %u*%u%n", &replay->task,
                                &replay->left, &used) == 2) {
        replay->next += used;
        replay->value = 0;
        if (sscanf(replay->next, "~%u%n", &replay->value, &used) == 1)
            replay->next += used;
    }
    if (replay->left) {
        if (--replay->left == 0)
            sim.steps[number].value = (uint8_t)replay->value;
        if (replay->task < ALL && enabled & 1u << replay->task)
            return replay->task;
    }
    return lowest(enabled);
}

void
sim_replay(const struct sim_program *program, const char *schedule,
           struct sim_result *result)
{
    struct replay replay = {.next = schedule};
    unsigned relaxed = sim.relaxed;

    sim_begin(program, result);
    sim.relaxed = UINT32_MAX;
    sim_run_once(choose_given, &replay);
    sim.relaxed = relaxed;
}

void
sim_replay_seen(const struct sim_program *program, const char *schedule,
                void (*seen)(const struct sim_seen *step),
                struct sim_result *result)
{
    sim.seen = seen;
    sim_replay(program, schedule, result);
    sim.seen = NULL;
}
