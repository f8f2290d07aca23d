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
 *     are one order: the search runs at least one run for each. Giving a lock
 *     back is a part of the step before it: that one touches the lock as well,
 *     which who only tries to take the lock can tell.
 *     With a bound of preemptions it also counts who can go on when: see
 *     bound.c.
 * I3  Deferred RCU work is a task of its own, which can go on from the moment
 *     that the readers it waits for are gone.
 */
#ifndef ASPEN_SIM_RUN_H
#define ASPEN_SIM_RUN_H

#include <aspen/lock_order.h>
#include <aspen_port.h>
#include "fiber.h"
#include "order.h"

#define DEFERRED  SIM_TASKS /* the task that runs deferred RCU work */
#define ALL       (SIM_TASKS + 1)
#define NOBODY    UINT32_MAX
#define CALLBACKS 256
#define WORDS     (1u << 15) /* hash table of words that were touched */
#define TOUCHED   16u        /* by one step; more are left out */
#define WATCHED   4u         /* words that a condition is made of */
#define ACCESSES  (4 * SIM_STEPS)

enum wait {
    WAIT_NOTHING,
    WAIT_LOCK_SHARED,
    WAIT_LOCK_EXCLUSIVE,
    WAIT_WHILE, /* busy(argument) */
    WAIT_GRACE,
    WAIT_INTERRUPTS, /* the word counts what keeps a CPU's off */
};

struct operation {
    const char *what; /* NULL: a load or a store */
    const void *address;
    bool is_write;
    bool tries; /* to take a lock, and goes on without it */
    enum wait wait;
    bool (*busy)(const void *argument);
    const void *argument;
    uint64_t grace[SIM_TASKS];    /* reader sections that it waits for */
    const void *watched[WATCHED]; /* what busy() has read, up to NULL */
};

#define SIM_STACK_BYTES (256 * 1024)

struct task {
    struct sim_fiber fiber;
    char *stack;
    void *thread; /* order.h */
    bool finished;
    struct operation next;
    uint32_t clock[ALL];     /* the last step of each that comes before */
    uint32_t interrupts_off; /* how often */
    unsigned reading;        /* depth of RCU reader sections */
    uint64_t sections;       /* outermost sections it has left */
    struct aspen_lock_order held;
    uint32_t clock_before[ALL]; /* the step that it is in */
    uint32_t compared; /* with so many accesses, what it does next is */
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
    uint8_t first;    /* was chosen when the search first came here */
    bool on_first;    /* all before it are of the first run */
    uint32_t spent;   /* preemptions before this choice */
    uint32_t clock[ALL];
};

/* Who touched a word last: step number + 1 of each task; 0: not yet. */
struct word {
    const void *address;
    uint32_t run;
    uint32_t wrote[ALL];
    uint32_t read[ALL];
    uint32_t write_clock[ALL];
    uint32_t read_clock[ALL];
    uint32_t released[ALL]; /* a lock, and who tried to take it, likewise */
    uint32_t tried[ALL];
    uint32_t last_access; /* its number, counted from 1; 0: none */
};

/* What a step has done to a word: one more than its operation where it gives a
 * lock back, or looks at a condition. */
struct sim_access {
    uint32_t step;   /* its number, counted from 1 */
    uint32_t before; /* of the same word, as last_access */
    uint8_t task;
    bool is_write;
};

struct touched {
    struct word *word;
    bool is_write;
};

struct callback {
    struct aspen_port_rcu_head *head;
    uint64_t grace[SIM_TASKS];
};

struct sim_run {
    const struct sim_program *program;
    struct sim_result *result;
    struct task tasks[ALL];
    struct sim_fiber scheduler;
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
    bool stepping;    /* all tasks have come to their first point */
    uint8_t sleeping; /* now: see struct step */
    /* What the step that runs has touched, and the last steps of others that it
     * depends on and might have come before; 0: none. */
    struct touched touched[TOUCHED];
    unsigned touched_count;
    uint32_t last[ALL];
    uint32_t last_tried[ALL];
    struct word words[WORDS];
    const struct sim_bounds *bounds; /* NULL: none */
    struct task *looking;            /* its busy() is being asked */
    struct sim_access accesses[ACCESSES];
    uint32_t access_count;
    void (*after_run)(const struct sim_result *result);
    void (*seen)(const struct sim_seen *step);
    struct callback callbacks[CALLBACKS];
    unsigned callback_count;
    struct aspen_lock_order held_outside;
};

extern struct sim_run sim;

/* ---- points.c ---------------------------------------------------------- */

/* Back to the scheduler, from whichever task runs. */
void sim_leave_task(unsigned me);

/* "0*12 1*3~1 ...": the choices of this run so far. */
void sim_write_schedule(char *out, size_t size);

bool sim_lock_free(const uint32_t *holders, bool exclusive);
bool sim_grace_over(const uint64_t grace[SIM_TASKS]);

/* The task of deferred RCU work; does not return. */
void sim_run_deferred(void);

/* What a run that did not end well left behind. */
void sim_free_memories(void);

/* Which of those that the port gave out it is in, counted from 1, and where; 0:
 * none. */
unsigned sim_find_memory(const void *address, size_t *offset);

/* ---- run.c ------------------------------------------------------------- */

/* Each of `from`, where it is later than that of `into`. */
void sim_join(uint32_t *into, const uint32_t *from);
struct word *sim_word_of(const void *address);

/* The step that runs gives a lock back, or else lets others go on. */
void sim_released(const void *lock, bool is_write);

/* The task whose step this is to be; NOBODY cuts the run. */
typedef unsigned chooser(uint32_t number, uint8_t enabled, uint8_t sleeping,
                         void *context);

void sim_run_once(chooser *choose, void *context);

/* The load of this step may find `count` values: which one, from 0, the last?
 */
unsigned sim_choose_value(unsigned count);

/* ---- sim.c ------------------------------------------------------------- */

void sim_begin(const struct sim_program *program, struct sim_result *result);

/* ---- seen.c ------------------------------------------------------------ */

void sim_forget_names(void);

/* The task that runs does this now. */
void sim_show(const struct operation *operation);

/* ---- counted.c --------------------------------------------------------- */

bool sim_races_counted(void);

/* No race of these two places was found; the next that is kept is of them. */
bool sim_race_is_new(uint32_t place, uint32_t other);
void sim_race_keep(const char *what);

/* ---- bound.c ----------------------------------------------------------- */

/* A step is new: what it may cost, and what is wanted there. */
void sim_bound_begin(uint32_t number);

/* `task` there costs no more than the bound. */
bool sim_bound_allows(uint32_t number, unsigned task);

/* The task's next operation could have come before some steps: it is wanted
 * there. */
void sim_bound_compare(unsigned me);

/* The task does it as step `number`. */
void sim_bound_step(unsigned me, uint32_t number);

/* Besides its operation, the step that runs lets others go on. */
void sim_bound_release(const void *address, bool is_write);

/* The condition that somebody waits for is made of this word. */
void sim_bound_watch(const void *address);

#endif
