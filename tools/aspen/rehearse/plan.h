/* SPDX-License-Identifier: MIT */
/*
 * plan.h - which rehearsals there are, and in which order they are done.
 *
 * The order is such that the first N of it are a sample for any N: first some
 * of each kind of step, then all kinds in proportion, each kind spread evenly
 * over the fork. So rehearsing can stop at any moment.
 */
#ifndef ASPEN_PLAN_H
#define ASPEN_PLAN_H

#include "rehearse/failing_fork.h"

/** Step and mode of one rehearsal in 8 bytes. */
typedef uint64_t plan_item;

static inline plan_item
plan_item_of(uint64_t step, enum rehearsal_mode mode)
{
    return step << 2 | (uint64_t)mode;
}

static inline uint64_t
plan_step(plan_item item)
{
    return item >> 2;
}

static inline enum rehearsal_mode
plan_mode(plan_item item)
{
    return (enum rehearsal_mode)(item & 3);
}

/** How many rehearsals so many steps make: two each, one for a poll. */
uint64_t plan_count(const uint8_t *kinds, uint64_t steps);

/**
 * Fill `items` (plan_count() of them) in the order for this seed.
 * -1: no memory.
 */
int plan_fill(plan_item *items, const uint8_t *kinds, uint64_t steps,
              uint64_t seed);

#endif
