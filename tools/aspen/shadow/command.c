/* SPDX-License-Identifier: MIT */
/*
 * command.c - `aspen shadow`: options, and the machine that follows the guest.
 *
 * tests/tools/shadow.sh breaks first.
 */
#define _GNU_SOURCE
#include "shadow/command.h"
#include "host/host.h"
#include "common/options.h"
#include "shadow/record.h"
#include "shadow/session.h"

#include <aspen/error.h>
#include <aspen/machine.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>

#define COMMAND "shadow"
#define TICK_NS 50000000u
#define LOOK_NS 10000000u

static const char help[] =
    "usage: aspen shadow [options] -- CMD ARGS...\n"
    "       aspen shadow [options] --pid P\n"
    "\n"
    "Run a program, and make each memory call of it, its threads and its\n"
    "children in Aspen as well. Answers have to be the kernel's, and so have\n"
    "mappings: at each exec, each fork, before each exit, and every N calls.\n"
    "What was found is printed on stderr when the last process has ended.\n"
    "\n"
    "  --pid P              a process that runs already, from now on; it goes\n"
    "                       on as before after --seconds, --calls, or ^C\n"
    "  --seconds S          with --pid: for so long\n"
    "  --calls N            with --pid: until so many calls were made\n"
    "  --every N            compare mappings after N calls of a process\n"
    "                       (1000; 0: never)\n"
    "  --trace FILE         write down what it does to its memory, for\n"
    "                       aspen pressure trace\n"
    "  --look S             with --trace: see which pages it has accessed "
    "after\n"
    "                       S seconds, too, not at calls alone (0.01; 0: "
    "never)\n"
    "  --guest-output FILE  the program's standard output goes there; - is\n"
    "                       standard error\n"
    "  --html FILE          write a page as well: what was mapped when, and\n"
    "                       every difference\n"
    "  --json               print one JSON object on stdout; what the program\n"
    "                       prints goes to stderr unless --guest-output says\n"
    "                       otherwise\n"
    "  --help               print this\n"
    "\n"
    "Exit status: 0 Aspen decided as the kernel did, 1 it did not, 2 usage or\n"
    "the system refused. The program's own is told in the result.\n";

struct shadow_arguments {
    char **command;
    const char *guest_output; /* "-": stderr; NULL: where ours goes */
    uint64_t every;
    pid_t pid; /* 0: none */
    uint64_t calls;
    uint64_t seconds_ns;
    const char *trace; /* NULL: none */
    uint64_t look_ns;
    bool look_given;
    const char *html; /* NULL: no page */
    bool json;
};

#define AT(member)    OPTIONS_AT(struct shadow_arguments, member)
#define GIVEN(member) OPTIONS_GIVEN(struct shadow_arguments, member)

static const struct options_row rows[] = {
    {"pid", OPTIONS_PROCESS, AT(pid), .letter = 'p'},
    {"calls", OPTIONS_NUMBER, AT(calls), .least = 1, .most = INT64_MAX},
    {"seconds", OPTIONS_SECONDS, AT(seconds_ns), .least = 1},
    {"every", OPTIONS_NUMBER, AT(every), .most = INT64_MAX},
    {"trace", OPTIONS_FILE, AT(trace)},
    {"look", OPTIONS_SECONDS, AT(look_ns), GIVEN(look_given)},
    {"guest-output", OPTIONS_FILE, AT(guest_output)},
    {"html", OPTIONS_FILE, AT(html)},
    {"json", OPTIONS_FLAG, AT(json)},
    {.name = NULL},
};

static int
check_attaching(const struct shadow_arguments *arguments, bool command)
{
    if (command)
        return tool_refuse(COMMAND, "give one of -- CMD ARGS and --pid");
    if (arguments->guest_output)
        return tool_refuse(COMMAND, "--guest-output goes with -- CMD ARGS");
    return OPTIONS_GO_ON;
}

static const struct options_reader reader = {
    .command = COMMAND,
    .rows = rows,
    .help = {help},
};

/* OPTIONS_GO_ON, or the exit status. */
static int
take_arguments(struct shadow_arguments *arguments, int argc, char **argv)
{
    int status;

    arguments->every = 1000;
    arguments->look_ns = LOOK_NS;
    status = options_read(&reader, arguments, argc, argv);
    if (status != OPTIONS_GO_ON)
        return status;
    if (arguments->look_given && !arguments->trace)
        return tool_refuse(COMMAND, "--look goes with --trace");
    if (arguments->pid)
        return check_attaching(arguments, optind < argc);
    if (arguments->calls || arguments->seconds_ns)
        return tool_refuse(COMMAND, "--calls and --seconds go with --pid");
    if (optind >= argc)
        return tool_refuse(COMMAND, "give -- CMD ARGS, or --pid P; see aspen "
                                    "shadow --help");
    if (strcmp(argv[optind - 1], "--") != 0)
        return options_operand(COMMAND, argv[optind]);
    arguments->command = argv + optind;
    if (arguments->json && !arguments->guest_output)
        arguments->guest_output = "-";
    return OPTIONS_GO_ON;
}

