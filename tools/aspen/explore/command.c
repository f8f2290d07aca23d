/* SPDX-License-Identifier: MIT */
/*
 * command.c - `aspen explore`: options, which scenarios, and what they answer.
 *
 * tests/tools/explore.sh breaks first.
 */
#define _GNU_SOURCE
#include "explore/command.h"
#include "common/options.h"
#include "explore/session.h"

#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
    "usage: aspen explore SCENARIO...|all [options]\n"
    "       aspen explore --list | --replay LINE | --merge FILE... | "
    "--conflicts\n"
    "\n"
    "Run concurrent calls in every order that can make a difference, of those "
    "with\n"
    "few preemptions, and print how one fails. SCENARIO is a name of --list, "
    "or "
    "what\n"
    "is before its slash: all of these.\n"
    "\n";

static const char help_options[] =
    "  --list           print the names of all scenarios\n"
    "  --preemptions K  how often a task that could go on has to wait for "
    "another\n"
    "                   in one run (1); or any: every order\n"
    "  --most N         runs of one scenario; then it is not complete\n"
    "  --memory M       sc: loads find what was stored last (the default); or\n"
    "                   relaxed: what C11 lets them find\n"
    "  --older N        with relaxed: loads of a run that find something "
    "older\n"
    "                   (1)\n"
    "  --no-races       do not look at plain memory, which takes a fifth of "
    "the\n"
    "                   time\n"
    "  --random N       N runs of each by random priorities instead\n"
    "  --seed S         of these (1)\n"
    "  --replay LINE    run one scenario in one order, and print it\n"
    "  --shard I/N      the I-th of N parts of each search, as a line of JSON\n"
    "  --every I/N      of each N scenarios of a program only the I-th\n"
    "  --merge          add up what all shards have printed, in these files\n"
    "  --conflicts      which cache lines two calls of two CPUs share, "
    "instead\n"
    "  --programs DIR   where the programs with the scenarios are\n"
    "  --html FILE      write a page as well: a table, and what failed as "
    "lanes\n"
    "  --json           print one JSON object on stdout\n"
    "  --help           print this\n"
    "\n"
    "Exit status: 0 every order held, 1 one did not, 2 usage or the system\n"
    "refused.\n";

struct arguments {
    bool list;
    bool merge;
    bool conflicts;
    bool random_given;
    bool seed_given;
    bool most_given;
    bool preemptions_given;
    bool memory_given;
    bool older_given;
    bool relaxed;
    const char *replay;
    const char *programs;
    struct explore_wish wish;
};

/* ---- Options ------------------------------------------------------------- */

static int
take_preemptions(void *value, const char *command)
{
    uint64_t *preemptions = value;

    *preemptions = EXPLORE_ANY;
    if (strcmp(optarg, "any") == 0 ||
        tool_parse_number(optarg, 1000, preemptions))
        return 0;
    return tool_refuse(command,
                       "--preemptions takes a number up to 1000, or any, not "
                       "'%s'",
                       optarg);
}

static int
take_memory(void *value, const char *command)
{
    bool *relaxed = value;

    *relaxed = strcmp(optarg, "relaxed") == 0;
    if (*relaxed || strcmp(optarg, "sc") == 0)
        return 0;
    return tool_refuse(command, "--memory takes sc or relaxed, not '%s'",
                       optarg);
}

static int
take_part(const char *name, uint64_t *part, uint64_t *parts,
          const char *command)
{
    const char *slash = strchr(optarg, '/');
    char number[24];

    if (slash) {
        snprintf(number, sizeof(number), "%.*s", (int)(slash - optarg), optarg);
        if (slash - optarg < (int)sizeof(number) &&
            tool_parse_number(number, UINT32_MAX, part) &&
            tool_parse_number(slash + 1, 100000, parts) && *part &&
            *part <= *parts)
            return 0;
    }
    return tool_refuse(
        command, "--%s takes I/N, from 1/N to N/N, N up to 100000, not '%s'",
        name, optarg);
}

static int
take_shard(void *value, const char *command)
{
    struct explore_wish *wish = value;

    return take_part("shard", &wish->part, &wish->parts, command);
}

static int
take_every(void *value, const char *command)
{
    struct explore_wish *wish = value;

    return take_part("every", &wish->at, &wish->every, command);
}

#define AT(member)    OPTIONS_AT(struct arguments, member)
#define GIVEN(member) OPTIONS_GIVEN(struct arguments, member)

