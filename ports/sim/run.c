/* SPDX-License-Identifier: MIT */
/*
 * run.c - one run: tasks that take turns, and which of their steps come before
 * which.
 */
#define _GNU_SOURCE
#include "sim_run.h"

#include <stdlib.h>
#include <string.h>

#define STACK_BYTES (256 * 1024)

/* ---- What comes before what -------------------------------------------- */

void
sim_join(uint32_t *into, const uint32_t *from)
{
    for (unsigned i = 0; i < ALL; i++)
        if (from[i] > into[i])
            into[i] = from[i];
}

struct word *
sim_word_of(const void *address)
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
    const struct word *word = sim_word_of(next->address);
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
    struct word *word = sim_word_of(next->address);
    sim_join(task->clock, word->write_clock);
    if (next->is_write) {
        sim_join(task->clock, word->read_clock);
        word->wrote[me] = number;
        sim_join(word->write_clock, task->clock);
    } else {
        word->read[me] = number;
        sim_join(word->read_clock, task->clock);
    }
}

static bool
independent(const struct operation *a, const struct operation *b)
{
    return a->address != b->address || !(a->is_write || b->is_write);
}

/* ---- One run ----------------------------------------------------------- */

/* It is the task that looks, and sees what others did before. */
static bool
is_busy(const struct task *task)
{
    sim_look_begin(task->thread);
    bool busy = task->next.busy(task->next.argument);
    sim_look_end(sim.scheduler_thread);
    return busy;
}

static bool
can_go_on(const struct task *task)
{
    const struct operation *next = &task->next;
    const uint32_t *holders = next->address; /* or interrupts_off */

    if (task->finished)
        return false;
    switch (next->wait) {
    case WAIT_LOCK_SHARED:
        return sim_lock_free(holders, false);
    case WAIT_LOCK_EXCLUSIVE:
        return sim_lock_free(holders, true);
    case WAIT_WHILE:
        return !is_busy(task);
    case WAIT_GRACE:
        return sim_grace_over(next->grace);
    case WAIT_INTERRUPTS:
        return *holders == 0;
    default:
        return true;
    }
}

static void
enter_task(void)
{
    unsigned me = sim.running;

    if (me == DEFERRED)
        sim_run_deferred();
    sim.program->task[me](sim.program->context);
    if (sim.tasks[me].held.depth)
        sim_fail("a task ends with a lock held");
    sim.tasks[me].finished = true;
    sim_leave_task(me);
}

static void
resume(unsigned me)
{
    sim.running = me;
    sim_thread_switch(sim.tasks[me].thread);
    swapcontext(&sim.scheduler, &sim.tasks[me].context);
    sim.running = NOBODY;
}

static void
make_task(unsigned me)
{
    struct task *task = &sim.tasks[me];
    char *stack = task->stack ? task->stack : malloc(STACK_BYTES);

    void *thread = sim_thread_start();
    if (!stack)
        abort();
    memset(task, 0, sizeof(*task));
    task->stack = stack;
    task->thread = thread;
    getcontext(&task->context);
    task->context.uc_stack.ss_sp = stack;
    task->context.uc_stack.ss_size = STACK_BYTES;
    task->context.uc_link = NULL;
    makecontext(&task->context, enter_task, 0);
    task->finished = me != DEFERRED && me >= sim.program->tasks;
}

unsigned
sim_choose_value(unsigned count)
{
    struct step *step = &sim.steps[sim.count];

    if (!sim.relaxed || sim.running == NOBODY || count < 2 ||
        step->values) /* one choice a step */
        return 0;
    if (sim.older == sim.relaxed) {
        sim.result->bounded = true;
        return 0;
    }
    step->values = (uint8_t)count;
    if (sim.seed) {
        sim.seed = sim.seed * 6364136223846793005u + 1442695040888963407u;
        step->value =
            (uint8_t)((sim.seed >> 33) % 16 ? 0 : (sim.seed >> 40) % count);
    }
    if (step->value >= count) {
        sim_note_failure("the run does not repeat");
        step->value = 0;
    }
    sim.older += step->value > 0;
    return step->value;
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

/* To the end, or until the run is cut: all that could go on is asleep. */
static void
run_steps(chooser *choose, void *context)
{
    uint8_t sleeping = 0;

    for (sim.count = 0; !sim.failed && !all_finished(); sim.count++) {
        uint8_t enabled = enabled_tasks();
        if (sim.count == SIM_STEPS) {
            sim_note_failure("the run is too long");
            break;
        }
        if (!enabled) {
            sim_note_failure("deadlock: nobody can go on");
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
            return;
        step->task = (uint8_t)chosen;
        step->values = 0;
        sleeping = still_asleep(
            (uint8_t)(step->sleeping | (step->done & ~(1u << chosen))), chosen);
        step->done |= (uint8_t)(1u << chosen);
        step->wanted |= (uint8_t)(1u << chosen);
        order_step(chosen, sim.count + 1);
        resume(chosen);
    }
}

void
sim_run_once(chooser *choose, void *context)
{
    const struct sim_program *program = sim.program;

    sim.run++;
    sim_memory_begin();
    sim.failed = false;
    sim.callback_count = 0;
    sim.older = 0;
    program->setup(program->context);
    aspen_port_rcu_barrier();
    sim.scheduler_thread = sim_thread_now();
    for (unsigned i = 0; i < ALL; i++)
        make_task(i);
    resume(DEFERRED);
    for (unsigned i = 0; i < program->tasks; i++)
        resume(i); /* up to its first point */
    run_steps(choose, context);
    bool finished = !sim.failed && all_finished();
    for (unsigned i = 0; i < ALL; i++)
        sim_thread_join(sim.tasks[i].thread);
    sim.result->steps += sim.count;
    if (sim.count > sim.result->longest)
        sim.result->longest = sim.count;
    if (finished) {
        program->check(program->context);
        sim.result->schedules++;
    } else if (!sim.failed) {
        sim.result->cut++;
    }
    sim_free_memories();
}
