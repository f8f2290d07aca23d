/* SPDX-License-Identifier: MIT */
/*
 * shrink.c - a schedule that fails becomes a short one: rows of steps are left
 * out or put in another order as long as the run still fails with the same
 * words.
 *
 * What was left out happens later, when nobody is asked for any more: the task
 * that ran last goes on while it can. So the schedule that counts is not the
 * one that was tried, but what the run made of it.
 */
#include "sim_run.h"

#include <stdio.h>
#include <string.h>

#define BLOCKS 512u

struct block {
    unsigned task;
    unsigned steps;
    unsigned value; /* that the load of the last of them finds */
};

struct blocks {
    struct block blocks[BLOCKS];
    unsigned count;
};

static void
read_blocks(const char *schedule, struct blocks *blocks)
{
    int used = 0;

    blocks->count = 0;
    while (blocks->count < BLOCKS) {
        struct block *block = &blocks->blocks[blocks->count];
        if (sscanf(schedule, " %u*%u%n", &block->task, &block->steps, &used) !=
            2)
            return;
        schedule += used;
        block->value = 0;
        if (sscanf(schedule, "~%u%n", &block->value, &used) == 1)
            schedule += used;
        blocks->count++;
    }
}

unsigned
sim_switches(const char *schedule)
{
    static struct blocks blocks;

    read_blocks(schedule, &blocks);
    return blocks.count ? blocks.count - 1 : 0;
}

/* ---- Trying one ---------------------------------------------------------- */

struct attempt {
    const struct blocks *blocks;
    unsigned at;
    unsigned done; /* of it */
};

static unsigned
choose_block(uint32_t number, uint8_t enabled, uint8_t sleeping, void *context)
{
    struct attempt *attempt = context;
    unsigned last = number ? sim.steps[number - 1].task : 0;

    (void)sleeping;
    for (; attempt->at < attempt->blocks->count; attempt->at++) {
        const struct block *block = &attempt->blocks->blocks[attempt->at];
        if (attempt->done < block->steps && block->task < ALL &&
            enabled >> block->task & 1) {
            if (++attempt->done == block->steps)
                sim.steps[number].value = (uint8_t)block->value;
            return block->task;
        }
        attempt->done = 0;
    }
    if (enabled >> last & 1)
        return last;
    for (last = 0; !(enabled >> last & 1);)
        last++;
    return last;
}

struct shrinking {
    const struct sim_program *program;
    struct sim_result *result;
    uint64_t runs; /* left */
};

static unsigned
steps_of(const struct blocks *blocks)
{
    unsigned steps = 0;

    for (unsigned i = 0; i < blocks->count; i++)
        steps += blocks->blocks[i].steps;
    return steps;
}

/* Whether it fails in the same way and is shorter; then it is the best so far,
 * in `blocks` too. */
static bool
is_better(struct shrinking *shrinking, const struct blocks *candidate,
          struct blocks *blocks)
{
    static struct sim_result tried;
    static struct blocks made;
    struct attempt attempt = {.blocks = candidate};
    unsigned relaxed = sim.relaxed;

    if (!shrinking->runs)
        return false;
    shrinking->runs--;
    sim_begin(shrinking->program, &tried);
    sim.relaxed = UINT32_MAX;
    sim_run_once(choose_block, &attempt);
    sim.relaxed = relaxed;
    if (!tried.broken || strcmp(tried.what, shrinking->result->what) != 0)
        return false;
    read_blocks(tried.schedule, &made);
    if (made.count > blocks->count ||
        (made.count == blocks->count && steps_of(&made) >= steps_of(blocks)))
        return false;
    *blocks = made;
    memcpy(shrinking->result->schedule, tried.schedule, sizeof(tried.schedule));
    return true;
}

/* ---- What is tried --------------------------------------------------------
 */

static bool
leave_out(struct shrinking *shrinking, struct blocks *blocks)
{
    static struct blocks candidate;
    bool better = false;

    for (unsigned size = (blocks->count + 1) / 2; size; size /= 2) {
        for (unsigned i = 0; i + size <= blocks->count; i++) {
            candidate = *blocks;
            candidate.count -= size;
            memmove(&candidate.blocks[i], &candidate.blocks[i + size],
                    (candidate.count - i) * sizeof(candidate.blocks[0]));
            better |= is_better(shrinking, &candidate, blocks);
        }
    }
    return better;
}

static bool
exchange(struct shrinking *shrinking, struct blocks *blocks)
{
    static struct blocks candidate;
    bool better = false;

    for (unsigned i = 0; i + 1 < blocks->count; i++) {
        candidate = *blocks;
        candidate.blocks[i] = blocks->blocks[i + 1];
        candidate.blocks[i + 1] = blocks->blocks[i];
        better |= is_better(shrinking, &candidate, blocks);
    }
    return better;
}

void
sim_shrink(const struct sim_program *program, uint64_t runs,
           struct sim_result *result)
{
    struct shrinking shrinking = {program, result, runs};
    static struct blocks blocks;

    read_blocks(result->schedule, &blocks);
    while (leave_out(&shrinking, &blocks) || exchange(&shrinking, &blocks))
        ;
}
