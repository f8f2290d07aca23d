/* SPDX-License-Identifier: MIT */
/*
 * sim.h - run a few tasks in one thread, in every order that matters.
 *
 * A program is a set-up, some tasks, and a check. The port lets the scheduler
 * choose who goes on before each lock, atomic operation and RCU operation.
 * sim_explore() runs the program again and again until every order of
 * operations that can make a difference has been run (dynamic partial-order
 * reduction with sleep sets: orders that differ only in neighbouring operations
 * on different words, or in two reads, count as one). sim_explore_bounded()
 * does so with the orders that need few preemptions.
 */
#ifndef ASPEN_SIM_H
#define ASPEN_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_TASKS 3
#define SIM_STEPS 60000

struct sim_program {
    void (*setup)(void *context); /* outside of the simulation */
    void (*task[SIM_TASKS])(void *context);
    unsigned tasks;
    void (*check)(void *context); /* all tasks are done; tears down too */
    void *context;
};

struct sim_result {
    uint64_t schedules; /* complete runs */
    uint64_t cut;       /* runs that would have repeated another */
    uint64_t steps;     /* of all runs together */
    uint64_t longest;   /* steps of the longest run */
    bool complete;      /* every order was run */
    bool bounded;       /* but with more loads that find older values */
    bool broken;        /* a run failed; the fields below say how */
    char what[256];
    /* "0*12 1*3 ...": who ran how many steps; "1*3~2": the load of the last of
     * them found the value before the one before the last. */
    char schedule[4096];
};

/* Every order, but no more than `most` runs; stops at the first that fails. */
void sim_explore(const struct sim_program *program, uint64_t most,
                 struct sim_result *result);

/* What part of the orders is run. */
struct sim_bounds {
    /* A task that could go on has to wait for another one: at most so often in
     * one run. That it waits for a lock, or ends, is free. */
    unsigned preemptions;
    /* Each of these orders on its own, also where another one is as good. */
    bool every;
    /* Part `shard`, 0 .., of `shards`; none: it is not shared out, which takes
     * fewer runs than all parts together. Each run is of one part, the first
     * run of the first. */
    unsigned shard;
    unsigned shards;
};

/* Every order with so many preemptions, or one that is as good. */
void sim_explore_bounded(const struct sim_program *program,
                         const struct sim_bounds *bounds, uint64_t most,
                         struct sim_result *result);

/* `runs` random orders. */
void sim_random(const struct sim_program *program, uint64_t runs, uint64_t seed,
                struct sim_result *result);

/* The same, but each run has a priority for each task, and `depth` - 1 moments
 * at which the task that runs gets the lowest of all: a bug that needs `depth`
 * steps in an order is found by one of n * k ^ (depth - 1) runs at least, with
 * n tasks and k steps (Burckhardt, Kothari, Musuvathi and Nagarakatte, 2010).
 */
void sim_random_priorities(const struct sim_program *program, uint64_t runs,
                           uint64_t seed, unsigned depth,
                           struct sim_result *result);

/* One given order, as result->schedule has it; then task 0 first. */
void sim_replay(const struct sim_program *program, const char *schedule,
                struct sim_result *result);

/* From now on so many loads of a run, of all tasks together, may find an older
 * value than the last, as C11 allows (sim/memory; elsewhere without effect). */
void sim_relax(unsigned loads);

/* Plain memory is seen (sim/memory). */
bool sim_sees_memory(void);

/* From now on a run goes on behind a data race, which is counted, each pair of
 * places once; or, as at first, ends there, and has failed. */
void sim_count_races(bool on);

struct sim_race {
    char what[256];
    char schedule[4096]; /* up to the second access */
};

/* Those that were counted since sim_forget_races(), the first ones. */
const struct sim_race *sim_races(unsigned *count);
void sim_forget_races(void);

/* Two that touched one cache line, where one wrote (sim/memory; elsewhere none
 * are found). */
struct sim_conflict {
    const void *address[2]; /* by task: what it wrote first, or read */
    bool writes[2];
    uint32_t place[2]; /* of the call, in the program */
};

/* The running task's accesses are noted from now on, or no more. */
void sim_record(bool on);

/* Nothing was. */
void sim_record_begin(void);

/* A cache line that a task touched meanwhile. */
struct sim_cost {
    /* As of a conflict; NULL: fences, which have no line. */
    const void *address;
    uint32_t place;
    uint32_t locked; /* instructions of it that a processor would lock */
    bool written;
};

/* Of task 0; returns how many lines, at most `most`. */
unsigned sim_costs(struct sim_cost *costs, unsigned most);

/* Of tasks 0 and 1; returns how many, at most `most`. */
unsigned sim_conflicts(struct sim_conflict *conflicts, unsigned most);

/* Fewer switches that fail with the same words, if so many runs find them: into
 * the schedule of a result that is broken. */
void sim_shrink(const struct sim_program *program, uint64_t runs,
                struct sim_result *result);

/* How often another task goes on. */
unsigned sim_switches(const char *schedule);

/* ---- Looking on --------------------------------------------------------- */

/* Called after each run of a search; NULL: nobody is. */
void sim_watch(void (*after_run)(const struct sim_result *result));

#define SIM_CALLERS 16

/* A step, at the moment that it happens. */
struct sim_seen {
    unsigned task; /* SIM_TASKS: deferred work */
    const char *what;
    const void *address;
    void *callers[SIM_CALLERS]; /* return addresses, innermost first */
    unsigned depth;
};

/* As sim_replay(); every step is shown. */
void sim_replay_seen(const struct sim_program *program, const char *schedule,
                     void (*seen)(const struct sim_seen *step),
                     struct sim_result *result);

/* In this run these bytes are NAME, or NAME 0, NAME 1 .. if there are several
 * of `unit` bytes. The name lives on. */
void sim_name(const void *start, size_t bytes, size_t unit, const char *name);

/* What the address is called: "NAME 3 + 0x10", "memory 2 + 0x10" for what the
 * port gave out second; "" if nobody knows. */
void sim_name_of(const void *address, char *out, size_t size);

/* ---- For programs ------------------------------------------------------- */

/* For tasks and checks: this run has failed. Does not return in a task. */
void sim_fail(const char *what);

/* So has it, but comes back. */
void sim_note_failure(const char *what);

/* A place where another task may go on, for tasks that share plain words. */
void sim_point(const void *address, bool is_write);

/* The running task, 0 ..; 0 outside of the simulation. */
unsigned sim_task(void);

#endif
