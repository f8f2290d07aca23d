/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "serve.h"

#include "places.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SHRINKING 3000u /* runs */
#define DEPTH     3u    /* of random runs: two moments */
#define SHOWN     4000u /* steps; of more the last */
#define NAME      200u
#define DRAW_NS   200000000u

/* What somebody wants. */
static struct wish {
    bool list;            /* else run */
    uint64_t preemptions; /* ANY: no bound */
    uint64_t most;        /* runs of one scenario */
    uint64_t part;
    uint64_t parts;  /* 0: all */
    uint64_t random; /* so many random runs, instead of a search */
    uint64_t seed;
    uint64_t skip;  /* so many scenarios were run before */
    uint64_t older; /* loads of a run that may find older values */
    uint64_t at;    /* of each `every` scenarios that one; 0: all */
    uint64_t every;
    const char *only;
    const char *schedule;
} wish;

#define ANY UINT64_MAX

static FILE *answer;
static char current[NAME];
static struct sim_result result;
static unsigned race_count; /* of the scenario, so far as anybody looked */

/* ---- What is wanted --------------------------------------------------------
 */

static bool
take(const char *word, const char *key, uint64_t *value)
{
    size_t length = strlen(key);

    if (strncmp(word, key, length) != 0 || word[length] != '=')
        return false;
    *value = strtoull(word + length + 1, NULL, 10);
    return true;
}

static void
read_word(const char *word)
{
    if (strcmp(word, "list") == 0)
        wish.list = true;
    (void)(take(word, "preemptions", &wish.preemptions) ||
           take(word, "most", &wish.most) || take(word, "part", &wish.part) ||
           take(word, "parts", &wish.parts) ||
           take(word, "random", &wish.random) ||
           take(word, "seed", &wish.seed) || take(word, "skip", &wish.skip) ||
           take(word, "older", &wish.older) || take(word, "at", &wish.at) ||
           take(word, "every", &wish.every));
}

bool
serve_is_wanted(void)
{
    return getenv("ASPEN_EXPLORE") != NULL;
}

static bool
read_wish(void)
{
    const char *asked = getenv("ASPEN_EXPLORE");
    char words[400], *rest = words, *word;

    if (answer)
        return true;
    if (!asked)
        return false;
    wish = (struct wish){.preemptions = ANY,
                         .most = ANY,
                         .only = getenv("ASPEN_EXPLORE_ONLY"),
                         .schedule = getenv("ASPEN_EXPLORE_SCHEDULE")};
    snprintf(words, sizeof(words), "%s", asked);
    answer = fdopen(atoi(words), "w");
    if (!answer) {
        fprintf(stderr, "ASPEN_EXPLORE: %s\n", strerror(errno));
        exit(2);
    }
    while ((word = strsep(&rest, " ")))
        read_word(word);
    return true;
}

/* ---- Names -----------------------------------------------------------------
 */

static void
name_scenario(const char *title)
{
    const char *program = program_invocation_short_name;
    size_t used;

    if (strncmp(program, "test_", 5) == 0)
        program += 5;
    used = (size_t)snprintf(current, NAME / 2, "%s/", program);
    for (; *title && used + 1 < NAME; title++) {
        if (isalnum((unsigned char)*title) || *title == '+' || *title == '/')
            current[used++] = (char)tolower((unsigned char)*title);
        else if (*title != '\'' && current[used - 1] != '-' &&
                 current[used - 1] != '/')
            current[used++] = '-';
    }
    current[used] = '\0';
    if (current[used - 1] == '-')
        current[used - 1] = '\0';
}

/* ---- What is answered ------------------------------------------------------
 */

static void
say_string(const char *text)
{
    fputc('"', answer);
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            fprintf(answer, "\\%c", c);
        else if (c < ' ' || c > '~')
            fprintf(answer, "\\u%04x", c);
        else
            fputc(c, answer);
    }
    fputc('"', answer);
}

static void
say_text(const char *key, const char *text)
{
    fprintf(answer, "\"%s\":", key);
    say_string(text);
}

static void
say_end(void)
{
    fputs("}\n", answer);
    fflush(answer);
}

static uint64_t
now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void
say_progress(const struct sim_result *so_far)
{
    static uint64_t said_ns;
    uint64_t now = now_ns();

    if (now - said_ns < DRAW_NS)
        return;
    said_ns = now;
    fputc('{', answer);
    say_text("progress", current);
    fprintf(answer, ",\"schedules\":%" PRIu64, so_far->schedules);
    say_end();
}

/* ---- Steps that are shown --------------------------------------------------
 */

static struct shown {
    unsigned task;
    char what[32];
    const void *address;
    char name[48];
    void *callers[SIM_CALLERS + 1];
} shown[SHOWN];
static uint64_t shown_count;

static void
show(const struct sim_seen *step)
{
    struct shown *to = &shown[shown_count++ % SHOWN];

    to->task = step->task;
    snprintf(to->what, sizeof(to->what), "%s", step->what);
    to->address = step->address;
    memcpy(to->callers, step->callers, sizeof(step->callers));
    to->callers[step->depth] = NULL;
    sim_name_of(step->address, to->name, sizeof(to->name));
    if (!to->name[0])
        places_variable(step->address, to->name, sizeof(to->name));
}

/* Others touch it as well, and one of the two writes. */
static bool
is_shared(const struct shown *step, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (shown[i].address == step->address && shown[i].task != step->task &&
            (strcmp(shown[i].what, "load") || strcmp(step->what, "load")))
            return true;
    return false;
}

