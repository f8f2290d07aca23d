/* SPDX-License-Identifier: MIT */
/*
 * merge.c - `aspen explore --merge`: what the parts of a search have printed
 * becomes what the whole of it is.
 *
 * tests/tools/explore.sh breaks first.
 */
#include "explore/session.h"

#include <errno.h>
#include <string.h>

#define PARTS_MAX 100000

struct merge {
    json_t *scenarios; /* the sum so far; NULL: nothing was read */
    json_t *from;      /* by part, the file that it is in */
    json_int_t parts;
    json_t *preemptions; /* of the first scenario */
};

static int
damaged(const char *file, const char *why)
{
    return tool_refuse(EXPLORE_COMMAND,
                       "%s is not what --shard has printed: %s", file, why);
}

/* ---- Scenarios ----------------------------------------------------------- */

static bool
is_scenario(const json_t *scenario)
{
    return json_is_string(json_object_get(scenario, "name")) &&
           json_is_integer(json_object_get(scenario, "schedules")) &&
           json_is_boolean(json_object_get(scenario, "complete")) &&
           json_is_integer(json_object_get(scenario, "failed"));
}

/* Parts may have come by the same one. */
static void
add_races(json_t *sum, const json_t *scenario)
{
    json_t *sites = json_object_get(sum, "sites");
    json_t *site, *other;
    size_t i, j;

    if (json_integer_value(json_object_get(scenario, "races")) == 0)
        return;
    if (!sites) {
        sites = json_array();
        json_object_set_new(sum, "sites", sites);
    }
    json_array_foreach(json_object_get(scenario, "sites"), i, site)
    {
        bool known = false;
        json_array_foreach(sites, j, other) known |= json_equal(site, other);
        if (!known)
            json_array_append(sites, site);
    }
    json_object_set_new(sum, "races",
                        json_integer((json_int_t)json_array_size(sites)));
}

static void
add_scenario(json_t *sum, const json_t *scenario)
{
    static const char *const of_failures[] = {"what", "schedule", "steps"};
    json_int_t schedules =
        json_integer_value(json_object_get(sum, "schedules")) +
        json_integer_value(json_object_get(scenario, "schedules"));

    json_object_set_new(sum, "schedules", json_integer(schedules));
    add_races(sum, scenario);
    if (!json_is_true(json_object_get(scenario, "complete")))
        json_object_set_new(sum, "complete", json_false());
    if (json_integer_value(json_object_get(scenario, "failed")) == 0 ||
        json_integer_value(json_object_get(sum, "failed")) != 0)
        return;
    json_object_set(sum, "failed", json_object_get(scenario, "failed"));
    for (size_t i = 0; i < sizeof(of_failures) / sizeof(of_failures[0]); i++) {
        json_t *value = json_object_get(scenario, of_failures[i]);
        if (value)
            json_object_set(sum, of_failures[i], value);
    }
}

static int
add_scenarios(struct merge *merge, const char *file, json_t *scenarios)
{
    json_t *scenario;
    size_t i;

    json_array_foreach(scenarios, i, scenario) if (
        !is_scenario(scenario)) return damaged(file,
                                               "a scenario lacks something");
    if (!merge->scenarios) {
        merge->scenarios = json_deep_copy(scenarios);
        merge->preemptions =
            json_object_get(json_array_get(scenarios, 0), "preemptions");
        json_incref(merge->preemptions);
        return 0;
    }
    if (json_array_size(scenarios) != json_array_size(merge->scenarios))
        return tool_refuse(EXPLORE_COMMAND, "%s has other scenarios", file);
    json_array_foreach(scenarios, i, scenario)
    {
        json_t *sum = json_array_get(merge->scenarios, i);
        if (!json_equal(json_object_get(sum, "name"),
                        json_object_get(scenario, "name")))
            return tool_refuse(EXPLORE_COMMAND, "%s has other scenarios", file);
        if (!json_equal(json_object_get(sum, "preemptions"),
                        json_object_get(scenario, "preemptions")))
            return tool_refuse(EXPLORE_COMMAND,
                               "%s has another bound of preemptions", file);
        if (!json_equal(json_object_get(sum, "memory"),
                        json_object_get(scenario, "memory")))
            return tool_refuse(EXPLORE_COMMAND, "%s has another --memory",
                               file);
        add_scenario(sum, scenario);
    }
    return 0;
}

/* ---- Parts --------------------------------------------------------------- */

