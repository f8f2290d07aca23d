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
    return tool_refuse(command, "--%s takes seconds%s, up to %u, not '%s'",
                       name, least_ns ? ", more than 0" : "", TOOL_SECONDS_MAX,
                       optarg);
}

int
options_bytes(const char *command, const char *name, uint64_t least,
              uint64_t most, uint64_t *bytes)
{
    static const char units[] = "KMGT";
    size_t length = strlen(optarg);
    const char *unit = length ? strchr(units, optarg[length - 1]) : NULL;
    unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;
    char digits[24];

    snprintf(digits, sizeof(digits), "%.*s",
             (int)(length - (unit != NULL && *unit)), optarg);
    if (length < sizeof(digits) &&
        tool_parse_number(digits, most >> shift, bytes)) {
        *bytes <<= shift;
        if (*bytes >= least)
            return 0;
    }
    return tool_refuse(command,
                       "--%s takes bytes, as 64M, from %" PRIu64 "M to %" PRIu64
                       "M, not '%s'",
                       name, least >> 20, most >> 20, optarg);
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
options_file(const char *command, const char *name, const char **path)
{
    *path = optarg;
    return *optarg
               ? 0
               : tool_refuse(command, "--%s takes the name of a file", name);
}

int
options_operand(const char *command, const char *operand)
{
    return tool_refuse(command, "'%s' is no option; a command goes behind --",
                       operand);
}

int
options_flush(const char *command, int status)
{
    if (fflush(stdout) != 0 || ferror(stdout))
        return tool_refuse(command, "cannot write the result: %s",
                           strerror(errno));
    return status;
}

/* getopt_long() answered ':' or '?'. A letter among others of one word is not
 * told by where the word stands. */
static int
refuse_option(const char *command, int option, char **argv)
{
    char letter[3] = {'-', (char)optopt, '\0'};
    bool is_letter = optopt > 0 && optopt < OPTION_PID;
    const char *what = "is no option";

    if (option == ':') { /* then its word is the last one */
        what = "lacks its value";
        is_letter = strncmp(argv[optind - 1], "--", 2) != 0;
    } else if (optopt >= OPTION_PID)
        what = "takes no value";
    return tool_refuse(command, "'%s' %s; see aspen %s --help",
                       is_letter ? letter : argv[optind - 1], what, command);
}

/* 0, OPTIONS_GO_ON for --help, or EXIT_REFUSED. */
static int
take(const struct options_reader *reader, void *arguments, bool *json,
     int option, char **argv)
{
    int status;

    if (option == 'h' || option == OPTION_HELP)
        return OPTIONS_GO_ON;
    if (option == OPTION_JSON) {
        *json = true;
        return 0;
    }
    status = reader->take(arguments, option);
    return status == OPTIONS_GO_ON
               ? refuse_option(reader->command, option, argv)
               : status;
}

int
options_read(const struct options_reader *reader, void *arguments, bool *json,
             int argc, char **argv)
{
    int option;
    int status = 0;

    opterr = 0;
    while (status == 0 && (option = getopt_long(argc, argv, reader->letters,
                                                reader->table, NULL)) != -1)
        status = take(reader, arguments, json, option, argv);
    if (status == EXIT_REFUSED)
        return status;
    if (status == 0)
        return OPTIONS_GO_ON;
    for (size_t i = 0; reader->help[i]; i++)
        fputs(reader->help[i], stdout);
    return options_flush(reader->command, EXIT_HELD);
}