static void
say_step(const struct shown *step, const struct place *place, bool is_first,
         size_t count)
{
    fprintf(answer, "%s{\"task\":%u,", is_first ? "" : ",", step->task);
    say_text("where", place->where);
    fputc(',', answer);
    say_text("function", place->function);
    fputc(',', answer);
    say_text("what", step->what);
    fputc(',', answer);
    say_text("address", step->name);
    fprintf(answer, ",\"shared\":%s}",
            is_shared(step, count) ? "true" : "false");
}

static void
say_steps(void)
{
    static void *rows[SHOWN * (SIM_CALLERS + 1)];
    static struct place places[SHOWN];
    size_t count = shown_count < SHOWN ? shown_count : SHOWN;
    size_t used = 0;

    for (size_t i = 0; i < count; i++) {
        const struct shown *step = &shown[(shown_count - count + i) % SHOWN];
        for (size_t j = 0; step->callers[j]; j++)
            rows[used++] = step->callers[j];
        rows[used++] = NULL;
    }
    places_of(rows, places, count);
    fputs(",\"steps\":[", answer);
    for (size_t i = 0; i < count; i++)
        say_step(&shown[(shown_count - count + i) % SHOWN], &places[i], i == 0,
                 count);
    fputc(']', answer);
}

/* Who does not see plain memory says nothing of races. */
static void
say_races(void)
{
    if (!sim_sees_memory())
        return;
    fprintf(answer, ",\"races\":%u", race_count);
    for (unsigned i = 0; i < race_count; i++) {
        fputs(i ? "," : ",\"sites\":[", answer);
        say_string(sim_races(&(unsigned){0})[i].what);
    }
    if (race_count)
        fputc(']', answer);
}

static void
say_result(bool steps)
{
    fputc('{', answer);
    say_text("result", current);
    fprintf(answer, ",\"schedules\":%" PRIu64 ",\"complete\":%s,\"failed\":%d",
            result.schedules, result.complete ? "true" : "false",
            result.broken);
    say_races();
    if (result.broken) {
        fputc(',', answer);
        say_text("what", result.what);
        fputc(',', answer);
        say_text("schedule", result.schedule);
    }
    if (steps)
        say_steps();
    say_end();
}

/* ---- A crash ---------------------------------------------------------------
 */

/* The run has failed, and nothing can be said of what comes after it. */
static void
crash(int signal)
{
    if (!result.broken)
        sim_note_failure(strsignal(signal));
    (void)sim_races(&race_count);
    say_result(shown_count > 0);
    _exit(3);
}

static void
catch_crashes(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    static char stack[1 << 16];
    struct sigaction action = {.sa_handler = crash, .sa_flags = SA_ONSTACK};

    sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof(stack)}, NULL);
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        sigaction(signals[i], &action, NULL);
}

/* ---- A scenario ------------------------------------------------------------
 */

static void
search(const struct sim_program *program)
{
    struct sim_bounds bounds = {.preemptions = (unsigned)wish.preemptions,
                                .shard = (unsigned)wish.part,
                                .shards = (unsigned)wish.parts};

    if (wish.random)
        sim_random_priorities(program, wish.random, wish.seed, DEPTH, &result);
    else if (wish.preemptions == ANY)
        sim_explore(program, wish.most, &result);
    else
        sim_explore_bounded(program, &bounds, wish.most, &result);
}

/* Where nothing else went wrong the first race is what did: runs fail with it
 * from now on. */
static void
blame_races(void)
{
    const struct sim_race *races = sim_races(&race_count);

    if (result.broken || !race_count)
        return;
    result.broken = true;
    memcpy(result.what, races[0].what, sizeof(result.what));
    memcpy(result.schedule, races[0].schedule, sizeof(result.schedule));
    sim_count_races(false);
}

static void
explain(const struct sim_program *program)
{
    struct sim_result replayed;
    char schedule[sizeof(result.schedule)];

    sim_shrink(program, SHRINKING, &result);
    memcpy(schedule, result.schedule, sizeof(schedule));
    sim_replay_seen(program, schedule, show, &replayed);
}

/* To the end; or, if all that was wrong is a race, up to there. */
static void
replay(const struct sim_program *program)
{
    sim_replay_seen(program, wish.schedule, show, &result);
    blame_races();
    if (!race_count || strcmp(result.what, sim_races(&race_count)[0].what) != 0)
        return;
    shown_count = 0;
    sim_replay_seen(program, wish.schedule, show, &result);
}

static void
run(const struct sim_program *program)
{
    shown_count = race_count = 0;
    catch_crashes();
    sim_forget_races();
    sim_count_races(true);
    sim_relax((unsigned)wish.older);
    if (wish.schedule) {
        replay(program);
        say_result(true);
        return;
    }
    sim_watch(say_progress);
    search(program);
    sim_watch(NULL);
    blame_races();
    if (result.broken)
        explain(program);
    say_result(result.broken);
}

/* It has that name, or what is before a slash of it; and it is its turn. */
static bool
is_meant(void)
{
    static uint64_t met;
    size_t length = wish.only ? strlen(wish.only) : 0;

    if (wish.only && (strncmp(wish.only, current, length) != 0 ||
                      (current[length] && current[length] != '/')))
        return false;
    return !wish.every || met++ % wish.every == wish.at;
}

bool
serve_scenario(const char *title, const struct sim_program *program)
{
    if (!read_wish())
        return false;
    name_scenario(title);
    if (!is_meant())
        return true;
    if (wish.skip) {
        wish.skip--;
    } else if (wish.list) {
        fputc('{', answer);
        say_text("name", current);
        say_end();
    } else {
        run(program);
    }
    return true;
}
