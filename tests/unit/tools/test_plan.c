/* SPDX-License-Identifier: MIT */
/*
 * test_plan.c - which rehearsals there are and in which order: each exactly
 * once, and every beginning of the order is a sample of all kinds.
 */
#define _GNU_SOURCE
#include "rehearse/plan.h"
#include "unit.h"

#include <aspen/failpoint.h>

#define STEPS 5000u

/* Steps as a fork has them: polls and VMAs often, others now and then. */
static void
make_kinds(uint8_t *kinds, uint64_t steps)
{
    kinds[0] = ASPEN_STEP_MM;
    for (uint64_t i = 1; i < steps; i++)
        kinds[i] = (uint8_t)(i % 3 == 0    ? ASPEN_STEP_INTERRUPT
                             : i % 97 == 0 ? ASPEN_STEP_SWAP
                             : i % 11 == 0 ? ASPEN_STEP_PAGE_TABLE
                             : i % 2 == 0  ? ASPEN_STEP_VMA
                                           : ASPEN_STEP_CHARGE);
}

static plan_item *
make_plan(const uint8_t *kinds, uint64_t steps, uint64_t seed)
{
    plan_item *items = calloc(plan_count(kinds, steps) + 1, sizeof(*items));

    assert_non_null(items);
    assert_int_equal(plan_fill(items, kinds, steps, seed), 0);
    return items;
}

static void
test_count(void **state)
{
    static uint8_t kinds[STEPS];
    uint64_t polls = 0;

    (void)state;
    make_kinds(kinds, STEPS);
    for (unsigned i = 0; i < STEPS; i++)
        polls += kinds[i] == ASPEN_STEP_INTERRUPT;
    assert_int_equal(plan_count(kinds, STEPS), 2 * (STEPS - polls) + polls);
    assert_int_equal(plan_count(kinds, 0), 0);
}

static void
test_each_once(void **state)
{
    static const uint64_t sizes[] = {1, 2, 3, 7, 64, 1000, STEPS};
    static uint8_t kinds[STEPS];
    static uint8_t seen[STEPS + 1][REHEARSAL_MODES];

    (void)state;
    make_kinds(kinds, STEPS);
    for (unsigned size = 0; size < 7; size++)
        for (uint64_t seed = 0; seed < 4; seed++) {
            uint64_t steps = sizes[size];
            uint64_t count = plan_count(kinds, steps);
            plan_item *items = make_plan(kinds, steps, seed);

            memset(seen, 0, sizeof(seen));
            for (uint64_t i = 0; i < count; i++) {
                uint64_t step = plan_step(items[i]);
                bool poll;

                assert_in_range(step, 1, steps);
                poll = kinds[step - 1] == ASPEN_STEP_INTERRUPT;
                assert_int_equal(poll,
                                 plan_mode(items[i]) == REHEARSE_INTERRUPT);
                assert_int_equal(seen[step][plan_mode(items[i])]++, 0);
            }
            free(items);
        }
}

/* Any beginning holds all kinds, and reaches over the whole fork. */
static void
test_beginnings_are_samples(void **state)
{
    static uint8_t kinds[STEPS];
    plan_item *items;

    (void)state;
    make_kinds(kinds, STEPS);
    items = make_plan(kinds, STEPS, 1);
    for (unsigned length = 200; length < 4000; length += 200) {
        unsigned by_kind[ASPEN_STEP_KINDS] = {0};
        unsigned by_part[10] = {0};

        for (unsigned i = 0; i < length; i++) {
            uint64_t step = plan_step(items[i]);

            by_kind[kinds[step - 1]]++;
            by_part[(step - 1) * 10 / STEPS]++;
        }
        assert_int_equal(by_kind[ASPEN_STEP_MM], 2);
        assert_true(by_kind[ASPEN_STEP_SWAP] >= 8);
        assert_true(by_kind[ASPEN_STEP_INTERRUPT] >= length / 8);
        for (unsigned i = 0; i < 10; i++) {
            assert_true(by_part[i] >= length / 20);
            assert_true(by_part[i] <= length / 5);
        }
    }
    free(items);
}

static void
test_seeds_differ(void **state)
{
    static uint8_t kinds[STEPS];
    plan_item *first;
    plan_item *again;
    plan_item *other;
    size_t bytes;

    (void)state;
    make_kinds(kinds, STEPS);
    bytes = plan_count(kinds, STEPS) * sizeof(*first);
    first = make_plan(kinds, STEPS, 1);
    again = make_plan(kinds, STEPS, 1);
    other = make_plan(kinds, STEPS, 2);
    assert_memory_equal(first, again, bytes);
    assert_memory_not_equal(first, other, bytes);
    free(first);
    free(again);
    free(other);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_count),
        cmocka_unit_test(test_each_once),
        cmocka_unit_test(test_beginnings_are_samples),
        cmocka_unit_test(test_seeds_differ),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
