/* SPDX-License-Identifier: MIT */
/*
 * sim_run.h - the run under way: what points.c, run.c and sim.c share.
 *
 * A task runs as a coroutine from one point to the next. At a point it says
 * what it is about to do (which word, and whether it writes) and gives way; to
 * choose it again is to let it do that. One choice is one step.
 *
 * I1  Runs repeat exactly: nothing here or in the core depends on time,
 *     addresses or randomness, so a list of choices replays a run.
 * I2  Two steps are dependent when they are of one task, or touch the same
 *     word and one of them writes. Orders that agree on all dependent steps
 *     are one order: the search runs at least one run for each.
 * I3  Deferred RCU work is a task of its own, which can go on from the moment
 *     that the readers it waits for are gone.
 */
#ifndef ASPEN_SIM_RUN_H
#define ASPEN_SIM_RUN_H

#include <aspen/lock_order.h>
#include <aspen_port.h>
#include "order.h"
#include <ucontext.h>

#define DEFERRED  SIM_TASKS /* the task that runs deferred RCU work */
#define ALL       (SIM_TASKS + 1)
#define NOBODY    UINT32_MAX
#define CALLBACKS 256
#define WORDS     (1u << 15) /* hash table of words that were touched */

enum wait {
    WAIT_NOTHING,
    WAIT_LOCK_SHARED,
    WAIT_LOCK_EXCLUSIVE,
    WAIT_WHILE, /* busy(argument) */
    WAIT_GRACE,
    WAIT_INTERRUPTS, /* the word counts what keeps a CPU's off */
};

struct operation {
    const void *address;
    bool is_write;
    enum wait wait;
    bool (*busy)(const void *argument);
    const void *argument;
    uint64_t grace[SIM_TASKS]; /* reader sections that it waits for */
};

struct task {
    ucontext_t context;
    char *stack;
    void *thread; /* order.h */
    bool finished;
    struct operation next;
    uint32_t clock[ALL];     /* the last step of each that comes before */
    uint32_t interrupts_off; /* how often */
    unsigned reading;        /* depth of RCU reader sections */
    uint64_t sections;       /* outermost sections it has left */
    struct aspen_lock_order held;
};

/* One choice of the run under way, and what else is to be tried there. */
struct step {
    uint8_t task;
    uint8_t enabled;  /* bit masks of tasks */
    uint8_t wanted;   /* to be chosen here, sooner or later */
    uint8_t done;     /* have been */
    uint8_t sleeping; /* need not be */
    uint8_t values;   /* that its load may find, the last one first */
    uint8_t value;    /* which it does */
};

/* Who touched a word last: step number + 1 of each task; 0: not yet. */
struct word {
    const void *address;
    uint32_t run;
    uint32_t wrote[ALL];
    uint32_t read[ALL];
    uint32_t write_clock[ALL];
    uint32_t read_clock[ALL];
};

struct callback {
    struct aspen_port_rcu_head *head;
    uint64_t grace[SIM_TASKS];
};

struct sim_run {
    const struct sim_program *program;
    struct sim_result *result;
    struct task tasks[ALL];
    ucontext_t scheduler;
    void *scheduler_thread;
    unsigned running; /* NOBODY: scheduler, set-up or check */
    bool failed;
    uint32_t run;
    struct step steps[SIM_STEPS];
    uint32_t count;   /* steps of this run */
    uint32_t given;   /* of them, how many were decided before it began */
    unsigned relaxed; /* loads of a run that may find older values */
    unsigned older;   /* those of this run that did */
    uint64_t seed;    /* values are random, too; 0: they are tried in turn */
    struct word words[WORDS];
    struct callback callbacks[CALLBACKS];
    unsigned callback_count;
    struct aspen_lock_order held_outside;
};

extern struct sim_run sim;

/* ---- points.c ---------------------------------------------------------- */

/* Back to the scheduler, from whichever task runs. */
void sim_leave_task(unsigned me);

/* The run has failed; unlike sim_fail(), comes back. */
void sim_note_failure(const char *what);

bool sim_lock_free(const uint32_t *holders, bool exclusive);
bool sim_grace_over(const uint64_t grace[SIM_TASKS]);

/* The task of deferred RCU work; does not return. */
void sim_run_deferred(void);

/* What a run that did not end well left behind. */
void sim_free_memories(void);

/* ---- run.c ------------------------------------------------------------- */

/* Each of `from`, where it is later than that of `into`. */
void sim_join(uint32_t *into, const uint32_t *from);
struct word *sim_word_of(const void *address);

/* The task whose step this is to be; NOBODY cuts the run. */
typedef unsigned chooser(uint32_t number, uint8_t enabled, uint8_t sleeping,
                         void *context);

void sim_run_once(chooser *choose, void *context);

/* The load of this step may find `count` values: which one, from 0, the last?
 */
unsigned sim_choose_value(unsigned count);

#endif
