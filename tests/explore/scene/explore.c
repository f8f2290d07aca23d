/* SPDX-License-Identifier: MIT */
#include "explore.h"

#include "internal.h"
#include "serve.h"
#include <inttypes.h>

/* What sim/memory finds hangs little on the order, but there are two passes: a
 * load of each run may find an older value in the second. */
#if defined(SIM_MEMORY)
#define ONE_OF 50
#define PASSES 2u
#else
#define ONE_OF 1
#define PASSES 1u
#endif
#define RANDOM_RUNS (2000 / ONE_OF)

struct sim_program
explore_program(void (*setup)(void *context),
                void (*const *tasks)(void *context),
                void (*check)(void *context))
{
    struct sim_program program = {.setup = setup, .check = check};

    for (; program.tasks < SIM_TASKS && tasks[program.tasks]; program.tasks++)
        program.task[program.tasks] = tasks[program.tasks];
    return program;
}

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

static bool
replay_asked(const char *name, const struct sim_program *program)
{
    const char *schedule = getenv("SIM_SCHEDULE");

    if (!schedule)
        return false;
    const struct sim_result *replayed = replay_of(program, schedule);
    if (replayed->broken)
        fail_with(name, replayed);
    return true;
}

static void
sample(const char *name, const struct sim_program *program,
       struct sim_result *result)
{
    uint64_t seed = unit_seed("../explore", 1);
    unsigned runs = unit_rounds(RANDOM_RUNS);

    sim_random(program, runs, seed, result);
    if (result->broken)
        fail_with(name, result);
    print_message("%s: %u random ones besides\n", name, runs);
}

void
explore_holds(const char *name, const struct sim_program *program,
              uint64_t most)
{
    static struct sim_result result;

    if (serve_scenario(name, program) || replay_asked(name, program))
        return;
    for (unsigned older = 0; older < PASSES; older++) {
        sim_relax(older);
        sim_explore(program,
                    unit_rounds((unsigned)((most + ONE_OF - 1) / ONE_OF)),
                    &result);
        if (result.broken)
            fail_with(name, &result);
        assert_true(result.schedules > 0);
        print_message("%s: %" PRIu64 " schedules%s%s (%" PRIu64
                      " cut short), %" PRIu64 " steps at most\n",
                      name, result.schedules,
                      older ? " with an older value" : "",
                      result.complete ? ", all of them" : ", not all",
                      result.cut, result.longest);
        if (!result.complete)
            sample(name, program, &result);
    }
    sim_relax(0);
}

void
explore_bounded(const char *name, const struct sim_program *program,
                unsigned preemptions)
{
    static struct sim_result result;
    const struct sim_bounds bounds = {.preemptions = preemptions};

    if (serve_scenario(name, program) || replay_asked(name, program))
        return;
    sim_explore_bounded(program, &bounds, UINT64_MAX, &result);
    if (result.broken)
        fail_with(name, &result);
    assert_true(result.complete);
    print_message("%s: %" PRIu64 " schedules with at most %u preemptions\n",
                  name, result.schedules, preemptions);
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

/* ---- Scenes ------------------------------------------------------------ */

void
must(int error)
{
    if (error)
        sim_fail(aspen_error_name(error));
}

struct aspen *
explore_machine(const struct aspen_config *config, uint32_t frames)
{
    struct aspen_config filled;
    struct aspen *aspen;

    if (config)
        filled = *config;
    else
        aspen_config_init(&filled);
    filled.frames = frames;
    filled.direct_map = aspen_port_memory_alloc(frames * PAGE);
    sim_name(filled.direct_map, frames * PAGE, PAGE, "frame");
    must(aspen_create(&filled, &aspen));
    sim_name(aspen, sizeof(*aspen), sizeof(*aspen), "machine");
    return aspen;
}

void
explore_validate(struct aspen *aspen)
{
    struct aspen_finding finding = {0};

    if (aspen_validate(aspen, &finding))
        sim_fail(finding.text);
}

void
explore_machine_end(struct aspen *aspen)
{
    void *direct_map = aspen->config.direct_map;
    size_t bytes = aspen->config.frames * PAGE;

    must(aspen_destroy(aspen));
    aspen_port_memory_free(direct_map, bytes);
}

uint8_t *
explore_bytes(struct aspen *aspen, uint32_t frame)
{
    return (uint8_t *)aspen->config.direct_map + frame * PAGE;
}

void
explore_map(struct aspen_mm *mm, uint64_t address, uint64_t pages,
            uint64_t vm_flags, struct aspen_object *object)
{
    struct aspen_mmap_args args = {
        .address = address,
        .length_bytes = pages * PAGE,
        .vm_flags = vm_flags,
        .flags = ASPEN_MAP_FIXED,
        .object = object,
    };
    uint64_t result;

    must(aspen_mmap(mm, &args, &result));
}

static bool planned; /* a step of this run fails */

void
must_or_planned(int error)
{
    if (!planned)
        must(error);
}

void
explore_plan(struct aspen *aspen, uint64_t fail_at)
{
    struct aspen_failpoint_plan plan = {
        .mode = fail_at ? ASPEN_FAIL_ONCE : ASPEN_FAIL_NEVER,
        .number = fail_at,
    };

    planned = fail_at != 0;
    must(aspen_failpoints_set(aspen, &plan));
}

void
explore_plan_end(struct aspen *aspen, struct aspen_failpoint_counts *counts)
{
    aspen_failpoints_read(aspen, counts);
    must(aspen_failpoints_set(aspen, NULL));
}
