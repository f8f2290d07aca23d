/* SPDX-License-Identifier: MIT */
/*
 * command.c - `aspen fuzz`: options, sequences by seed, the result.
 *
 * tests/tools/fuzz.sh breaks first.
 */
#define _GNU_SOURCE
#include "fuzz/command.h"
#include "fuzz/failing.h"
#include "fuzz/session.h"
#include "host/host.h"
#include "common/options.h"
#include "common/json.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#define COMMAND "fuzz"

/* More is no more of anything: the window is full of mappings long before. */
#define LENGTH_MAX 1000000u

#define TITLE_BYTES 4352u

static const char help[] =
    "usage: aspen fuzz [options]\n"
    "\n"
    "Make random memory calls in a scratch process of this kernel and in "
    "Aspen.\n"
    "After each, answers, mappings, residency and contents have to be the "
    "same.\n"
    "At the first difference without an explanation the sequence is shrunk "
    "and\n"
    "printed as a C program.\n"
    "\n"
    "  --calls N      stop after N operations: calls, accesses, forks, "
    "changes\n"
    "                 of files (100000, or with --seconds any number)\n"
    "  --seconds S    stop after S seconds\n"
    "  --seed N       of the first sequence (1); the next has N + 1\n"
    "  --length N     operations in a sequence (400)\n"
    "  --replay FILE  make the operations of such a C program instead\n"
    "  --failing FILE instead make each call fail at each of its steps, on "
    "the\n"
    "                 address space of a snapshot (aspen capture); no kernel\n"
    "                 beside it\n"
    "  --output FILE  write the C program there, not to stderr\n"
    "  --html FILE    write a page: the result; of a sequence that differs, "
    "and\n"
    "                 of --replay, what is mapped after each operation\n"
    "  --json         print one JSON object on stdout\n"
    "  --help         print this\n"
    "\n"
    "Exit status: 0 no unexplained difference, 1 there is one, 2 usage or the\n"
    "system refused.\n";

struct fuzz_arguments {
    uint64_t calls;      /* 0: not given */
    uint64_t seconds_ns; /* 0: no end */
    uint64_t seed;
    uint64_t length; /* 0: not given */
    bool seed_given;
    const char *replay;
    const char *failing;
    const char *output;
    const char *html;
    bool json;
};

#define AT(member)    OPTIONS_AT(struct fuzz_arguments, member)
#define GIVEN(member) OPTIONS_GIVEN(struct fuzz_arguments, member)

static const struct options_row rows[] = {
    {"calls", OPTIONS_NUMBER, AT(calls), .least = 1, .most = INT64_MAX},
    {"seconds", OPTIONS_SECONDS, AT(seconds_ns), .least = 1},
    {"seed", OPTIONS_NUMBER, AT(seed), GIVEN(seed_given), .most = INT64_MAX},
    {"length", OPTIONS_NUMBER, AT(length), .least = 1, .most = LENGTH_MAX},
    {"replay", OPTIONS_FILE, AT(replay)},
    {"failing", OPTIONS_FILE, AT(failing)},
    {"output", OPTIONS_FILE, AT(output)},
    {"html", OPTIONS_FILE, AT(html)},
    {"json", OPTIONS_FLAG, AT(json)},
    {.name = NULL},
};

struct fuzz {
    struct fuzz_pair pair;
    struct fuzz_mix mix;
    struct fuzz_sequence sequence;
    uint64_t seed; /* of the sequence */
    uint64_t unexplained;
    size_t differs_after; /* operations, before shrinking */
};

/* ---- Options ------------------------------------------------------------ */

/* What would have no effect is a misunderstanding. */
static int
check_arguments(struct fuzz_arguments *arguments)
{
    struct tool_error error;

    if (arguments->replay && arguments->failing)
        return tool_refuse(COMMAND, "--replay and --failing exclude each "
                                    "other");
    if (arguments->replay && (arguments->calls || arguments->seconds_ns ||
                              arguments->seed_given || arguments->length))
        return tool_refuse(COMMAND, "--replay makes what the file says: no "
                                    "--calls, --seconds, --seed, --length");
    if (arguments->failing && (arguments->seconds_ns || arguments->length ||
                               arguments->output || arguments->html))
        return tool_refuse(COMMAND, "--failing has no kernel beside it: no "
                                    "--seconds, --length, --output, --html");
    if ((arguments->output &&
         tool_check_target(arguments->output, &error) != 0) ||
        (arguments->html && tool_check_target(arguments->html, &error) != 0))
        return tool_refuse(COMMAND, "%s", error.text);
    if (arguments->calls == 0)
        arguments->calls = arguments->seconds_ns ? UINT64_MAX : 100000;
    if (arguments->length == 0)
        arguments->length = 400;
    return OPTIONS_GO_ON;
}