static const struct options_row rows[] = {
    {"list", OPTIONS_FLAG, AT(list)},
    {"preemptions", OPTIONS_OTHER, AT(wish.preemptions),
     GIVEN(preemptions_given), .take = take_preemptions},
    {"most", OPTIONS_NUMBER, AT(wish.most), GIVEN(most_given), .least = 1,
     .most = UINT64_MAX},
    {"memory", OPTIONS_OTHER, AT(relaxed), GIVEN(memory_given),
     .take = take_memory},
    {"older", OPTIONS_NUMBER, AT(wish.older), GIVEN(older_given), .least = 1,
     .most = 1000},
    {"no-races", OPTIONS_FLAG, AT(wish.no_races)},
    {"random", OPTIONS_NUMBER, AT(wish.random), GIVEN(random_given), .least = 1,
     .most = UINT64_MAX},
    {"seed", OPTIONS_NUMBER, AT(wish.seed), GIVEN(seed_given),
     .most = UINT64_MAX},
    {"replay", OPTIONS_TEXT, AT(replay)},
    {"shard", OPTIONS_OTHER, AT(wish), .take = take_shard},
    {"every", OPTIONS_OTHER, AT(wish), .take = take_every},
    {"merge", OPTIONS_FLAG, AT(merge)},
    {"conflicts", OPTIONS_FLAG, AT(conflicts)},
    {"programs", OPTIONS_FILE, AT(programs)},
    {"html", OPTIONS_FILE, AT(wish.html)},
    {"json", OPTIONS_FLAG, AT(wish.json)},
    {.name = NULL},
};

static const struct options_reader reader = {
    .command = EXPLORE_COMMAND,
    .rows = rows,
    .has_operands = true,
    .help = {help, help_options},
};

/* What would have no effect is refused. */
static int
check_options(const struct arguments *arguments, int operands)
{
    const struct explore_wish *wish = &arguments->wish;
    bool chooses = arguments->preemptions_given || arguments->most_given ||
                   wish->random || wish->parts || arguments->memory_given ||
                   arguments->older_given || wish->no_races || wish->every;
    int modes = arguments->list + arguments->merge + arguments->conflicts +
                (arguments->replay != NULL);
    const char *why = NULL;

    if (modes > 1)
        why = "--list, --replay, --merge and --conflicts are not for each "
              "other";
    else if (modes && (chooses || arguments->seed_given))
        why = "--list, --replay, --merge and --conflicts take no orders";
    else if (arguments->conflicts && (operands || arguments->programs))
        why = "--conflicts takes no scenario";
    else if (arguments->list && (operands || wish->json || wish->html))
        why = "--list takes nothing else";
    else if (arguments->replay && operands)
        why = "--replay takes its scenario in the line";
    else if (arguments->merge && arguments->programs)
        why = "--merge runs no programs";
    else if (arguments->merge && !operands)
        why = "--merge takes files";
    else if (!modes && !operands)
        why = "give SCENARIO, or all; see aspen explore --list";
    else if (wish->random && (wish->parts || arguments->preemptions_given ||
                              arguments->most_given))
        why = "--random goes by no bound, --most or --shard";
    else if (arguments->seed_given && !wish->random)
        why = "--seed is of --random";
    else if (arguments->older_given && !arguments->relaxed)
        why = "--older is of --memory relaxed";
    else if (arguments->relaxed && wish->no_races)
        why = "--memory relaxed looks at plain memory, and so for races";
    else if (wish->parts && wish->preemptions == EXPLORE_ANY)
        why = "--shard needs a bound of --preemptions";
    return why ? tool_refuse(EXPLORE_COMMAND, "%s", why) : 0;
}

/* ---- A session ------------------------------------------------------------
 */

struct session {
    const struct explore_wish *wish;
    char folder[PATH_MAX];
    json_t *names;   /* of all that could be run */
    json_t *done;    /* what they came to */
    uint64_t wanted; /* scenarios */
    uint64_t runs;   /* of those that are done */
    uint64_t begun_ns;
    bool draws;
};

static void
draw(const struct session *session, const char *name, uint64_t runs)
{
    double seconds = (double)(tool_now_ns() - session->begun_ns) / 1e9;
    uint64_t all = session->runs + runs;

    if (session->draws)
        fprintf(stderr,
                "\r\033[K%zu of %" PRIu64 ", %" PRIu64
                " schedules, %.0f a second: %.40s",
                json_array_size(session->done), session->wanted, all,
                seconds > 0 ? (double)all / seconds : 0.0, name);
}

static void
wipe(const struct session *session)
{
    if (session->draws)
        fputs("\r\033[K", stderr);
}

static int
run_one(const struct session *session, const char *name, const char *words,
        const char *schedule, explore_hearer *hear, void *context)
{
    const struct explore_call call = {
        .folder = session->folder,
        .name = name,
        .words = words,
        .schedule = schedule,
        .sees = !session->wish->no_races && explore_sees(session->folder, name),
    };

    if (session->wish->older && !call.sees)
        return tool_refuse(EXPLORE_COMMAND,
                           "'%s' has no build that sees plain memory, which "
                           "--memory relaxed needs",
                           name);
    return explore_run(&call, hear, context);
}

