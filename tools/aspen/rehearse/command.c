/* SPDX-License-Identifier: MIT */
/*
 * command.c - `aspen rehearse`: fork a captured address space, and let the
 * fork fail at every step.
 *
 * capture.c gets the snapshot, workers.c do the work, report.c tells. This
 * file has the options, and the decision how much is rehearsed.
 *
 * tests/tools/rehearse.sh breaks first.
 */
#define _GNU_SOURCE
#include "rehearse/command.h"
#include "snapshot/source.h"
#include "rehearse/report.h"

#include <aspen/failpoint.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COMMAND "rehearse"

/* All steps are rehearsed while that takes about so long. */
#define ABOUT_SECONDS 60u

static const char help[] =
    "usage: aspen rehearse --pid P [options]\n"
    "       aspen rehearse [options] -- CMD ARGS...\n"
    "       aspen rehearse --snapshot FILE [options]\n"
    "\n"
    "Take the address space of a process, build it in Aspen, and fork it once\n"
    "for each step of the fork and each kind of failure: `once` (this step\n"
    "fails), `onward` (it and all later ones fail), `interrupt` (a fatal "
    "signal\n"
    "at a poll). After each the child has to be empty, the parent unchanged,\n"
    "nothing left, and the next fork has to succeed.\n"
    "\n"
    "  --snapshot FILE    take what aspen capture wrote\n"
    "  --all              rehearse every step, however long it takes "
    "(default:\n"
    "                     all of them while that takes about a minute, else a\n"
    "                     sample spread over all kinds)\n"
    "  --sample N         rehearse N of them\n"
    "  --seed S           where the sample begins (1)\n"
    "  --jobs N           that many processes, each with its own machine\n"
    "                     (default: one for each CPU, four at most)\n"
    "  --step N           only step N (to replay a failure)\n"
    "  --kind K           once, onward or interrupt, for --step\n"
    "  --html FILE        write a page as well: the address space, and every "
    "step\n";

static const char help_status[] =
    "\n"
    "Exit status: 0 every promise held, 1 one was broken, 2 usage or the\n"
    "system refused.\n";

struct rehearse_arguments {
    struct capture_source source;
    uint64_t sample; /* 0: as many as there are */
    uint64_t seed;
    uint64_t jobs;
    uint64_t step;
    enum rehearsal_mode mode;
    const char *html; /* or NULL */
    bool mode_given;
    bool all;
    bool json;
};

static int
take_kind(void *value, const char *command)
{
    enum rehearsal_mode *mode = value;

    *mode = rehearsal_mode_of(optarg);
    if (*mode != REHEARSAL_MODES)
        return 0;
    return tool_refuse(
        command, "--kind takes once, onward or interrupt, not '%s'", optarg);
}

#define AT(member)    OPTIONS_AT(struct rehearse_arguments, member)
#define GIVEN(member) OPTIONS_GIVEN(struct rehearse_arguments, member)

static const struct options_row rows[] = {
    OPTIONS_SOURCE(struct rehearse_arguments),
    {"snapshot", OPTIONS_FILE, AT(source.file)},
    {"all", OPTIONS_FLAG, AT(all)},
    {"sample", OPTIONS_NUMBER, AT(sample), .least = 1, .most = UINT64_MAX},
    {"seed", OPTIONS_NUMBER, AT(seed), .most = INT64_MAX},
    {"jobs", OPTIONS_NUMBER, AT(jobs), .least = 1, .most = WORKERS_MAX},
    {"step", OPTIONS_NUMBER, AT(step), .least = 1, .most = UINT64_MAX >> 2},
    {"html", OPTIONS_FILE, AT(html)},
    {"kind", OPTIONS_OTHER, AT(mode), GIVEN(mode_given), .take = take_kind},
    {.name = NULL},
};

static int
check_arguments(const struct rehearse_arguments *arguments)
{
    if (arguments->all && arguments->sample != 0)
        return tool_refuse(COMMAND, "--all and --sample exclude each other");
    if (arguments->step == 0 && arguments->mode_given)
        return tool_refuse(COMMAND, "--kind goes with --step");
    if (arguments->step != 0 && (arguments->all || arguments->sample != 0))
        return tool_refuse(COMMAND,
                           "--step is one rehearsal: no --all, no --sample");
    if (!aspen_failpoints_available())
        return tool_refuse(COMMAND, "this aspen was built without failpoints");
    return OPTIONS_GO_ON;
}

static const struct options_reader reader = {
    .command = COMMAND,
    .rows = rows,
    .help = {help, options_source_help, help_status},
};

/* OPTIONS_GO_ON, or the exit status. */
static int
take_arguments(struct rehearse_arguments *arguments, int argc, char **argv)
{
    int status;

    options_source_init(&arguments->source);
    arguments->seed = 1;
    status = options_read(&reader, arguments, argc, argv);
    if (status != OPTIONS_GO_ON)
        return status;
    status =
        options_source_finish(&arguments->source, COMMAND, argc, argv, true);
    return status != 0 ? status : check_arguments(arguments);
}

static unsigned
default_jobs(void)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);

    return cpus < 1 ? 1 : cpus > 4 ? 4 : (unsigned)cpus;
}

