/* SPDX-License-Identifier: MIT */
/*
 * A machine that is too small, whose swap device fails in every way: transfers
 * fail, end in the middle, late and in another order; the device is gone for a
 * time, says something else, is full, and is exchanged for another while all
 * goes on. Threads access pages and fork meanwhile, and each byte is as it was
 * written.
 *
 * ASPEN_SOAK is how many accesses all of it makes: `make check-soak` has ten
 * million.
 */
#define _GNU_SOURCE
#include "unit.h"

#include "pressure/run.h"

#define FRAMES 320u
#define PAGES  1280u
/* As many soaks as there are below, and all of them together. */
#define SOAKS    7u
#define ACCESSES 14000u

static size_t
accesses(void)
{
    const char *text = getenv("ASPEN_SOAK");

    return text ? strtoull(text, NULL, 0) / SOAKS
                : unit_rounds(ACCESSES) / SOAKS;
}

static void
soak_with(struct pressure_plan plan, struct pressure_result *result)
{
    uint64_t seed = plan.seed = unit_seed("test_soak", 1);
    struct trace trace;
    struct tool_error error;

    assert_int_equal(trace_begin(&trace, accesses(), PAGES), 0);
    assert_int_equal(trace_zipf(&trace, &seed), 0);
    plan.trace = &trace;
    plan.frames = FRAMES;
    plan.threads = 4;
    plan.forks = true;
    plan.can_fail = true;
    if (pressure_run(&plan, result, &error) != 0)
        fail_msg("%s: %s", plan.swap, error.text);
    trace_end(&trace);
    print_message(
        "%s: %.1f s, %u faults, %u refused, %u transfers failed, %u "
        "pages in, %u out, %u forks, %u areas removed, %u pages given "
        "up, %u bytes wrong\n",
        plan.swap, result->seconds, (unsigned)result->faults,
        (unsigned)result->refused, (unsigned)result->failed,
        (unsigned)result->swap_in, (unsigned)result->swap_out,
        (unsigned)result->forks, (unsigned)result->areas_removed,
        (unsigned)result->given_up, (unsigned)result->wrong_bytes);
    assert_true(result->swap_in > accesses() / 50);
    assert_true(result->swap_out > accesses() / 50);
    assert_int_equal(result->lost_pages, 0);
}

static void
soak(const char *swap, struct pressure_faults faults, bool fails)
{
    struct pressure_plan plan = {
        .swap = swap,
        .swap_flags = faults.lies ? ASPEN_SWAP_CHECKSUM : 0,
        .faults = faults,
    };
    struct pressure_result result;

    soak_with(plan, &result);
    assert_int_equal(result.wrong_bytes, 0);
    if (fails)
        assert_true(result.failed > 0);
    pressure_result_free(&result);
}

static void
test_exchanged(void **state)
{
    (void)state;
    soak("memory", (struct pressure_faults){0}, false);
}

static void
test_late(void **state)
{
    (void)state;
    soak("memory", (struct pressure_faults){.late = true}, false);
}

static void
test_errors(void **state)
{
    (void)state;
    soak("memory", (struct pressure_faults){.errors = 20, .shorts = 20}, true);
}

static void
test_gone(void **state)
{
    (void)state;
    soak("memory", (struct pressure_faults){.gone = 4, .late = true}, true);
}

static void
test_full(void **state)
{
    (void)state;
    soak("memory", (struct pressure_faults){.full = true, .late = true}, false);
}

static void
test_all(void **state)
{
    (void)state;
    soak("memory",
         (struct pressure_faults){.errors = 5,
                                  .shorts = 5,
                                  .gone = 1,
                                  .lies = 3,
                                  .late = true,
                                  .full = true},
         true);
}

/* Without a checksum it shows: the comparison is one. */
static void
test_lies(void **state)
{
    struct pressure_plan plan = {.swap = "memory", .faults = {.lies = 20}};
    struct pressure_result result;
    (void)state;

    soak_with(plan, &result);
    assert_true(result.wrong_bytes > 0);
    pressure_result_free(&result);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exchanged), cmocka_unit_test(test_late),
        cmocka_unit_test(test_errors),    cmocka_unit_test(test_gone),
        cmocka_unit_test(test_full),      cmocka_unit_test(test_all),
        cmocka_unit_test(test_lies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