static int
hear_steps(void *scenario, json_t *line)
{
    json_t *steps = json_object_get(line, "steps");

    if (steps)
        json_object_set(scenario, "steps", steps);
    return 0;
}

/* Who crashed has not said how: it does so when it crashes again. */
static int
ask_for_steps(const struct session *session, json_t *scenario)
{
    if (!json_object_get(scenario, "schedule") ||
        json_object_get(scenario, "steps"))
        return 0;
    return run_one(session,
                   json_string_value(json_object_get(scenario, "name")), "run",
                   json_string_value(json_object_get(scenario, "schedule")),
                   hear_steps, scenario);
}

static json_t *
scenario_of(const struct explore_wish *wish, json_t *line)
{
    static const char *const taken[] = {"schedules", "complete", "failed",
                                        "what",      "schedule", "steps",
                                        "sites"};
    json_t *races = json_object_get(line, "races");
    json_t *scenario = json_object();

    json_object_set(scenario, "name", json_object_get(line, "result"));
    json_object_set_new(scenario, "preemptions",
                        wish->random || wish->preemptions == EXPLORE_ANY
                            ? json_null()
                            : json_integer((json_int_t)wish->preemptions));
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
        if (json_object_get(line, taken[i]))
            json_object_set(scenario, taken[i],
                            json_object_get(line, taken[i]));
    json_object_set_new(scenario, "races",
                        races ? json_incref(races) : json_null());
    json_object_set_new(scenario, "memory",
                        json_string(wish->older ? "relaxed" : "sc"));
    return scenario;
}

static int
hear(void *context, json_t *line)
{
    struct session *session = context;
    uint64_t schedules =
        (uint64_t)json_integer_value(json_object_get(line, "schedules"));
    const char *runs = json_string_value(json_object_get(line, "progress"));

    if (runs)
        draw(session, runs, schedules);
    if (!json_is_string(json_object_get(line, "result")))
        return 0;
    json_t *scenario = scenario_of(session->wish, line);
    int status = ask_for_steps(session, scenario);
    wipe(session);
    if (!session->wish->json)
        explore_tell(stdout, session->wish, scenario);
    if (session->draws)
        fflush(stdout);
    session->runs += schedules;
    json_array_append_new(session->done, scenario);
    return status;
}

/* ---- Which scenarios ------------------------------------------------------
 */

/* It is the name, or before its slash. */
static bool
is_meant(const char *operand, const char *name)
{
    size_t length = strlen(operand);

    return strncmp(operand, name, length) == 0 &&
           (name[length] == '\0' || name[length] == '/');
}

static uint64_t
count_meant(const struct session *session, const char *operand)
{
    uint64_t count = 0;
    json_t *name;
    size_t i;

    json_array_foreach(session->names, i, name) count +=
        is_meant(operand, json_string_value(name));
    return count;
}

static int
check_operands(struct session *session, char **operands, int count)
{
    for (int i = 0; i < count; i++) {
        bool all = strcmp(operands[i], "all") == 0;
        uint64_t meant = all ? json_array_size(session->names)
                             : count_meant(session, operands[i]);
        if (all && count > 1)
            return tool_refuse(EXPLORE_COMMAND,
                               "all is every scenario: no other beside it");
        if (meant == 0)
            return tool_refuse(EXPLORE_COMMAND,
                               "no scenario '%s'; see aspen explore --list",
                               operands[i]);
        for (int j = 0; j < i; j++)
            if (is_meant(operands[j], operands[i]) ||
                is_meant(operands[i], operands[j]))
                return tool_refuse(EXPLORE_COMMAND, "'%s' is given twice",
                                   operands[i]);
        session->wanted +=
            session->wish->every ? meant / session->wish->every : meant;
    }
    return 0;
}

static void
write_words(const struct explore_wish *wish, char *words, size_t size)
{
    size_t used = (size_t)snprintf(words, size, "run");

    if (wish->random)
        used += (size_t)snprintf(words + used, size - used,
                                 " random=%" PRIu64 " seed=%" PRIu64,
                                 wish->random, wish->seed);
    if (wish->preemptions != EXPLORE_ANY)
        used += (size_t)snprintf(words + used, size - used,
                                 " preemptions=%" PRIu64, wish->preemptions);
    if (wish->older)
        used += (size_t)snprintf(words + used, size - used, " older=%" PRIu64,
                                 wish->older);
    if (wish->most)
        used += (size_t)snprintf(words + used, size - used, " most=%" PRIu64,
                                 wish->most);
    if (wish->every)
        used += (size_t)snprintf(words + used, size - used,
                                 " at=%" PRIu64 " every=%" PRIu64, wish->at - 1,
                                 wish->every);
    if (wish->parts)
        snprintf(words + used, size - used, " part=%" PRIu64 " parts=%" PRIu64,
                 wish->part - 1, wish->parts);
}

