/* SPDX-License-Identifier: MIT */
#include "explore.h"

#include <inttypes.h>

#define RANDOM_RUNS 2000

static void
fail_with(const char *name, const struct sim_result *result)
{
    fail_msg("%s: %s\n    replay: SIM_SCHEDULE='%s'", name, result->what,
             result->schedule);
}

static struct sim_result *
replay_of(const struct sim_program *program, const char *schedule)
{
    static struct sim_result result;
    sim_replay(program, schedule, &result);
    return &result;
}

void
explore_holds(const char *name, const struct sim_program *program,
              uint64_t most)
{
    static struct sim_result result;
    const char *schedule = getenv("SIM_SCHEDULE");

    if (schedule) {
        const struct sim_result *replayed = replay_of(program, schedule);
        if (replayed->broken)
            fail_with(name, replayed);
        return;
    }
    sim_explore(program, most, &result);
    if (result.broken)
        fail_with(name, &result);
    assert_true(result.schedules > 0);
    print_message("%s: %" PRIu64 " schedules%s (%" PRIu64
                  " cut short), %" PRIu64 " steps at most\n",
                  name, result.schedules,
                  result.complete ? ", all of them" : ", not all", result.cut,
                  result.longest);
    if (result.complete)
        return;
    uint64_t seed = unit_seed("../explore", 1);
    sim_random(program, RANDOM_RUNS, seed, &result);
    if (result.broken)
        fail_with(name, &result);
    print_message("%s: %u random ones besides\n", name, RANDOM_RUNS);
}

void
explore_breaks(const char *name, const struct sim_program *program,
               const char *what)
{
    static struct sim_result result;

    sim_explore(program, 100000, &result);
    if (!result.broken)
        fail_msg("%s: not found in %" PRIu64 " schedules", name,
                 result.schedules);
    if (!strstr(result.what, what))
        fail_msg("%s: found \"%s\", not \"%s\"", name, result.what, what);
    const struct sim_result *replayed = replay_of(program, result.schedule);
    if (!replayed->broken)
        fail_msg("%s: the schedule does not replay", name);
    print_message("%s: found after %" PRIu64 " schedules: %s\n", name,
                  result.schedules + result.cut, result.what);
}