static const struct options_reader reader = {
    .command = COMMAND,
    .rows = rows,
    .has_operands = true,
    .help = {help},
};

/* OPTIONS_GO_ON, or the exit status. */
static int
take_arguments(struct fuzz_arguments *arguments, int argc, char **argv)
{
    int status;

    *arguments = (struct fuzz_arguments){.seed = 1};
    status = options_read(&reader, arguments, argc, argv);
    if (status != OPTIONS_GO_ON)
        return status;
    if (optind < argc)
        return tool_refuse(COMMAND, "takes no argument '%s'", argv[optind]);
    return check_arguments(arguments);
}

/* ---- Sequences ---------------------------------------------------------- */

/* Neighbouring seeds must not begin alike. */
static uint64_t
scatter(uint64_t seed)
{
    seed = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15);
    seed ^= seed >> 32;
    return seed | 1;
}

static enum fuzz_step
run_sequence(struct fuzz *fuzz, uint64_t length)
{
    enum fuzz_step step = FUZZ_GO_ON;
    struct fuzz_op op;
    int64_t answer;

    fuzz->sequence.count = 0;
    fuzz->mix.choices = (struct fuzz_choices){.random = scatter(fuzz->seed)};
    fuzz_mix_begin(&fuzz->mix, &fuzz->pair.abilities,
                   &fuzz->pair.compare.theirs);
    if (fuzz_pair_fresh(&fuzz->pair) != 0)
        return FUZZ_FAILED;
    for (uint64_t i = 0; i < length && step == FUZZ_GO_ON; i++) {
        fuzz_mix_next(&fuzz->mix, &op);
        if (!fuzz_sequence_add(&fuzz->sequence, &op))
            return FUZZ_FAILED;
        step = fuzz_pair_step(&fuzz->pair, &op, &answer);
        fuzz_mix_answered(&fuzz->mix, &op, answer);
    }
    return fuzz_pair_finish(&fuzz->pair, step);
}

static int
run_sequences(struct fuzz *fuzz, const struct fuzz_arguments *arguments)
{
    struct tool_progress progress;
    uint64_t end = tool_now_ns() + arguments->seconds_ns;
    enum fuzz_step step = FUZZ_GO_ON;

    fuzz->seed = arguments->seed;
    tool_progress_begin(&progress, "calls", arguments->calls);
    while (fuzz->pair.calls < arguments->calls &&
           (arguments->seconds_ns == 0 || tool_now_ns() < end)) {
        uint64_t left = arguments->calls - fuzz->pair.calls;

        step = run_sequence(fuzz, arguments->length < left ? arguments->length
                                                           : left);
        tool_progress_set(&progress, fuzz->pair.calls);
        if (step == FUZZ_FAILED || step == FUZZ_UNEXPLAINED)
            break;
        fuzz->seed++;
    }
    tool_progress_end(&progress);
    fuzz->unexplained += step == FUZZ_UNEXPLAINED;
    return step == FUZZ_FAILED ? -1 : 0;
}

static int
read_program(struct fuzz *fuzz, const char *path, struct tool_error *error)
{
    FILE *file = fopen(path, "re");
    int result;

    if (!file)
        return tool_fail(error, "cannot read %s: %s", path, strerror(errno));
    result = fuzz_text_read(file, path, &fuzz->sequence, error);
    fclose(file);
    return result;
}

static int
replay(struct fuzz *fuzz)
{
    size_t made;

    switch (fuzz_pair_replay(&fuzz->pair, &fuzz->sequence, &made)) {
    case FUZZ_FAILED:
        return -1;
    case FUZZ_UNEXPLAINED:
        fuzz->unexplained++;
        break;
    case FUZZ_GO_ON:
    case FUZZ_STOP:
        break;
    }
    return 0;
}

/* ---- The result --------------------------------------------------------- */