static int
add_part(struct merge *merge, const char *file, const json_t *shard)
{
    json_int_t part = json_integer_value(json_object_get(shard, "part"));
    json_int_t parts = json_integer_value(json_object_get(shard, "of"));
    char key[24];

    if (parts < 1 || parts > PARTS_MAX || part < 1 || part > parts)
        return damaged(file, "there is no shard in it");
    if (merge->parts && parts != merge->parts)
        return tool_refuse(EXPLORE_COMMAND,
                           "%s is one of %lld shards, others are of %lld", file,
                           (long long)parts, (long long)merge->parts);
    merge->parts = parts;
    snprintf(key, sizeof(key), "%lld", (long long)part);
    const char *other = json_string_value(json_object_get(merge->from, key));
    if (other)
        return tool_refuse(EXPLORE_COMMAND,
                           "shard %s of %lld is in %s, and again in %s", key,
                           (long long)parts, other, file);
    json_object_set_new(merge->from, key, json_string(file));
    return 0;
}

static int
add_line(struct merge *merge, const char *file, const char *line)
{
    json_error_t error;
    json_t *object = json_loads(line, 0, &error);
    const char *schema = json_string_value(json_object_get(object, "schema"));
    json_t *scenarios = json_object_get(object, "scenarios");
    int status;

    if (!object)
        status = damaged(file, error.text);
    else if (!schema || strcmp(schema, EXPLORE_SCHEMA) != 0)
        status = damaged(file, "its schema is not " EXPLORE_SCHEMA);
    else if (!json_is_array(scenarios) || json_array_size(scenarios) == 0)
        status = damaged(file, "there are no scenarios in it");
    else if ((status =
                  add_part(merge, file, json_object_get(object, "shard"))) == 0)
        status = add_scenarios(merge, file, scenarios);
    json_decref(object);
    return status;
}

static int
add_file(struct merge *merge, const char *file)
{
    struct tool_buffer buffer = {0};
    int error = tool_read_file(file, &buffer, 0, NULL);
    char *rest, *line;
    int status = 0;
    bool any = false;

    if (error || !tool_buffer_add(&buffer, 1)) {
        tool_buffer_free(&buffer);
        return tool_refuse(EXPLORE_COMMAND, "cannot read %s: %s", file,
                           strerror(error ? -error : ENOMEM));
    }
    buffer.bytes[buffer.length - 1] = '\0';
    rest = (char *)buffer.bytes;
    while (status == 0 && (line = strsep(&rest, "\n")) != NULL) {
        if (!*line)
            continue;
        any = true;
        status = add_line(merge, file, line);
    }
    tool_buffer_free(&buffer);
    return status || any ? status : damaged(file, "it is empty");
}

/* Says up to some of them. */
static int
refuse_missing(const struct merge *merge)
{
    char missing[160] = "";
    size_t used = 0;
    json_int_t count = 0;

    for (json_int_t part = 1; part <= merge->parts; part++) {
        char key[24];
        snprintf(key, sizeof(key), "%lld", (long long)part);
        if (json_object_get(merge->from, key))
            continue;
        count++;
        if (used + 40 < sizeof(missing))
            used += (size_t)snprintf(missing + used, sizeof(missing) - used,
                                     " %s/%lld", key, (long long)merge->parts);
        else if (missing[used - 1] != '.')
            used += (size_t)snprintf(missing + used, sizeof(missing) - used,
                                     " ...");
    }
    return count
               ? tool_refuse(EXPLORE_COMMAND,
                             "%lld of %lld shards are missing:%s",
                             (long long)count, (long long)merge->parts, missing)
               : 0;
}

int
explore_merge(char **files, int count, const struct explore_wish *asked)
{
    struct merge merge = {.from = json_object()};
    bool json = asked->json;
    struct explore_wish wish = {
        .preemptions = EXPLORE_ANY, .json = json, .html = asked->html};
    int status = 0;

    for (int i = 0; i < count && status == 0; i++)
        status = add_file(&merge, files[i]);
    if (status == 0)
        status = refuse_missing(&merge);
    if (json_is_integer(merge.preemptions))
        wish.preemptions = (uint64_t)json_integer_value(merge.preemptions);
    if (status == 0) {
        json_t *scenario;
        size_t i;
        json_array_foreach(merge.scenarios, i,
                           scenario) if (!json &&
                                         json_integer_value(json_object_get(
                                             scenario, "failed")))
            explore_tell(stdout, &wish, scenario);
        status = explore_report(&wish, json_incref(merge.scenarios));
    }
    json_decref(merge.scenarios);
    json_decref(merge.preemptions);
    json_decref(merge.from);
    return status;
}
