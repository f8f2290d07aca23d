/* SPDX-License-Identifier: MIT */
/*
 * options.c - see options.h.
 *
 * Called by all subcommands. tests/tools/usage.sh breaks first.
 */
#define _GNU_SOURCE
#include "common/options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- Values ------------------------------------------------------------- */

static int
take_number(const struct options_row *row, const char *command,
            uint64_t *number)
{
    char end[40] = "";

    if (tool_parse_number(optarg, row->most, number) && *number >= row->least)
        return 0;
    if (row->most < UINT32_MAX)
        snprintf(end, sizeof(end), ", up to %" PRIu64, row->most);
    return tool_refuse(command,
                       "--%s takes a number from %" PRIu64 " on%s, not '%s'",
                       row->name, row->least, end, optarg);
}

static int
take_seconds(const struct options_row *row, const char *command,
             uint64_t *nanoseconds)
{
    if (tool_parse_seconds(optarg, nanoseconds) && *nanoseconds >= row->least)
        return 0;
    return tool_refuse(command, "--%s takes seconds%s, up to %u, not '%s'",
                       row->name, row->least ? ", more than 0" : "",
                       TOOL_SECONDS_MAX, optarg);
}

static int
take_bytes(const struct options_row *row, const char *command, uint64_t *bytes)
{
    static const char units[] = "KMGT";
    size_t length = strlen(optarg);
    const char *unit = length ? strchr(units, optarg[length - 1]) : NULL;
    unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;
    char digits[24];

    snprintf(digits, sizeof(digits), "%.*s",
             (int)(length - (unit != NULL && *unit)), optarg);
    if (length < sizeof(digits) &&
        tool_parse_number(digits, row->most >> shift, bytes)) {
        *bytes <<= shift;
        if (*bytes >= row->least)
            return 0;
    }
    return tool_refuse(command,
                       "--%s takes bytes, as 64M, from %" PRIu64 "M to %" PRIu64
                       "M, not '%s'",
                       row->name, row->least >> 20, row->most >> 20, optarg);
}

static int
take_process(const struct options_row *row, const char *command, pid_t *process)
{
    uint64_t number;

    if (!tool_parse_number(optarg, INT32_MAX, &number) || number == 0)
        return tool_refuse(command, "--%s takes a process number, not '%s'",
                           row->name, optarg);
    *process = (pid_t)number;
    return 0;
}

static int
take_file(const struct options_row *row, const char *command, const char **path)
{
    *path = optarg;
    return *optarg ? 0
                   : tool_refuse(command, "--%s takes the name of a file",
                                 row->name);
}

static int
take_value(const struct options_row *row, const char *command, void *arguments)
{
    void *at = (char *)arguments + row->at;

    if (row->given)
        *(bool *)((char *)arguments + row->given - 1) = true;
    switch (row->kind) {
    case OPTIONS_FLAG:
        *(bool *)at = true;
        return 0;
    case OPTIONS_NUMBER:
        return take_number(row, command, at);
    case OPTIONS_SECONDS:
        return take_seconds(row, command, at);
    case OPTIONS_BYTES:
        return take_bytes(row, command, at);
    case OPTIONS_PROCESS:
        return take_process(row, command, at);
    case OPTIONS_FILE:
        return take_file(row, command, at);
    case OPTIONS_TEXT:
        *(const char **)at = optarg;
        return 0;
    default:
        return row->take(at, command);
    }
}

/* ---- Commands ----------------------------------------------------------- */

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

/* As getopt_long() wants them: the number of a row, from here on. */
#define FIRST_VALUE 256
#define HELP        'h'

struct table {
    struct option options[OPTIONS_MAX + 2];
    char letters[2 * OPTIONS_MAX + 4];
    int rows;
};

static void
add_letter(struct table *table, const struct options_row *row)
{
    size_t length = strlen(table->letters);

    if (row->letter)
        snprintf(table->letters + length, sizeof(table->letters) - length,
                 "%c%s", row->letter, row->kind == OPTIONS_FLAG ? "" : ":");
}

static void
make_table(const struct options_reader *reader, struct table *table)
{
    const struct options_row *row = reader->rows;

    *table = (struct table){.rows = 0};
    snprintf(table->letters, sizeof(table->letters), "%s:h",
             reader->has_operands ? "" : "+");
    for (; row->name && table->rows < (int)OPTIONS_MAX; row++) {
        table->options[table->rows] = (struct option){
            .name = row->name,
            .has_arg =
                row->kind == OPTIONS_FLAG ? no_argument : required_argument,
            .val = FIRST_VALUE + table->rows,
        };
        add_letter(table, row);
        table->rows++;
    }
    table->options[table->rows] =
        (struct option){"help", no_argument, NULL, HELP};
}

/* NULL: it is none. */
static const struct options_row *
row_of(const struct options_reader *reader, const struct table *table,
       int option)
{
    if (option >= FIRST_VALUE && option < FIRST_VALUE + table->rows)
        return &reader->rows[option - FIRST_VALUE];
    for (int i = 0; i < table->rows; i++)
        if (reader->rows[i].letter && reader->rows[i].letter == option)
            return &reader->rows[i];
    return NULL;
}

/* getopt_long() answered ':' or '?'. A letter among others of one word is not
 * told by where the word stands. */
static int
refuse_option(const char *command, int option, char **argv)
{
    char letter[3] = {'-', (char)optopt, '\0'};
    bool is_letter = optopt > 0 && optopt < FIRST_VALUE;
    const char *what = "is no option";

    if (option == ':') { /* then its word is the last one */
        what = "lacks its value";
        is_letter = strncmp(argv[optind - 1], "--", 2) != 0;
    } else if (optopt >= FIRST_VALUE)
        what = "takes no value";
    return tool_refuse(command, "'%s' %s; see aspen %s --help",
                       is_letter ? letter : argv[optind - 1], what, command);
}

int
options_read(const struct options_reader *reader, void *arguments, int argc,
             char **argv)
{
    struct table table;
    int option;

    make_table(reader, &table);
    opterr = 0;
    while ((option = getopt_long(argc, argv, table.letters, table.options,
                                 NULL)) != -1) {
        const struct options_row *row = row_of(reader, &table, option);
        if (option == HELP) {
            for (size_t i = 0; reader->help[i]; i++)
                fputs(reader->help[i], stdout);
            return options_flush(reader->command, EXIT_HELD);
        }
        int status = row ? take_value(row, reader->command, arguments)
                         : refuse_option(reader->command, option, argv);
        if (status != 0)
            return status;
    }
    return OPTIONS_GO_ON;
}