static void
name_sequence(const struct fuzz *fuzz, const struct fuzz_arguments *arguments,
              char *title, size_t size)
{
    struct utsname name;

    uname(&name);
    if (arguments->replay)
        snprintf(title, size, "aspen fuzz --replay %s, Linux %s",
                 arguments->replay, name.release);
    else
        snprintf(title, size, "aspen fuzz --seed %" PRIu64 ", Linux %s",
                 fuzz->seed, name.release);
}

static int
write_program(const struct fuzz *fuzz, const struct fuzz_arguments *arguments)
{
    FILE *to = arguments->output ? fopen(arguments->output, "we") : stderr;
    char title[TITLE_BYTES];

    if (!to)
        return tool_refuse(COMMAND, "cannot write %s: %s", arguments->output,
                           strerror(errno));
    name_sequence(fuzz, arguments, title, sizeof(title));
    fuzz_text_write(to, &fuzz->sequence, title, fuzz->pair.compare.what);
    if (to != stderr && fclose(to) != 0)
        return tool_refuse(COMMAND, "cannot write %s: %s", arguments->output,
                           strerror(errno));
    return 0;
}

static int
tell_difference(struct fuzz *fuzz, const struct fuzz_arguments *arguments)
{
    char what[sizeof(fuzz->pair.compare.what)];
    size_t count = fuzz->sequence.count;
    int differs;

    memcpy(what, fuzz->pair.compare.what, sizeof(what));
    fprintf(stderr, "aspen fuzz: DIFFERENT after %zu operations: %s\n", count,
            what);
    fuzz->pair.counts = false;
    differs = fuzz_shrink(&fuzz->pair, &fuzz->sequence);
    if (differs < 0)
        return tool_refuse(COMMAND, "%s", fuzz->pair.error.text);
    if (differs == 0) {
        memcpy(fuzz->pair.compare.what, what, sizeof(what));
        fprintf(stderr, "aspen fuzz: not the same when done again\n");
    } else
        fprintf(stderr, "aspen fuzz: %zu of them are enough: %s\n",
                fuzz->sequence.count, fuzz->pair.compare.what);
    return write_program(fuzz, arguments);
}

static int
write_picture(struct fuzz *fuzz, const struct fuzz_arguments *arguments)
{
    bool shows = fuzz->unexplained || arguments->replay;
    char title[TITLE_BYTES];

    if (!arguments->html)
        return 0;
    if (!fuzz->unexplained)
        fuzz->pair.compare.what[0] = '\0';
    fuzz->pair.counts = false;
    name_sequence(fuzz, arguments, title, sizeof(title));
    if (fuzz_picture_write(arguments->html, &fuzz->pair,
                           shows ? &fuzz->sequence : NULL, title) == 0)
        return 0;
    return tool_refuse(COMMAND, "%s", fuzz->pair.error.text);
}

static int
print_json(const struct fuzz *fuzz, const struct fuzz_arguments *arguments)
{
    const struct fuzz_pair *pair = &fuzz->pair;
    json_t *object = json_object();
    struct utsname name;

    uname(&name);
    json_object_set_new(object, "schema", json_string("aspen.fuzz/1"));
    tool_json_count(object, "calls", pair->calls);
    tool_json_count(object, "seed", arguments->seed);
    tool_json_count(object, "sequences", pair->sequences);
    tool_json_count(object, "refused", pair->refused);
    tool_json_count(object, "unexplained", fuzz->unexplained);
    json_object_set_new(object, "deviations", tally_json(&pair->deviations));
    json_object_set_new(object, "skipped", tally_json(&pair->skipped));
    json_object_set_new(object, "by_call", tally_json(&pair->by_call));
    json_object_set_new(object, "kernel", json_string(name.release));
    json_object_set_new(object, "kernel_known",
                        json_boolean(!host_release_compare(name.release)));
    if (fuzz->unexplained) {
        tool_json_count(object, "failing_seed", fuzz->seed);
        json_object_set_new(object, "difference",
                            json_string(pair->compare.what));
    }
    return tool_json_print(object, 0);
}

