/* SPDX-License-Identifier: MIT */
/*
 * run.c - one run: tasks that take turns, and which of their steps come before
 * which.
 */
#define _GNU_SOURCE
#include "sim_run.h"

#include <stdlib.h>
#include <string.h>

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
    /* Neighbours are neighbours there, too: they are looked at together. */
    uintptr_t hash = (uintptr_t)address / 64 * 0x9e3779b97f4a7c15u;
    uint32_t first =
        (uint32_t)(hash >> 40) * 16 + (uint32_t)((uintptr_t)address / 4 % 16);
    for (uint32_t i = first;; i++) {
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

/* Step `number` of the task comes before what has that clock anyway. */
static bool
comes_before(unsigned task, uint32_t number, const uint32_t *clock)
{
    return clock[task] >= number;
}

/* Tasks whose first step is none of those that come after others. */
struct initials {
    uint32_t first[ALL];
    uint8_t tasks;
};

static void
add_to(struct initials *initials, unsigned task, uint32_t number,
       const uint32_t *clock)
{
    bool after = false;

    if (initials->first[task])
        return;
    for (unsigned i = 0; i < ALL; i++)
        if (initials->first[i] && comes_before(i, initials->first[i], clock))
            after = true;
    initials->first[task] = number;
    if (!after)
        initials->tasks |= (uint8_t)(1u << task);
}

/*
 * Step `number`, with that clock, depends on step `earlier` and might have come
 * before it: then all that does not come after `earlier` went first. Whoever
 * can begin with that is a choice there; one is enough, also if it was seen in
 * a run before. Another one would not be: it sleeps where it begins something
 * else.
 */
static void
want_reversal(uint32_t earlier, unsigned me, const uint32_t *clock,
              uint32_t number)
{
    struct step *step = &sim.steps[earlier - 1];
    struct initials initials = {0};
    uint8_t can;

    for (uint32_t i = earlier + 1; i < number; i++) {
        const struct step *between = &sim.steps[i - 1];
        if (!comes_before(step->task, earlier, between->clock))
            add_to(&initials, between->task, i, between->clock);
    }
    add_to(&initials, me, number, clock);
    if (initials.tasks & (step->wanted | step->sleeping))
        return;
    can = initials.tasks & step->enabled;
    step->wanted |= can ? (uint8_t)(can & -can) : step->enabled;
}

/* The last steps of others that the task's next operation depends on; 0: none,
 * or it comes after them anyway. */
static void
find_last(unsigned me, const struct word *word, uint32_t last[ALL])
{
    const struct task *task = &sim.tasks[me];
    const struct operation *next = &task->next;

    for (unsigned i = 0; i < ALL; i++) {
        last[i] = word->wrote[i];
        if (next->is_write && word->read[i] > last[i])
            last[i] = word->read[i];
        if (next->tries && word->released[i] > last[i])
            last[i] = word->released[i];
        if (i == me || comes_before(i, last[i], task->clock))
            last[i] = 0;
    }
}

/* It comes before another of them. */
static bool
is_not_last(const uint32_t last[ALL], unsigned task)
{
    for (unsigned i = 0; i < ALL; i++)
        if (i != task && last[i] &&
            comes_before(task, last[task], sim.steps[last[i] - 1].clock))
            return true;
    return false;
}

/* The step that runs touches the word: it comes after who did so before, and
 * whoever does so later comes after all of the step. */
static void
touch(struct task *task, struct word *word, bool is_write)
{
    sim_join(task->clock, word->write_clock);
    if (is_write)
        sim_join(task->clock, word->read_clock);
    if (sim.touched_count < TOUCHED)
        sim.touched[sim.touched_count++] =
            (struct touched){.word = word, .is_write = is_write};
}

/* The task has been chosen: its operation happens as step `number`. */
static void
begin_step(unsigned me, uint32_t number)
{
    struct task *task = &sim.tasks[me];

    memcpy(task->clock_before, task->clock, sizeof(task->clock));
    task->clock[me] = number;
    sim.touched_count = 0;
    memset(sim.last, 0, sizeof(sim.last));
    memset(sim.last_tried, 0, sizeof(sim.last_tried));
    if (sim.bounds)
        sim_bound_step(me, number);
    if (!task->next.address)
        return;
    struct word *word = sim_word_of(task->next.address);
    find_last(me, word, sim.last);
    if (task->next.tries)
        word->tried[me] = number;
    touch(task, word, task->next.is_write);
    if (task->next.is_write)
        word->wrote[me] = number;
    else
        word->read[me] = number;
}

/* Who tried to take it has seen that it was held: the step might have come
 * before that. */
void
sim_released(const void *lock, bool is_write)
{
    unsigned me = sim.running;
    struct task *task = &sim.tasks[me];
    struct word *word = sim_word_of(lock);

    word->released[me] = sim.count + 1;
    for (unsigned i = 0; i < ALL; i++) {
        const struct operation *next = &sim.tasks[i].next;
        if (i == me)
            continue;
        if (!comes_before(i, word->tried[i], task->clock))
            sim.last_tried[i] = word->tried[i];
        if (next->tries && next->address == lock)
            sim.sleeping &= (uint8_t) ~(1u << i);
    }
    touch(task, word, is_write);
}

/* It has happened, and what it does besides is known. */
static void
end_step(unsigned me, uint32_t number)
{
    const struct task *task = &sim.tasks[me];

    memcpy(sim.steps[number - 1].clock, task->clock, sizeof(task->clock));
    for (unsigned i = 0; i < sim.touched_count; i++) {
        struct word *word = sim.touched[i].word;
        sim_join(sim.touched[i].is_write ? word->write_clock : word->read_clock,
                 task->clock);
    }
    for (unsigned i = 0; i < ALL && !sim.bounds; i++) {
        if (sim.last[i] && !is_not_last(sim.last, i))
            want_reversal(sim.last[i], me, task->clock, number);
        if (sim.last_tried[i])
            want_reversal(sim.last_tried[i], me, task->clock, number);
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
is_busy(struct task *task)
{
    sim_look_begin(task->thread);
    sim.looking = sim.bounds ? task : NULL;
    bool busy = task->next.busy(task->next.argument);
    sim.looking = NULL;
    sim_look_end(sim.scheduler_thread);
    return busy;
}

static bool
can_go_on(struct task *task)
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
    sim_fiber_switch(&sim.scheduler, &sim.tasks[me].fiber);
    sim.running = NOBODY;
}

static void
make_task(unsigned me)
{
    struct task *task = &sim.tasks[me];
    char *stack = task->stack ? task->stack : malloc(SIM_STACK_BYTES);

    void *thread = sim_thread_start();
    if (!stack)
        abort();
    memset(task, 0, sizeof(*task));
    task->stack = stack;
    task->thread = thread;
    sim_fiber_make(&task->fiber, stack, SIM_STACK_BYTES, enter_task);
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

/* What is asleep after a step stays so if the step does not touch its word. And
 * not if it tries to take a lock in vain: who sleeps may give that back. */
static uint8_t
still_asleep(uint8_t sleeping, unsigned chosen)
{
    const struct operation *next = &sim.tasks[chosen].next;
    uint8_t left = 0;

    if (next->tries && !sim_lock_free(next->address, true))
        return 0;
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
    sim.sleeping = 0;
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
        bool is_new = sim.count >= sim.given;
        if (is_new)
            *step = (struct step){.sleeping = sim.sleeping};
        step->enabled = enabled;
        if (is_new && sim.bounds)
            sim_bound_begin(sim.count);
        for (unsigned i = 0; i < ALL && sim.bounds; i++)
            if (!sim.tasks[i].finished)
                sim_bound_compare(i);
        unsigned chosen = choose(sim.count, enabled, step->sleeping, context);
        if (chosen == NOBODY)
            return;
        step->task = (uint8_t)chosen;
        step->values = 0;
        if (is_new)
            step->first = step->task;
        if (!sim.bounds)
            sim.sleeping = still_asleep(
                (uint8_t)(step->sleeping | (step->done & ~(1u << chosen))),
                chosen);
        step->done |= (uint8_t)(1u << chosen);
        step->wanted |= (uint8_t)(1u << chosen);
        begin_step(chosen, sim.count + 1);
        resume(chosen);
        end_step(chosen, sim.count + 1);
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
    sim.access_count = 0;
    sim.count = 0;
    sim_forget_names();
    program->setup(program->context);
    aspen_port_rcu_barrier();
    sim.scheduler_thread = sim_thread_now();
    for (unsigned i = 0; i < ALL; i++)
        make_task(i);
    resume(DEFERRED);
    for (unsigned i = 0; i < program->tasks; i++)
        resume(i); /* up to its first point */
    sim.stepping = true;
    run_steps(choose, context);
    sim.stepping = false;
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