static int
begin_machine(struct shadow_session *session)
{
    struct aspen_config config;
    int result;

    host_config(&config);
    config.flags |= ASPEN_CONFIG_CONTENTS_IGNORED;
    shadow_call_hooks(session, &config);
    result = host_direct_map(&config);
    if (result != 0)
        return tool_fail(session->error, "no addresses for the machine: %s",
                         strerror(-result));
    session->direct_map = config.direct_map;
    session->map_count_max = config.map_count_max;
    session->direct_map_bytes = (size_t)config.frames * 4096;
    result = aspen_create(&config, &session->aspen);
    if (result != 0)
        return tool_fail(session->error, "cannot make the machine: %s",
                         aspen_error_name(result));
    return shadow_files_begin(session);
}

static int
end_machine(struct shadow_session *session)
{
    int result;

    shadow_files_end(session);
    areas_files_free(&session->memories);
    guest_free(&session->guest);
    result = aspen_destroy(session->aspen);
    munmap(session->direct_map, session->direct_map_bytes);
    if (result != 0)
        return tool_refuse(COMMAND, "the machine cannot end: %s",
                           aspen_error_name(result));
    return 0;
}

static int
report(const struct shadow_arguments *arguments,
       const struct shadow_session *session)
{
    struct shadow_counts sum;
    struct tool_error error;

    if (arguments->html &&
        shadow_picture_write(session, arguments->html, &error) != 0)
        return tool_refuse(COMMAND, "%s", error.text);
    if (!arguments->json) {
        shadow_report_text(session, stderr);
        if (ferror(stderr))
            return EXIT_REFUSED; /* it cannot be said there, either */
    } else if (shadow_report_json(session) != 0)
        return tool_refuse(COMMAND, "no memory for the result");
    shadow_report_sum(session, &sum);
    return sum.answers_differ || sum.different ? EXIT_BROKEN : EXIT_HELD;
}

/* ---- Ticks -------------------------------------------------------------- */

static struct guest *interrupted;
static uint64_t deadline_ns; /* 0: none */

/* No signal can come between a look and the wait: there is a next one. */
static void
on_signal(int signal_number)
{
    if (signal_number != SIGALRM ||
        (deadline_ns && tool_now_ns() >= deadline_ns))
        interrupted->enough = true;
}

static void
tick_each(uint64_t nanoseconds)
{
    struct sigaction action = {.sa_handler = on_signal};
    struct timeval each = {.tv_sec = (time_t)(nanoseconds / 1000000000u),
                           .tv_usec =
                               (suseconds_t)(nanoseconds / 1000 % 1000000)};
    const struct itimerval tick = {each, each};

    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &tick, NULL);
}

/* Until it is enough. */
static int
attach(struct shadow_session *session, const struct shadow_arguments *arguments)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = on_signal};

    session->calls_wanted = arguments->calls;
    if (guest_attach(&session->guest, arguments->pid) != 0)
        return -1;
    if (arguments->seconds_ns)
        deadline_ns = tool_now_ns() + arguments->seconds_ns;
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        sigaction(signals[i], &action, NULL);
    return 0;
}

/* Who is followed goes on when we are interrupted. */
static int
start(struct shadow_session *session, const struct shadow_arguments *arguments)
{
    uint64_t tick_ns = arguments->pid ? TICK_NS : 0;
    int result = arguments->pid
                     ? attach(session, arguments)
                     : guest_start(&session->guest, arguments->command,
                                   arguments->guest_output);

    if (session->recorder && arguments->look_ns &&
        (!tick_ns || arguments->look_ns < tick_ns))
        tick_ns = arguments->look_ns;
    if (result == 0 && tick_ns)
        tick_each(tick_ns);
    return result;
}

/* ---- From begin to end -------------------------------------------------- */

static int
begin_trace(struct shadow_session *session,
            const struct shadow_arguments *arguments)
{
    if (!arguments->trace)
        return 0;
    session->recorder = recorder_begin(arguments->trace, session->error);
    return session->recorder ? 0 : -1;
}

static int
end_trace(struct shadow_session *session, int status)
{
    struct tool_error error;

    return recorder_end(session->recorder, &error) == 0
               ? status
               : tool_refuse(COMMAND, "%s", error.text);
}

int
shadow_command(int argc, char **argv)
{
    struct shadow_arguments arguments = {0};
    struct shadow_session session = {
        .guest = GUEST_INIT(&shadow_watcher),
        .memories.memory_only = true,
        .error = &session.guest.error,
    };
    int status = take_arguments(&arguments, argc, argv);

    if (status != OPTIONS_GO_ON)
        return status;
    if (arguments.html && tool_check_target(arguments.html, session.error) != 0)
        return tool_refuse(COMMAND, "%s", session.error->text);
    session.every = arguments.every;
    session.timelines.wanted = arguments.html != NULL;
    interrupted = &session.guest;
    session.kernel_known = host_say_release(COMMAND);
    if (begin_trace(&session, &arguments) != 0 || begin_machine(&session) != 0)
        return tool_refuse(COMMAND, "%s", session.error->text);
    if (start(&session, &arguments) != 0 || guest_follow(&session.guest) != 0)
        status = tool_refuse(COMMAND, "%s", session.error->text);
    else
        status = report(&arguments, &session);
    guest_end(&session.guest);
    timelines_free(&session.timelines);
    status = end_trace(&session, status);
    if (end_machine(&session) != 0)
        status = EXIT_REFUSED;
    return options_flush(COMMAND, status);
}
