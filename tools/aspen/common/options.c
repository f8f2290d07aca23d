/* SPDX-License-Identifier: MIT */
/*
 * options.c - what options take: numbers, seconds, processes.
 *
 * Called by all subcommands. tests/tools/usage.sh breaks first.
 */
#define _GNU_SOURCE
#include "common/options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

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

int
options_unknown(const char *command, char **argv)
{
    return tool_refuse(command,
                       "'%s' is no option, or its value is missing; see "
                       "aspen %s --help",
                       argv[optind - 1], command);
}

int
options_flush(const char *command, int status)
{
    if (fflush(stdout) != 0 || ferror(stdout))
        return tool_refuse(command, "cannot write the result: %s",
                           strerror(errno));
    return status;
}
