/* SPDX-License-Identifier: MIT */
/*
 * sim.c - tasks that take turns, and the search through their orders.
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
 *
 * The search is that of Flanagan and Godefroid (2005): where a task's next
 * operation could have come before an earlier dependent step of another, that
 * task becomes one more choice there. Sleep sets leave out a choice whose
 * effect was seen in a run before.
 */
#define _GNU_SOURCE
#include <aspen_port.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "base/lock.h"

#define STACK_BYTES (256 * 1024)
#define DEFERRED    SIM_TASKS /* the task that runs deferred RCU work */
#define ALL         (SIM_TASKS + 1)
#define NOBODY      UINT32_MAX
#define CALLBACKS   256
#define WORDS       (1u << 15) /* hash table of words that were touched */

enum wait {
    WAIT_NOTHING,
    WAIT_LOCK_SHARED,
    WAIT_LOCK_EXCLUSIVE,
    WAIT_WHILE, /* busy(argument) */
    WAIT_GRACE,
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
    bool started;
    bool finished;
    struct operation next;
    uint32_t clock[ALL]; /* the last step of each that comes before */
    unsigned reading;    /* depth of RCU reader sections */
    uint64_t sections;   /* outermost sections it has left */
    struct aspen_lock_order held;
};

/* One choice of the run under way, and what else is to be tried there. */
struct step {
    uint8_t task;
    uint8_t enabled;  /* bit masks of tasks */
    uint8_t wanted;   /* to be chosen here, sooner or later */
    uint8_t done;     /* have been */
    uint8_t sleeping; /* need not be */
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

static struct {
    const struct sim_program *program;
    struct sim_result *result;
    struct task tasks[ALL];
    ucontext_t scheduler;
    unsigned running; /* NOBODY: scheduler, set-up or check */
    bool failed;
    uint32_t run;
    struct step steps[SIM_STEPS];
    uint32_t count; /* steps of this run */
    uint32_t given; /* of them, how many were decided before it began */
    struct word words[WORDS];
    struct callback callbacks[CALLBACKS];
    unsigned callback_count;
    struct aspen_lock_order held_outside;
} sim = {.running = NOBODY};

/* ---- Failing ----------------------------------------------------------- */

/* "0*12 1*3 ...": the choices of this run, equal neighbours together. */
static void
write_schedule(char *out, size_t size)
{
    size_t used = 0;

    for (uint32_t i = 0; i < sim.count && used + 24 < size;) {
        uint32_t first = i;
        while (i < sim.count && sim.steps[i].task == sim.steps[first].task)
            i++;
        used +=
            (size_t)snprintf(out + used, size - used, "%s%u*%u",
                             used ? " " : "", sim.steps[first].task, i - first);
    }
}

static void
note_failure(const char *what)
{
    if (sim.failed || !sim.result) {
        if (!sim.result) {
            fprintf(stderr, "sim: %s\n", what);
            abort();
        }
        return;
    }
    sim.failed = true;
    sim.result->broken = true;
    snprintf(sim.result->what, sizeof(sim.result->what), "%s", what);
    write_schedule(sim.result->schedule, sizeof(sim.result->schedule));
}

void
sim_fail(const char *what)
{
    note_failure(what);
    if (sim.running != NOBODY) {
        unsigned me = sim.running;
        sim.running = NOBODY;
        /* The run is over: nobody chooses this task again. */
        swapcontext(&sim.tasks[me].context, &sim.scheduler);
    }
}

_Noreturn void
aspen_port_panic(const char *message)
{
    sim_fail(message);
    fprintf(stderr, "sim: panic outside of a task: %s\n", message);
    abort();
}

void
aspen_port_log(const char *message)
{
    fprintf(stderr, "%s\n", message);
}

struct aspen_lock_order *
aspen_port_lock_order(void)
{
    return sim.running == NOBODY ? &sim.held_outside
                                 : &sim.tasks[sim.running].held;
}

unsigned
sim_task(void)
{
    return sim.running < SIM_TASKS ? sim.running : 0;
}

/* ---- Points ------------------------------------------------------------ */

static void
give_way(struct operation operation)
{
    unsigned me = sim.running;

    sim.tasks[me].next = operation;
    sim.running = NOBODY;
    swapcontext(&sim.tasks[me].context, &sim.scheduler);
    sim.running = me;
}

void
sim_point(const void *address, bool is_write)
{
    if (sim.running != NOBODY)
        give_way((struct operation){.address = address, .is_write = is_write});
}

static bool
lock_free(const uint32_t *holders, bool exclusive)
{
    return exclusive ? *holders == 0 : *holders != UINT32_MAX;
}

static void
take(uint32_t *holders, bool exclusive)
{
    *holders = exclusive ? UINT32_MAX : *holders + 1;
}

void
sim_lock(uint32_t *holders, bool exclusive)
{
    if (sim.running != NOBODY)
        give_way((struct operation){
            .address = holders,
            .is_write = exclusive,
            .wait = exclusive ? WAIT_LOCK_EXCLUSIVE : WAIT_LOCK_SHARED,
        });
    if (!lock_free(holders, exclusive))
        sim_fail("a lock is taken that is held, where nobody can wait");
    take(holders, exclusive);
}

bool
sim_trylock(uint32_t *holders, bool exclusive)
{
    sim_point(holders, true); /* its answer depends on every holder */
    if (!lock_free(holders, exclusive))
        return false;
    take(holders, exclusive);
    return true;
}

static struct word *word_of(const void *address);
static void join(uint32_t *into, const uint32_t *from);

void
sim_unlock(uint32_t *holders, bool exclusive)
{
    if (exclusive ? *holders != UINT32_MAX
                  : *holders == 0 || *holders == UINT32_MAX)
        sim_fail("a lock is given back that is not held");
    *holders = exclusive ? 0 : *holders - 1;
    /* Whoever takes it next comes after all that was done under it. */
    if (sim.running != NOBODY) {
        struct word *word = word_of(holders);
        const uint32_t *clock = sim.tasks[sim.running].clock;
        join(exclusive ? word->write_clock : word->read_clock, clock);
    }
}

void
aspen_port_wait_while(const void *key, bool (*busy)(const void *argument),
                      const void *argument)
{
    if (sim.running == NOBODY) {
        if (busy(argument))
            sim_fail("waiting for ever outside of the simulation");
        return;
    }
    give_way((struct operation){
        .address = key,
        .is_write = true,
        .wait = WAIT_WHILE,
        .busy = busy,
        .argument = argument,
    });
}

void
aspen_port_wake_all(const void *key)
{
    sim_point(key, true); /* the scheduler asks busy() at every step */
}

/* ---- Memory ------------------------------------------------------------ */

/* Memory that a run took and, when it was cut or failed, did not give back. */
struct memory {
    struct memory *next;
    void *memory;
};

static struct memory *memories;

void *
aspen_port_memory_alloc(size_t bytes)
{
    struct memory *entry = malloc(sizeof(*entry));
    void *memory = aligned_alloc(4096, (bytes + 4095) & ~(size_t)4095);

    if (!entry || !memory) {
        free(entry);
        free(memory);
        return NULL;
    }
    entry->memory = memory;
    entry->next = memories;
    memories = entry;
    return memset(memory, 0, bytes);
}

void
aspen_port_memory_free(void *memory, size_t bytes)
{
    struct memory **link = &memories;

    (void)bytes;
    while (*link && (*link)->memory != memory)
        link = &(*link)->next;
    if (!*link) {
        sim_fail("memory is freed that was not allocated");
        return;
    }
    struct memory *entry = *link;
    *link = entry->next;
    free(memory);
    free(entry);
}

/* What a run that did not end well left behind. */
static void
free_memories(void)
{
    while (memories)
        aspen_port_memory_free(memories->memory, 0);
}

/* ---- RCU --------------------------------------------------------------- */

static const char rcu_word;

void
aspen_port_rcu_read_lock(void)
{
    if (sim.running == NOBODY)
        return;
    sim_point(&rcu_word, false);
    sim.tasks[sim.running].reading++;
}

void
aspen_port_rcu_read_unlock(void)
{
    if (sim.running == NOBODY)
        return;
    if (--sim.tasks[sim.running].reading == 0)
        sim.tasks[sim.running].sections++;
}

/* The reader sections that are open now: section number + 1; 0: none. */
static void
note_readers(uint64_t grace[SIM_TASKS])
{
    for (unsigned i = 0; i < SIM_TASKS; i++)
        grace[i] = sim.tasks[i].reading ? sim.tasks[i].sections + 1 : 0;
}

static bool
grace_over(const uint64_t grace[SIM_TASKS])
{
    for (unsigned i = 0; i < SIM_TASKS; i++)
        if (grace[i] && sim.tasks[i].reading &&
            sim.tasks[i].sections + 1 == grace[i])
            return false;
    return true;
}

void
aspen_port_rcu_defer(struct aspen_port_rcu_head *head,
                     void (*callback)(struct aspen_port_rcu_head *head))
{
    sim_point(&rcu_word, true);
    if (sim.callback_count == CALLBACKS)
        sim_fail("too many deferred callbacks");
    struct callback *entry = &sim.callbacks[sim.callback_count++];
    head->callback = callback;
    entry->head = head;
    note_readers(entry->grace);
}

void
aspen_port_rcu_synchronise(void)
{
    if (sim.running == NOBODY)
        return;
    struct operation operation = {
        .address = &rcu_word, .is_write = true, .wait = WAIT_GRACE};
    note_readers(operation.grace);
    give_way(operation);
}

/* The first callback whose readers are gone, taken off the list; or NULL. */
static struct aspen_port_rcu_head *
take_callback(void)
{
    for (unsigned i = 0; i < sim.callback_count; i++) {
        if (!grace_over(sim.callbacks[i].grace))
            continue;
        struct aspen_port_rcu_head *head = sim.callbacks[i].head;
        sim.callback_count--;
        memmove(&sim.callbacks[i], &sim.callbacks[i + 1],
                (sim.callback_count - i) * sizeof(sim.callbacks[0]));
        return head;
    }
    return NULL;
}

void
aspen_port_rcu_barrier(void)
{
    struct aspen_port_rcu_head *head;

    if (sim.running != NOBODY)
        sim_fail("a barrier inside of the simulation");
    while ((head = take_callback()) != NULL)
        head->callback(head);
}

static bool
no_callback(const void *unused)
{
    (void)unused;
    for (unsigned i = 0; i < sim.callback_count; i++)
        if (grace_over(sim.callbacks[i].grace))
            return false;
    return true;
}

static void
run_deferred(void)
{
    for (;;) {
        struct aspen_port_rcu_head *head;
        give_way((struct operation){.address = &rcu_word,
                                    .is_write = true,
                                    .wait = WAIT_WHILE,
                                    .busy = no_callback});
        while ((head = take_callback()) != NULL)
            head->callback(head);
    }
}

/* ---- What comes before what -------------------------------------------- */

static void
join(uint32_t *into, const uint32_t *from)
{
    for (unsigned i = 0; i < ALL; i++)
        if (from[i] > into[i])
            into[i] = from[i];
}

static struct word *
word_of(const void *address)
{
    uintptr_t hash = (uintptr_t)address * 0x9e3779b97f4a7c15u;
    for (uint32_t i = (uint32_t)(hash >> 40);; i++) {
        struct word *word = &sim.words[i % WORDS];
        if (word->run == sim.run && word->address == address)
            return word;
        if (word->run == sim.run)
            continue;
        memset(word, 0, sizeof(*word));
        word->address = address;
        word->run = sim.run;
        return word;
    }
}

/*
 * The task's next operation against the steps so far: at the last one that is
 * dependent and does not come before it anyway, the task might have gone
 * first. It becomes a choice there, or, if it could not go on then, all do.
 */
static void
want_reversal(unsigned me)
{
    const struct task *task = &sim.tasks[me];
    const struct operation *next = &task->next;
    uint32_t last = 0;

    if (!next->address)
        return;
    const struct word *word = word_of(next->address);
    for (unsigned other = 0; other < ALL; other++) {
        uint32_t step = word->wrote[other];
        if (next->is_write && word->read[other] > step)
            step = word->read[other];
        if (other != me && step > task->clock[other] && step > last)
            last = step;
    }
    if (!last)
        return;
    struct step *step = &sim.steps[last - 1];
    uint8_t bit = (uint8_t)(1u << me);
    step->wanted |= step->enabled & bit ? bit : step->enabled;
}

/* The task has been chosen: its operation happens as step `number`. */
static void
order_step(unsigned me, uint32_t number)
{
    struct task *task = &sim.tasks[me];
    const struct operation *next = &task->next;

    task->clock[me] = number;
    if (!next->address)
        return;
    struct word *word = word_of(next->address);
    join(task->clock, word->write_clock);
    if (next->is_write) {
        join(task->clock, word->read_clock);
        word->wrote[me] = number;
        join(word->write_clock, task->clock);
    } else {
        word->read[me] = number;
        join(word->read_clock, task->clock);
    }
}

static bool
independent(const struct operation *a, const struct operation *b)
{
    return a->address != b->address || !(a->is_write || b->is_write);
}

/* ---- One run ----------------------------------------------------------- */

static bool
can_go_on(const struct task *task)
{
    const struct operation *next = &task->next;
    const uint32_t *holders = next->address;

    if (task->finished)
        return false;
    switch (next->wait) {
    case WAIT_LOCK_SHARED:
        return lock_free(holders, false);
    case WAIT_LOCK_EXCLUSIVE:
        return lock_free(holders, true);
    case WAIT_WHILE:
        return !next->busy(next->argument);
    case WAIT_GRACE:
        return grace_over(next->grace);
    default:
        return true;
    }
}

static void
enter_task(void)
{
    unsigned me = sim.running;

    if (me == DEFERRED)
        run_deferred();
    sim.program->task[me](sim.program->context);
    if (sim.tasks[me].held.depth)
        sim_fail("a task ends with a lock held");
    sim.tasks[me].finished = true;
    sim.running = NOBODY;
    swapcontext(&sim.tasks[me].context, &sim.scheduler);
}

static void
resume(unsigned me)
{
    sim.running = me;
    swapcontext(&sim.scheduler, &sim.tasks[me].context);
    sim.running = NOBODY;
}

static void
make_task(unsigned me)
{
    struct task *task = &sim.tasks[me];
    char *stack = task->stack ? task->stack : malloc(STACK_BYTES);

    if (!stack)
        abort();
    memset(task, 0, sizeof(*task));
    task->stack = stack;
    getcontext(&task->context);
    task->context.uc_stack.ss_sp = stack;
    task->context.uc_stack.ss_size = STACK_BYTES;
    task->context.uc_link = NULL;
    makecontext(&task->context, enter_task, 0);
    task->finished = me != DEFERRED && me >= sim.program->tasks;
}

static uint8_t
enabled_tasks(void)
{
    uint8_t enabled = 0;
    for (unsigned i = 0; i < ALL; i++)
        if (can_go_on(&sim.tasks[i]))
            enabled |= (uint8_t)(1u << i);
    return enabled;
}

/* Deferred work belongs to the run: what it frees somebody may still use. */
static bool
all_finished(void)
{
    for (unsigned i = 0; i < sim.program->tasks; i++)
        if (!sim.tasks[i].finished)
            return false;
    return !can_go_on(&sim.tasks[DEFERRED]);
}

typedef unsigned chooser(uint32_t number, uint8_t enabled, uint8_t sleeping,
                         void *context);

/* What is asleep after a step stays so if the step does not touch its word. */
static uint8_t
still_asleep(uint8_t sleeping, unsigned chosen)
{
    uint8_t left = 0;
    for (unsigned i = 0; i < ALL; i++)
        if (sleeping & 1u << i && i != chosen &&
            independent(&sim.tasks[i].next, &sim.tasks[chosen].next))
            left |= (uint8_t)(1u << i);
    return left;
}

/* Returns false when the run was cut: all that could go on is asleep. */
static bool
run_steps(chooser *choose, void *context)
{
    uint8_t sleeping = 0;

    for (sim.count = 0; !sim.failed && !all_finished(); sim.count++) {
        uint8_t enabled = enabled_tasks();
        if (sim.count == SIM_STEPS) {
            note_failure("the run is too long");
            break;
        }
        if (!enabled) {
            note_failure("deadlock: nobody can go on");
            break;
        }
        struct step *step = &sim.steps[sim.count];
        if (sim.count >= sim.given)
            *step = (struct step){.sleeping = sleeping};
        step->enabled = enabled;
        for (unsigned i = 0; i < ALL; i++)
            if (!sim.tasks[i].finished)
                want_reversal(i);
        unsigned chosen = choose(sim.count, enabled, step->sleeping, context);
        if (chosen == NOBODY)
            return false;
        step->task = (uint8_t)chosen;
        sleeping = still_asleep(
            (uint8_t)(step->sleeping | (step->done & ~(1u << chosen))), chosen);
        step->done |= (uint8_t)(1u << chosen);
        step->wanted |= (uint8_t)(1u << chosen);
        order_step(chosen, sim.count + 1);
        resume(chosen);
    }
    return true;
}

/* Returns false when the run was cut. */
static bool
run_once(chooser *choose, void *context)
{
    const struct sim_program *program = sim.program;
    bool whole;

    sim.run++;
    sim.failed = false;
    sim.callback_count = 0;
    program->setup(program->context);
    aspen_port_rcu_barrier();
    for (unsigned i = 0; i < ALL; i++)
        make_task(i);
    resume(DEFERRED);
    for (unsigned i = 0; i < program->tasks; i++)
        resume(i); /* up to its first point */
    whole = run_steps(choose, context);
    sim.result->steps += sim.count;
    if (sim.count > sim.result->longest)
        sim.result->longest = sim.count;
    if (!sim.failed && all_finished()) {
        program->check(program->context);
        sim.result->schedules++;
    } else if (!sim.failed) {
        sim.result->cut++;
    }
    free_memories();
    return whole;
}

/* ---- Choosing ---------------------------------------------------------- */

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

/* The deepest step with a choice that is wanted and not done: the next run
 * follows this one up to there. False: there is none. */
static bool
next_choices(void)
{
    for (uint32_t i = sim.count; i-- > 0;) {
        struct step *step = &sim.steps[i];
        unsigned next =
            lowest((uint8_t)(step->wanted & ~step->done & ~step->sleeping));
        if (next == NOBODY)
            continue;
        step->task = (uint8_t)next;
        sim.given = i + 1;
        return true;
    }
    return false;
}

static void
begin(const struct sim_program *program, struct sim_result *result)
{
    memset(result, 0, sizeof(*result));
    sim.program = program;
    sim.result = result;
    sim.given = 0;
}

void
sim_explore(const struct sim_program *program, uint64_t most,
            struct sim_result *result)
{
    begin(program, result);
    do {
        run_once(choose_next, NULL);
        if (result->broken || result->schedules + result->cut >= most)
            return;
    } while (next_choices());
    result->complete = true;
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
    begin(program, result);
    while (runs-- && !result->broken)
        run_once(choose_any, &seed);
}

struct replay {
    const char *next;
    unsigned task;
    unsigned left;
};

static unsigned
choose_given(uint32_t number, uint8_t enabled, uint8_t sleeping, void *context)
{
    struct replay *replay = context;
    int used = 0;

    (void)number;
    (void)sleeping;
    if (!replay->left && sscanf(replay->next, " %u*%u%n", &replay->task,
                                &replay->left, &used) == 2)
        replay->next += used;
    if (replay->left) {
        replay->left--;
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
    begin(program, result);
    run_once(choose_given, &replay);
}
