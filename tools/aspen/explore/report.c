/* SPDX-License-Identifier: MIT */
/*
 * report.c - what `aspen explore` says of scenarios.
 *
 * tests/tools/explore.sh breaks first.
 */
#include "explore/session.h"

#include "common/json.h"
#include "common/options.h"

#include <inttypes.h>
#include <string.h>

static const char *
text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

static json_int_t
number_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

/* ---- JSON ---------------------------------------------------------------- */

json_t *
explore_json(const struct explore_wish *wish, json_t *scenarios)
{
    json_t *all = json_object();

    json_object_set_new(all, "schema", json_string(EXPLORE_SCHEMA));
    if (wish->parts)
        json_object_set_new(all, "shard",
                            json_pack("{sIsI}", "part", (json_int_t)wish->part,
                                      "of", (json_int_t)wish->parts));
    json_object_set_new(all, "scenarios", scenarios);
    return all;
}

const char *
explore_memory_word(const json_t *scenario)
{
    if (strcmp(text_of(scenario, "memory"), "relaxed") == 0)
        return "relaxed ";
    return json_is_null(json_object_get(scenario, "races")) ? "no-races " : "";
}

/* ---- A schedule, for a person -------------------------------------------- */

static void
tell_step(FILE *to, const json_t *step)
{
    const char *where = text_of(step, "where");

    fprintf(to, "  task %-2lld %-28s %-28s %-14s %s\n",
            (long long)number_of(step, "task"), *where ? where : "?",
            text_of(step, "function"), text_of(step, "what"),
            text_of(step, "address"));
}

static void
tell_left_out(FILE *to, unsigned count)
{
    if (count)
        fprintf(to, "          ... %u step%s that nobody else sees\n", count,
                count == 1 ? "" : "s");
}

/* Steps that touch what others touch, and the first of each row. */
static void
tell_steps(FILE *to, const json_t *steps)
{
    json_int_t last = -1;
    unsigned left_out = 0;
    json_t *step;
    size_t i;

    json_array_foreach(steps, i, step)
    {
        json_int_t task = number_of(step, "task");
        if (task == last && !json_is_true(json_object_get(step, "shared")) &&
            i + 1 < json_array_size(steps)) {
            left_out++;
            continue;
        }
        tell_left_out(to, left_out);
        left_out = 0;
        if (task != last && last >= 0)
            fprintf(to, "  ------\n");
        last = task;
        tell_step(to, step);
    }
}

/* Those that are not what failed. */
static void
tell_races(FILE *to, const json_t *scenario)
{
    json_t *site;
    size_t i;

    json_array_foreach(json_object_get(scenario, "sites"), i,
                       site) if (strcmp(json_string_value(site),
                                        text_of(scenario, "what")) != 0)
        fprintf(to, "  besides: %s\n", json_string_value(site));
}

static void
tell_failure(FILE *to, const json_t *scenario)
{
    const json_t *steps = json_object_get(scenario, "steps");

    fprintf(to, "  %s\n", text_of(scenario, "what"));
    tell_races(to, scenario);
    if (steps)
        tell_steps(to, steps);
    fprintf(to, "  replay: aspen explore --replay '%s %s%s'\n",
            text_of(scenario, "name"), explore_memory_word(scenario),
            text_of(scenario, "schedule"));
}

void
explore_tell(FILE *to, const struct explore_wish *wish, const json_t *scenario)
{
    bool failed = number_of(scenario, "failed") != 0;
    bool complete = json_is_true(json_object_get(scenario, "complete"));

    fprintf(to, "%-4s %8lld %s%s\n", failed ? "FAIL" : "ok",
            (long long)number_of(scenario, "schedules"),
            text_of(scenario, "name"),
            failed || complete || wish->random ? "" : " (not all)");
    if (failed)
        tell_failure(to, scenario);
}

/* ---- All of them ----------------------------------------------------------
 */

static void
tell_sum(const struct explore_wish *wish, const json_t *scenarios,
         uint64_t failed)
{
    uint64_t schedules = 0;
    json_t *scenario;
    size_t i;

    json_array_foreach(scenarios, i, scenario) schedules +=
        (uint64_t)number_of(scenario, "schedules");
    printf("%zu scenarios, %" PRIu64 " schedules", json_array_size(scenarios),
           schedules);
    if (wish->random)
        printf(" at random, seed %" PRIu64, wish->seed);
    else if (wish->preemptions != EXPLORE_ANY)
        printf(", at most %" PRIu64 " preemptions", wish->preemptions);
    printf(": %" PRIu64 " failed\n", failed);
}

int
explore_report(const struct explore_wish *wish, json_t *scenarios)
{
    uint64_t failed = 0;
    json_t *scenario;
    size_t i;

    json_array_foreach(scenarios, i, scenario) failed +=
        number_of(scenario, "failed") != 0;
    if (wish->html && explore_page(wish->html, scenarios) != 0) {
        json_decref(scenarios);
        return EXIT_REFUSED;
    }
    if (!wish->json)
        tell_sum(wish, scenarios, failed);
    if (!wish->json)
        json_decref(scenarios);
    else if (tool_json_print(explore_json(wish, scenarios), 0) != 0)
        return tool_refuse(EXPLORE_COMMAND, "no memory for the result");
    return options_flush(EXPLORE_COMMAND, failed ? EXIT_BROKEN : EXIT_HELD);
}