/* --step and --kind against the fork that there is. 0: not asked for. */
static int
find_single(const struct rehearse_arguments *arguments,
            const struct workers *workers, plan_item *single)
{
    enum rehearsal_mode mode = arguments->mode;
    bool poll;

    *single = 0;
    if (arguments->step == 0)
        return 0;
    if (arguments->step > workers->facts.steps)
        return tool_refuse(COMMAND, "the fork has %" PRIu64 " steps only",
                           workers->facts.steps);
    poll = workers->kinds[arguments->step - 1] == ASPEN_STEP_INTERRUPT;
    if (!arguments->mode_given)
        mode = poll ? REHEARSE_INTERRUPT : REHEARSE_ONCE;
    if (poll != (mode == REHEARSE_INTERRUPT))
        return tool_refuse(COMMAND, "step %" PRIu64 " is %s, so --kind %s",
                           arguments->step,
                           poll ? "a poll for a fatal signal" : "no poll",
                           poll ? "interrupt" : "once or onward");
    *single = plan_item_of(arguments->step, mode);
    return 0;
}

static void
name_source(const struct capture_source *source, char *name, size_t size)
{
    if (source->file != NULL)
        snprintf(name, size, "%s", source->file);
    else if (source->command != NULL)
        snprintf(name, size, "command %s", source->command[0]);
    else
        snprintf(name, size, "pid %d", (int)source->process);
}

/* A failure on a live process has to be kept to be replayed. */
static void
keep_snapshot(const struct snapshot *snapshot, char *name, size_t size)
{
    struct tool_error error;

    snprintf(name, size, "aspen-broken-%d.snap", (int)getpid());
    if (snapshot_save(snapshot, name, &error) == 0)
        return;
    snprintf(name, size, "/tmp/aspen-broken-%d.snap", (int)getpid());
    if (snapshot_save(snapshot, name, &error) != 0) {
        tool_refuse(COMMAND, "%s", error.text);
        snprintf(name, size, "FILE");
    }
}

static int
report_all(const struct rehearse_arguments *arguments,
           const struct snapshot *snapshot, const struct workers *workers,
           uint64_t passed_ns)
{
    const struct workers_break *breaks;
    char source[4200];
    char replay[4200];
    struct report report = {
        .snapshot = snapshot,
        .workers = workers,
        .source = source,
        .replay = replay,
        .seed = arguments->seed,
        .passed_ns = passed_ns,
    };
    bool broken = workers_breaks(workers, &breaks) > 0;
    struct tool_error error;

    name_source(&arguments->source, source, sizeof(source));
    snprintf(replay, sizeof(replay), "%s", source);
    report.kept = broken || arguments->source.file != NULL;
    if (broken && arguments->source.file == NULL)
        keep_snapshot(snapshot, replay, sizeof(replay));
    if (arguments->html != NULL &&
        report_page(&report, arguments->html, &error) != 0)
        return tool_refuse(COMMAND, "%s", error.text);
    if ((arguments->json ? report_json(&report) : report_text(&report)) != 0)
        return tool_refuse(COMMAND, "no memory for the result");
    return broken ? EXIT_BROKEN : EXIT_HELD;
}

/* What broke before or beside any rehearsal has no replay line. */
static int
refuse(int result, const struct tool_error *error)
{
    int status =
        tool_refuse(COMMAND, "%s%s", result > 0 ? "a promise is broken: " : "",
                    error->text);

    return result > 0 ? EXIT_BROKEN : status;
}

static int
run(const struct rehearse_arguments *arguments, const struct snapshot *snapshot,
    struct workers *workers)
{
    uint64_t seconds =
        arguments->all || arguments->sample != 0 ? 0 : ABOUT_SECONDS;
    uint64_t limit = arguments->sample != 0 ? arguments->sample : UINT64_MAX;
    unsigned jobs =
        arguments->jobs != 0 ? (unsigned)arguments->jobs : default_jobs();
    uint64_t begun_ns = tool_now_ns();
    struct tool_error error;
    plan_item single;
    int result;

    if (arguments->step != 0)
        jobs = 1;
    result = workers_begin(workers, snapshot, jobs, &error);
    if (result != 0)
        return refuse(result, &error);
    result = find_single(arguments, workers, &single);
    if (result != 0)
        return result;
    if (workers_plan(workers, arguments->seed, single, limit, &error) != 0)
        return refuse(-1, &error);
    result = workers_run(workers, seconds, &error);
    if (result != 0)
        return refuse(result, &error);
    return report_all(arguments, snapshot, workers, tool_now_ns() - begun_ns);
}

int
rehearse_command(int argc, char **argv)
{
    struct rehearse_arguments arguments = {0};
    struct workers workers = {.shared_fd = -1};
    struct snapshot snapshot;
    struct tool_error error;
    int status = take_arguments(&arguments, argc, argv);

    if (status != OPTIONS_GO_ON)
        return status;
    if (arguments.html != NULL &&
        tool_check_target(arguments.html, &error) != 0)
        return tool_refuse(COMMAND, "%s", error.text);
    if (capture_from(&snapshot, &arguments.source, &error) != 0)
        return tool_refuse(COMMAND, "%s", error.text);
    status = run(&arguments, &snapshot, &workers);
    workers_end(&workers);
    snapshot_free(&snapshot);
    return options_flush(COMMAND, status);
}
