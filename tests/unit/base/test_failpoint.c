/* SPDX-License-Identifier: MIT */
/*
 * The gate: which crossing fails in each mode, for every number; counts; and
 * that threads never share a number.
 */
#define _GNU_SOURCE
#include "base/atomic.h"
#include "base/failpoint.h"
#include "unit.h"

#include <pthread.h>

#define CROSSINGS 20u

static enum aspen_step
step_of(uint64_t number)
{
    return (enum aspen_step)(number % ASPEN_STEP_KINDS);
}

static void
test_every_number_in_every_mode(void **state)
{
    unsigned combinations = 0;
    (void)state;

    for (int mode = ASPEN_FAIL_NEVER; mode <= ASPEN_FAIL_ONWARD; mode++)
        for (uint64_t fail = 1; fail <= CROSSINGS + 1; fail++) {
            struct aspen_failpoints failpoints = {.counting = true};
            uint64_t failed = 0, sum = 0;

            failpoints.plan.mode = (enum aspen_fail_mode)mode;
            failpoints.plan.number = fail;
            for (uint64_t n = 1; n <= CROSSINGS; n++) {
                bool expected = (mode == ASPEN_FAIL_ONCE && n == fail) ||
                                (mode == ASPEN_FAIL_ONWARD && n >= fail);
                assert_int_equal(aspen_failpoint(&failpoints, step_of(n)),
                                 expected);
                failed += expected;
            }
            for (unsigned s = 0; s < ASPEN_STEP_KINDS; s++)
                sum += failpoints.counts.by_step[s];
            assert_true(failpoints.counts.crossings == CROSSINGS);
            assert_true(failpoints.counts.failed == failed);
            assert_true(sum == CROSSINGS);
            combinations++;
        }
    printf("%u combinations\n", combinations);
}

static void
test_without_a_plan(void **state)
{
    struct aspen_failpoints failpoints = {.counting = false};
    (void)state;

    failpoints.plan.mode = ASPEN_FAIL_ONWARD;
    failpoints.plan.number = 1;
    assert_false(aspen_failpoint(&failpoints, ASPEN_STEP_MM));
    assert_false(aspen_failpoint(NULL, ASPEN_STEP_MM));
    assert_true(failpoints.counts.crossings == 0);
    assert_true(aspen_failpoints_available());
}

static void
test_names(void **state)
{
    (void)state;
    for (int step = 0; step < ASPEN_STEP_KINDS; step++) {
        const char *name = aspen_step_name((enum aspen_step)step);
        assert_non_null(name);
        for (int other = 0; other < step; other++)
            assert_string_not_equal(name,
                                    aspen_step_name((enum aspen_step)other));
    }
    assert_null(aspen_step_name(ASPEN_STEP_KINDS));
    assert_string_equal(aspen_step_name(ASPEN_STEP_TREE_NODE), "tree_node");
}

/* ---- Threads ----------------------------------------------------------- */

#define THREADS    4u
#define PER_THREAD 100000u

static pthread_barrier_t start;
static uint8_t seen[THREADS * PER_THREAD + 1]; /* atomic */

static void
observe(void *context, enum aspen_step step, uint64_t number)
{
    (void)context;
    (void)step;
    (void)aspen_fetch_add(&seen[number], 1);
}

static void *
cross(void *failpoints)
{
    uintptr_t failed = 0;

    pthread_barrier_wait(&start);
    for (unsigned i = 0; i < PER_THREAD; i++)
        failed += aspen_failpoint(failpoints, ASPEN_STEP_CHARGE);
    return (void *)failed;
}

static void
test_threads_get_numbers_of_their_own(void **state)
{
    struct aspen_failpoints failpoints = {.counting = true};
    (void)state;

    failpoints.plan.mode = ASPEN_FAIL_ONCE;
    failpoints.plan.number = THREADS * PER_THREAD / 2;
    failpoints.plan.observer = observe;
    pthread_barrier_init(&start, NULL, THREADS);
    uintptr_t failed = unit_run_threads(THREADS, cross, &failpoints);
    for (unsigned n = 1; n <= THREADS * PER_THREAD; n++)
        assert_int_equal(seen[n], 1);
    assert_int_equal(failed, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_number_in_every_mode),
        cmocka_unit_test(test_without_a_plan),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_threads_get_numbers_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