/* Every program, once. */
static int
run_all(struct session *session, const char *words)
{
    char before[NAME_MAX + 1] = "";
    json_t *name;
    size_t i;

    json_array_foreach(session->names, i, name)
    {
        char program[NAME_MAX + 1];
        const char *text = json_string_value(name);
        snprintf(program, sizeof(program), "%.*s",
                 (int)(strchrnul(text, '/') - text), text);
        if (strcmp(program, before) == 0)
            continue;
        strcpy(before, program);
        int status = run_one(session, program, words, NULL, hear, session);
        if (status)
            return status;
    }
    return 0;
}

static int
run_operands(struct session *session, char **operands, int count)
{
    char words[300];
    int status = 0;

    write_words(session->wish, words, sizeof(words));
    if (strcmp(operands[0], "all") == 0)
        return run_all(session, words);
    for (int i = 0; i < count && status == 0; i++)
        status = run_one(session, operands[i], words, NULL, hear, session);
    return status;
}

static int
explore(struct session *session, char **operands, int count)
{
    int status = check_operands(session, operands, count);

    session->begun_ns = tool_now_ns();
    if (status == 0)
        status = run_operands(session, operands, count);
    wipe(session);
    if (status)
        return status;
    return explore_report(session->wish, json_incref(session->done));
}

/* ---- Other things to do ---------------------------------------------------
 */

static int
print_names(const struct session *session)
{
    json_t *name;
    size_t i;

    json_array_foreach(session->names, i, name) puts(json_string_value(name));
    return options_flush(EXPLORE_COMMAND, EXIT_HELD);
}

/* "NAME 0*12 1*3", or "NAME relaxed 0*12~1": as a failure prints it. */
static int
replay(struct session *session, struct explore_wish *wish, const char *line)
{
    const char *schedule = strchrnul(line, ' ');
    char name[400];

    snprintf(name, sizeof(name), "%.*s", (int)(schedule - line), line);
    schedule += *schedule == ' ';
    if (strncmp(schedule, "relaxed ", 8) == 0) {
        wish->older = 1;
        schedule += 8;
    } else if (strncmp(schedule, "no-races ", 9) == 0) {
        wish->no_races = true;
        schedule += 9;
    }
    if (schedule[strspn(schedule, " *~0123456789")] || !strchr(schedule, '*'))
        return tool_refuse(EXPLORE_COMMAND,
                           "--replay takes a line as a failure prints it, "
                           "SCENARIO 0*12 1*3, not '%s'",
                           line);
    if (!strchr(name, '/') || count_meant(session, name) != 1)
        return tool_refuse(EXPLORE_COMMAND,
                           "no scenario '%s'; see aspen explore --list", name);
    int status = run_one(session, name, "run", schedule, hear, session);
    if (status)
        return status;
    return explore_report(session->wish, json_incref(session->done));
}

/* With names of all scenarios. */
static int
run_session(struct arguments *arguments, char **operands, int count)
{
    struct session session = {.wish = &arguments->wish,
                              .draws = isatty(STDERR_FILENO)};
    int status = explore_find_programs(arguments->programs, session.folder,
                                       sizeof(session.folder));

    session.done = json_array();
    if (status == 0)
        status = explore_list(session.folder, &session.names);
    if (status == 0)
        status = arguments->list ? print_names(&session)
                 : arguments->replay
                     ? replay(&session, &arguments->wish, arguments->replay)
                     : explore(&session, operands, count);
    json_decref(session.names);
    json_decref(session.done);
    return status;
}

int
explore_command(int argc, char **argv)
{
    struct arguments arguments = {.wish = {.preemptions = 1, .seed = 1}};
    int status = options_read(&reader, &arguments, argc, argv);

    if (status != OPTIONS_GO_ON)
        return status;
    status = check_options(&arguments, argc - optind);
    if (status)
        return status;
    struct tool_error error;
    if (arguments.wish.html && tool_check_target(arguments.wish.html, &error))
        return tool_refuse(EXPLORE_COMMAND, "%s", error.text);
    if (arguments.replay)
        arguments.wish.preemptions = EXPLORE_ANY;
    arguments.wish.json |= arguments.wish.parts > 0;
    if (arguments.relaxed && !arguments.older_given)
        arguments.wish.older = 1;
    if (arguments.conflicts)
        return explore_conflicts(&arguments.wish);
    if (arguments.merge)
        return explore_merge(argv + optind, argc - optind, &arguments.wish);
    return run_session(&arguments, argv + optind, argc - optind);
}