static void
print_text(const struct fuzz *fuzz)
{
    const struct fuzz_pair *pair = &fuzz->pair;

    printf("%" PRIu64 " calls in %" PRIu64 " sequences, %" PRIu64
           " refused: %" PRIu64 " unexplained\n",
           pair->calls, pair->sequences, pair->refused, fuzz->unexplained);
    tally_print(stdout, "calls", &pair->by_call);
    tally_print(stdout, "deviations", &pair->deviations);
    tally_print(stdout, "skipped, the host lacks them", &pair->skipped);
}

static int
report(struct fuzz *fuzz, const struct fuzz_arguments *arguments)
{
    int status = fuzz->unexplained ? tell_difference(fuzz, arguments) : 0;

    if (status == 0)
        status = write_picture(fuzz, arguments);
    if (status != 0)
        return status;
    if (!arguments->json)
        print_text(fuzz);
    else if (print_json(fuzz, arguments) != 0)
        return tool_refuse(COMMAND, "no memory for the result");
    return options_flush(COMMAND, fuzz->unexplained ? EXIT_BROKEN : EXIT_HELD);
}

/* ---- Failing steps ------------------------------------------------------ */

static int
print_failing_json(const struct fuzz_failing *failing)
{
    json_t *object = json_object();

    json_object_set_new(object, "schema", json_string("aspen.fuzz-failing/1"));
    tool_json_count(object, "calls", failing->made);
    tool_json_count(object, "seed", failing->seed);
    tool_json_count(object, "failures", failing->failures);
    tool_json_count(object, "tolerated", failing->tolerated);
    tool_json_count(object, "broken", failing->broken);
    json_object_set_new(object, "by_call", tally_json(&failing->by_call));
    return tool_json_print(object, 0);
}

static void
print_failing_text(const struct fuzz_failing *failing)
{
    printf("%" PRIu64 " calls, %" PRIu64 " failing steps (%" PRIu64
           " of which did not matter): %" PRIu64 " broken\n",
           failing->made, failing->failures, failing->tolerated,
           failing->broken);
    tally_print(stdout, "failing steps", &failing->by_call);
}

static int
run_failing(const struct fuzz_arguments *arguments)
{
    struct fuzz_failing failing = {
        .snapshot = arguments->failing,
        .seed = arguments->seed,
        .calls = arguments->calls,
    };
    struct tool_error error;

    if (fuzz_failing_run(&failing, &error) != 0)
        return tool_refuse(COMMAND, "%s", error.text);
    if (failing.broken)
        fprintf(stderr, "aspen fuzz: BROKEN %s\n", failing.what);
    if (!arguments->json)
        print_failing_text(&failing);
    else if (print_failing_json(&failing) != 0)
        return tool_refuse(COMMAND, "no memory for the result");
    return options_flush(COMMAND, failing.broken ? EXIT_BROKEN : EXIT_HELD);
}

/* Both sides on one processor: they never run at the same time, and waking
 * each other is cheaper there. */
static void
stay_here(void)
{
    cpu_set_t here;
    int cpu = sched_getcpu();

    if (cpu < 0)
        return;
    CPU_ZERO(&here);
    CPU_SET((size_t)cpu, &here);
    (void)sched_setaffinity(0, sizeof(here), &here);
}

static int
run(struct fuzz *fuzz, const struct fuzz_arguments *arguments)
{
    int result = 0;

    if (arguments->replay)
        result = read_program(fuzz, arguments->replay, &fuzz->pair.error);
    if (result == 0)
        result = fuzz_pair_begin(&fuzz->pair);
    if (result == 0)
        result =
            arguments->replay ? replay(fuzz) : run_sequences(fuzz, arguments);
    return result == 0 ? report(fuzz, arguments)
                       : tool_refuse(COMMAND, "%s", fuzz->pair.error.text);
}

int
fuzz_command(int argc, char **argv)
{
    struct fuzz_arguments arguments;
    struct fuzz *fuzz;
    int status = take_arguments(&arguments, argc, argv);

    if (status != OPTIONS_GO_ON)
        return status;
    if (arguments.failing)
        return run_failing(&arguments);
    fuzz = calloc(1, sizeof(*fuzz));
    if (!fuzz)
        return tool_refuse(COMMAND, "no memory");
    stay_here();
    host_say_release(COMMAND);
    status = run(fuzz, &arguments);
    fuzz_pair_end(&fuzz->pair);
    fuzz_sequence_free(&fuzz->sequence);
    free(fuzz);
    return status;
}
