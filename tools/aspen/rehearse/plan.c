/* SPDX-License-Identifier: MIT */
/*
 * plan.c - which rehearsals there are, and in which order they are done.
 *
 * A stratum is one kind of step failing in one mode. Inside a stratum the
 * steps are taken at multiples of the golden section (modulo their number,
 * made coprime), beginning where the seed says: every beginning of such a
 * sequence is spread evenly. The strata are merged by how much of each is
 * done, the first few of each before anything else.
 *
 * I1  Each rehearsal is in the plan exactly once.
 *
 * Called by command.c. tests/unit/tools/test_plan.c breaks first.
 */
#define _GNU_SOURCE
#include "rehearse/plan.h"

#include <stdlib.h>
#include <string.h>

#define STRATA      (ASPEN_STEP_KINDS * REHEARSAL_MODES)
#define FIRST_ITEMS 8u /* of each stratum, before any proportion */

struct stratum {
    plan_item *items; /* in the order of the steps */
    uint64_t count;
    uint64_t taken;
    uint64_t position;
    uint64_t stride;
};

static uint64_t
greatest_common_divisor(uint64_t a, uint64_t b)
{
    while (b != 0) {
        uint64_t rest = a % b;

        a = b;
        b = rest;
    }
    return a;
}

/* A well mixed number from the seed and the stratum. */
static uint64_t
mix(uint64_t value)
{
    value += 0x9e3779b97f4a7c15u;
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9u;
    value = (value ^ value >> 27) * 0x94d049bb133111ebu;
    return value ^ value >> 31;
}

static void
begin_stratum(struct stratum *stratum, uint64_t seed)
{
    uint64_t count = stratum->count;

    stratum->taken = 0;
    if (count == 0)
        return;
    stratum->position = mix(seed) % count;
    stratum->stride =
        (uint64_t)(((unsigned __int128)count * 0x9e3779b9u) >> 32);
    while (stratum->stride == 0 ||
           greatest_common_divisor(stratum->stride, count) != 1)
        stratum->stride++;
}

static plan_item
take_item(struct stratum *stratum)
{
    plan_item item = stratum->items[stratum->position];

    stratum->position = (stratum->position + stratum->stride) % stratum->count;
    stratum->taken++;
    return item;
}

/* Whether `a` is behind `b`, that is: to be taken from next. */
static bool
is_behind(const struct stratum *a, const struct stratum *b)
{
    bool a_first = a->taken < FIRST_ITEMS;
    bool b_first = b->taken < FIRST_ITEMS;

    if (a_first || b_first)
        return a_first && (!b_first || a->taken < b->taken);
    return (unsigned __int128)a->taken * b->count <
           (unsigned __int128)b->taken * a->count;
}

static struct stratum *
next_stratum(struct stratum *strata)
{
    struct stratum *next = NULL;

    for (unsigned i = 0; i < STRATA; i++) {
        if (strata[i].taken == strata[i].count)
            continue;
        if (next == NULL || is_behind(&strata[i], next))
            next = &strata[i];
    }
    return next;
}

static bool
is_poll(uint8_t kind)
{
    return kind == ASPEN_STEP_INTERRUPT;
}

static void
count_strata(struct stratum *strata, const uint8_t *kinds, uint64_t steps)
{
    for (uint64_t i = 0; i < steps; i++) {
        struct stratum *of_kind = &strata[kinds[i] * REHEARSAL_MODES];

        if (is_poll(kinds[i]))
            of_kind[REHEARSE_INTERRUPT].count++;
        else {
            of_kind[REHEARSE_ONCE].count++;
            of_kind[REHEARSE_ONWARD].count++;
        }
    }
}

static void
add_item(struct stratum *strata, uint8_t kind, uint64_t step,
         enum rehearsal_mode mode)
{
    struct stratum *stratum = &strata[kind * REHEARSAL_MODES + mode];

    stratum->items[stratum->taken++] = plan_item_of(step, mode);
}

static void
fill_strata(struct stratum *strata, plan_item *items, const uint8_t *kinds,
            uint64_t steps)
{
    for (unsigned i = 0; i < STRATA; i++) {
        strata[i].items = items;
        items += strata[i].count;
    }
    for (uint64_t i = 0; i < steps; i++) {
        if (is_poll(kinds[i]))
            add_item(strata, kinds[i], i + 1, REHEARSE_INTERRUPT);
        else {
            add_item(strata, kinds[i], i + 1, REHEARSE_ONCE);
            add_item(strata, kinds[i], i + 1, REHEARSE_ONWARD);
        }
    }
}

uint64_t
plan_count(const uint8_t *kinds, uint64_t steps)
{
    uint64_t count = 0;

    for (uint64_t i = 0; i < steps; i++)
        count += is_poll(kinds[i]) ? 1 : 2;
    return count;
}

int
plan_fill(plan_item *items, const uint8_t *kinds, uint64_t steps, uint64_t seed)
{
    struct stratum strata[STRATA] = {0};
    uint64_t count = plan_count(kinds, steps);
    plan_item *sorted = calloc(count + 1, sizeof(*sorted));
    struct stratum *next;

    if (sorted == NULL)
        return -1;
    count_strata(strata, kinds, steps);
    fill_strata(strata, sorted, kinds, steps);
    for (unsigned i = 0; i < STRATA; i++)
        begin_stratum(&strata[i], mix(seed) + i);
    while ((next = next_stratum(strata)) != NULL)
        *items++ = take_item(next);
    free(sorted);
    return 0;
}
