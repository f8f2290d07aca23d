/* SPDX-License-Identifier: MIT */
/*
 * options.c - options that several subcommands take.
 *
 * Called by all subcommands. tests/tools/usage.sh breaks
 * first.
 */
#define _GNU_SOURCE
#include "common/options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char options_source_help[] =
    "  --pid P            take the running process P\n"
    "  -- CMD ARGS...     run CMD, take it, kill it; CMD gets no input and a\n"
    "                     session of its own\n"
    "  --after SECONDS    let CMD run that long first (1; fractions are fine)\n"
    "  --output FILE      what CMD prints goes there (default: thrown away)\n"
    "  --no-stop          do not stop the process while it is read: what is\n"
    "                     read may not fit together, and the result says so\n"
    "  --method M         how pages are read: scan (the PAGEMAP_SCAN ioctl,\n"
    "                     Linux 6.7 on), pagemap, or best (default)\n"
    "  --json             print one JSON object\n"
    "  --help             print this\n";

int
options_number(const char *command, const char *name, uint64_t least,
               uint64_t most, uint64_t *number)
{
    char end[40] = "";

    if (tool_parse_number(optarg, most, number) && *number >= least)
        return 0;
    if (most < UINT32_MAX)
        snprintf(end, sizeof(end), ", up to %" PRIu64, most);
    return tool_refuse(command,
                       "--%s takes a number from %" PRIu64 " on%s, not '%s'",
                       name, least, end, optarg);
}

int
options_seconds(const char *command, const char *name, uint64_t least_ns,
                uint64_t *nanoseconds)
{
    if (tool_parse_seconds(optarg, nanoseconds) && *nanoseconds >= least_ns)
        return 0;
    return tool_refuse(command, "--%s takes seconds, not '%s'", name, optarg);
}

int
options_process(const char *command, pid_t *process)
{
    uint64_t number;

    if (!tool_parse_number(optarg, INT32_MAX, &number) || number == 0)
        return tool_refuse(command, "--pid takes a process number, not '%s'",
                           optarg);
    *process = (pid_t)number;
    return 0;
}

static int
take_method(struct capture_source *source, const char *command)
{
    if (strcmp(optarg, "best") == 0)
        source->options.method = PAGES_BEST;
    else if (strcmp(optarg, "scan") == 0)
        source->options.method = PAGES_SCAN;
    else if (strcmp(optarg, "pagemap") == 0)
        source->options.method = PAGES_PAGEMAP;
    else {
        tool_refuse(command, "--method takes best, scan or pagemap");
        return -1;
    }
    return 1;
}

void
options_source_init(struct capture_source *source)
{
    memset(source, 0, sizeof(*source));
    source->after_ns = 1000000000u;
}

int
options_source_take(struct capture_source *source, const char *command,
                    int option)
{
    switch (option) {
    case OPTION_PID:
        return options_process(command, &source->process) == 0 ? 1 : -1;
    case OPTION_SNAPSHOT:
        source->file = optarg;
        return 1;
    case OPTION_OUTPUT:
        source->output = optarg;
        return 1;
    case OPTION_AFTER:
        return options_seconds(command, "after", 0, &source->after_ns) == 0
                   ? 1
                   : -1;
    case OPTION_NO_STOP:
        source->options.no_stop = true;
        return 1;
    case OPTION_METHOD:
        return take_method(source, command);
    default:
        return 0;
    }
}

int
options_unknown(const char *command, char **argv)
{
    return tool_refuse(command,
                       "'%s' is no option, or its value is missing; see "
                       "aspen %s --help",
                       argv[optind - 1], command);
}

int
options_source_finish(struct capture_source *source, const char *command,
                      int argc, char **argv, bool file_allowed)
{
    int sources = (source->process != 0) + (source->file != NULL);

    if (optind < argc) {
        if (strcmp(argv[optind - 1], "--") != 0)
            return tool_refuse(command,
                               "'%s' is no option; a command goes behind --",
                               argv[optind]);
        source->command = argv + optind;
        sources++;
    }
    if (sources != 1)
        return tool_refuse(command,
                           "give one of --pid P, -- CMD%s; see "
                           "aspen %s --help",
                           file_allowed ? ", --snapshot FILE" : "", command);
    return 0;
}

int
options_flush(const char *command, int status)
{
    if (fflush(stdout) != 0 || ferror(stdout))
        return tool_refuse(command, "cannot write the result: %s",
                           strerror(errno));
    return status;
}
