/* SPDX-License-Identifier: MIT */
/*
 * command.c - `aspen capture`: take a snapshot of a process, write it
 * to a file, say what is in it.
 *
 * tests/tools/capture.sh breaks first.
 */
#define _GNU_SOURCE
#include "snapshot/source.h"
#include "common/json.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define COMMAND "capture"

static const char help[] =
    "usage: aspen capture --pid P -o FILE [options]\n"
    "       aspen capture -o FILE [options] -- CMD ARGS...\n"
    "\n"
    "Write a snapshot of a process's address space: its mappings and what "
    "each\n"
    "page-table entry holds, without any contents. The process stands still\n"
    "while it is read and goes on afterwards.\n"
    "\n"
    "  -o, --file FILE    the snapshot; it appears whole or not at all; - is\n"
    "                     standard output\n"
    "  --redact           leave out paths, names, devices and inodes\n";

static const char help_status[] =
    "\n"
    "Exit status: 0 written, 2 usage or the system refused.\n";

struct capture_arguments {
    struct capture_source source;
    const char *file;
    bool redact;
    bool json;
};

/* Before the process is stopped or the command run, and not after it. As
 * take_arguments() answers. */
static int
check_target(const char *file)
{
    struct tool_error error;

    if (strcmp(file, "-") == 0)
        return isatty(STDOUT_FILENO) == 1
                   ? tool_refuse(COMMAND, "a snapshot is no text: not "
                                          "written to a terminal")
                   : OPTIONS_GO_ON;
    return tool_check_target(file, &error) == 0
               ? OPTIONS_GO_ON
               : tool_refuse(COMMAND, "%s", error.text);
}

#define AT(member) OPTIONS_AT(struct capture_arguments, member)

static const struct options_row rows[] = {
    OPTIONS_SOURCE(struct capture_arguments),
    {"file", OPTIONS_FILE, AT(file), .letter = 'o'},
    {"redact", OPTIONS_FLAG, AT(redact)},
    {.name = NULL},
};

static const struct options_reader reader = {
    .command = COMMAND,
    .rows = rows,
    .help = {help, options_source_help, help_status},
};

/* OPTIONS_GO_ON, or the exit status. */
static int
take_arguments(struct capture_arguments *arguments, int argc, char **argv)
{
    int status;

    options_source_init(&arguments->source);
    status = options_read(&reader, arguments, argc, argv);
    if (status != OPTIONS_GO_ON)
        return status;
    if (arguments->file == NULL)
        return tool_refuse(COMMAND, "give -o FILE; see aspen capture --help");
    if (strcmp(arguments->file, "-") == 0 && arguments->json)
        return tool_refuse(COMMAND, "-o - and --json both print");
    status =
        options_source_finish(&arguments->source, COMMAND, argc, argv, false);
    return status != 0 ? status : check_target(arguments->file);
}

static int
print_json(const struct snapshot *snapshot,
           const struct snapshot_totals *totals, const char *file)
{
    json_t *pages = json_object();
    json_t *root;

    for (unsigned i = 0; i < SNAPSHOT_KINDS; i++)
        tool_json_count(pages, snapshot_kind_name(i), totals->pages[i]);
    root = json_pack(
        "{s:s, s:o, s:o, s:s, s:s, s:b, s:b, s:I, s:I, s:I, s:o, s:I, s:I, "
        "s:I, s:I, s:I}",
        "schema", "aspen.capture/1", "file", tool_json_words(file), "process",
        tool_json_words(snapshot_text(snapshot, snapshot->name)), "kernel",
        snapshot_text(snapshot, snapshot->release), "method",
        snapshot_method_name(snapshot->method), "torn", snapshot->torn,
        "redacted", snapshot->redacted, "vmas", (json_int_t)snapshot->vma_count,
        "pages_resident", (json_int_t)totals->resident_pages, "pages_swapped",
        (json_int_t)totals->pages[SNAPSHOT_SWAP], "pages", pages,
        "pages_hugetlb", (json_int_t)totals->hugetlb_pages, "ambiguous",
        (json_int_t)snapshot->ambiguous, "assumed",
        (json_int_t)snapshot->assumed, "pages_not_looked_at",
        (json_int_t)snapshot->unread, "pages_missing",
        (json_int_t)totals->missing_pages);
    if (tool_json_print(root, JSON_ENSURE_ASCII) != 0)
        return tool_refuse(COMMAND, "no memory");
    return EXIT_HELD;
}

static void
print_text(const struct snapshot *snapshot,
           const struct snapshot_totals *totals, const char *file, FILE *to)
{
    fprintf(to,
            "%s: %s%s%" PRIu64 " mappings, %" PRIu64 " pages resident, %" PRIu64
            " swapped (%s)\n",
            file, snapshot_text(snapshot, snapshot->name),
            snapshot->redacted ? "" : ", ", snapshot->vma_count,
            totals->resident_pages, totals->pages[SNAPSHOT_SWAP],
            snapshot_method_name(snapshot->method));
    if (snapshot->ambiguous > 0)
        fprintf(to, "  the kernel did not tell the kind of %" PRIu64 " pages\n",
                snapshot->ambiguous);
    if (totals->missing_pages > 0)
        fprintf(to,
                "  %" PRIu64 " resident pages of large mappings were not "
                "found (--method pagemap looks everywhere)\n",
                totals->missing_pages);
    if (snapshot->torn)
        fprintf(to, "  taken while it ran: may not fit together\n");
}

static int
report(const struct capture_arguments *arguments, struct snapshot *snapshot)
{
    struct snapshot_totals totals;
    struct tool_error error;

    if (arguments->redact)
        snapshot_redact(snapshot);
    if (snapshot_save(snapshot, arguments->file, &error) != 0)
        return tool_refuse(COMMAND, "%s", error.text);
    snapshot_sum(snapshot, &totals);
    if (arguments->json)
        return print_json(snapshot, &totals, arguments->file);
    print_text(snapshot, &totals, arguments->file,
               strcmp(arguments->file, "-") == 0 ? stderr : stdout);
    return EXIT_HELD;
}

int
capture_command(int argc, char **argv)
{
    struct capture_arguments arguments = {0};
    struct snapshot snapshot;
    struct tool_error error;
    int status = take_arguments(&arguments, argc, argv);

    if (status != OPTIONS_GO_ON)
        return status;
    if (capture_from(&snapshot, &arguments.source, &error) != 0)
        return tool_refuse(COMMAND, "%s", error.text);
    status = report(&arguments, &snapshot);
    snapshot_free(&snapshot);
    return options_flush(COMMAND, status);
}
