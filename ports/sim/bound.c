/* SPDX-License-Identifier: MIT */
/*
 * bound.c - the search through the orders with few preemptions.
 *
 * It is the bounded partial-order reduction of Coons, Musuvathi and McKinley
 * (2013), without sleep sets, which a bound makes unsound: a run that is left
 * out because another one is as good may be the only one of the two that is
 * within the bound. docs/evidence/sim.md says why nothing is missed. In short:
 *
 * B1  The first choice at a step is the task that ran last, if it can go on. It
 *     costs nothing, and no other order begins cheaper.
 *
 * B2  A task whose next operation depends on an earlier step, and does not come
 *     after it anyway, is wanted there; and where the row of steps of which
 *     that one is began, if nobody was preempted for it, since it may be too
 *     dear to interrupt the row. Each such step counts, not the last alone: it
 *     may be the one where there is something left to spend.
 *
 * B3  A preemption is one because a task can go on: so what lets a task go on
 *     counts as an access to the word that it waits for. Giving a lock back
 *     does, and what busy() reads.
 */
#include "sim_run.h"

/* ---- The bound ---------------------------------------------------------- */

/* Whether the step would preempt somebody. */
static uint32_t
cost_of(uint32_t number, unsigned task)
{
    unsigned last;

    if (number == 0)
        return 0;
    last = sim.steps[number - 1].task;
    return last != task && sim.steps[number].enabled >> last & 1;
}

bool
sim_bound_allows(uint32_t number, unsigned task)
{
    return sim.steps[number].spent + cost_of(number, task) <=
           sim.bounds->preemptions;
}

/* ---- Parts of the search ------------------------------------------------ */

/*
 * What leaves the first run at its step `number` for that task is all of one
 * part. Nobody knows what other parts would want there, so all is wanted that
 * can go on.
 */
static bool
is_of_this_part(uint32_t number, unsigned task)
{
    uint64_t hash = (number * (uint64_t)ALL + task) * 0x9e3779b97f4a7c15u;

    return (hash >> 32) % sim.bounds->shards == sim.bounds->shard;
}

static bool
is_shared_out(const struct step *step)
{
    return sim.bounds->shards && step->on_first;
}

void
sim_bound_begin(uint32_t number)
{
    struct step *step = &sim.steps[number];
    const struct step *before = step - 1;

    step->on_first =
        number == 0 || (before->on_first && before->task == before->first);
    step->spent =
        number ? before->spent + cost_of(number - 1, before->task) : 0;
    if (sim.bounds->every)
        step->wanted = step->enabled;
    if (!is_shared_out(step))
        return;
    step->wanted = 0;
    for (unsigned i = 0; i < ALL; i++)
        if (step->enabled >> i & 1 && is_of_this_part(number, i))
            step->wanted |= (uint8_t)(1u << i);
}

/* ---- What is wanted where ----------------------------------------------- */

static void
want(uint32_t number, unsigned task)
{
    struct step *step = &sim.steps[number];
    uint8_t bit = (uint8_t)(1u << task);

    if (!is_shared_out(step))
        step->wanted |= step->enabled & bit ? bit : step->enabled;
}

/* B2; `number` counts from 0. */
static void
want_before(uint32_t number, unsigned task)
{
    uint32_t first = number;

    want(number, task);
    while (first && sim.steps[first - 1].task == sim.steps[number].task)
        first--;
    if (first != number)
        want(first, task);
}

/* With the accesses whose number is larger than `since`. */
static void
compare_word(unsigned me, const void *address, bool is_write,
             const uint32_t *clock, uint32_t since)
{
    const struct sim_access *access;

    for (uint32_t i = sim_word_of(address)->last_access; i > since;
         i = access->before) {
        access = &sim.accesses[i - 1];
        if (access->task != me && (is_write || access->is_write) &&
            access->step > clock[access->task])
            want_before(access->step - 1, me);
    }
}

void
sim_bound_compare(unsigned me)
{
    struct task *task = &sim.tasks[me];
    const struct operation *next = &task->next;

    if (!next->address)
        return;
    compare_word(me, next->address, next->is_write, task->clock,
                 task->compared);
    for (unsigned i = 0; i < WATCHED && next->watched[i]; i++)
        compare_word(me, next->watched[i], false, task->clock, task->compared);
    task->compared = sim.access_count;
}

/* ---- What was done ------------------------------------------------------ */

static void
note(const void *address, bool is_write, unsigned task, uint32_t step)
{
    struct word *word = sim_word_of(address);

    if (sim.access_count == ACCESSES) {
        sim_note_failure("the run touches too much");
        return;
    }
    sim.accesses[sim.access_count++] = (struct sim_access){
        .step = step,
        .before = word->last_access,
        .task = (uint8_t)task,
        .is_write = is_write,
    };
    word->last_access = sim.access_count;
}

void
sim_bound_step(unsigned me, uint32_t number)
{
    struct task *task = &sim.tasks[me];
    const struct operation *next = &task->next;

    task->compared = 0;
    if (!next->address)
        return;
    note(next->address, next->is_write, me, number);
    for (unsigned i = 0; i < WATCHED && next->watched[i]; i++)
        note(next->watched[i], false, me, number);
}

void
sim_bound_release(const void *address, bool is_write)
{
    unsigned me = sim.running;

    if (!sim.bounds)
        return;
    compare_word(me, address, is_write, sim.tasks[me].clock_before, 0);
    note(address, is_write, me, sim.count + 1);
}

void
sim_bound_watch(const void *address)
{
    struct operation *next = &sim.looking->next;

    for (unsigned i = 0; i < WATCHED; i++) {
        if (next->watched[i] == address)
            return;
        if (next->watched[i])
            continue;
        next->watched[i] = address;
        sim.looking->compared = 0;
        return;
    }
}
