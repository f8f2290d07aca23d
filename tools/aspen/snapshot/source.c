/* SPDX-License-Identifier: MIT */
/*
 * source.c - the options that say where a snapshot comes from.
 *
 * Called by capture and rehearse. tests/tools/usage.sh breaks first.
 */
#define _GNU_SOURCE
#include "snapshot/source.h"

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
options_source_method(void *value, const char *command)
{
    struct capture_source *source = value;

    if (strcmp(optarg, "best") == 0)
        source->options.method = PAGES_BEST;
    else if (strcmp(optarg, "scan") == 0)
        source->options.method = PAGES_SCAN;
    else if (strcmp(optarg, "pagemap") == 0)
        source->options.method = PAGES_PAGEMAP;
    else {
        return tool_refuse(
            command, "--method takes best, scan or pagemap, not '%s'", optarg);
    }
    return 0;
}

void
options_source_init(struct capture_source *source)
{
    memset(source, 0, sizeof(*source));
    source->after_ns = 1000000000u;
}

/* What would have no effect is a misunderstanding. */
static int
check_needed(const struct capture_source *source, const char *command)
{
    if (source->command == NULL && (source->after_given || source->output))
        return tool_refuse(command, "%s goes with -- CMD",
                           source->output ? "--output" : "--after");
    if (source->file != NULL &&
        (source->method_given || source->options.no_stop))
        return tool_refuse(command, "%s goes with a process, not a snapshot",
                           source->method_given ? "--method" : "--no-stop");
    return 0;
}

int
options_source_finish(struct capture_source *source, const char *command,
                      int argc, char **argv, bool file_allowed)
{
    int sources = (source->process != 0) + (source->file != NULL);

    if (optind < argc) {
        if (strcmp(argv[optind - 1], "--") != 0)
            return options_operand(command, argv[optind]);
        source->command = argv + optind;
        sources++;
    }
    if (sources != 1)
        return tool_refuse(command,
                           "give one of --pid P, -- CMD%s; see "
                           "aspen %s --help",
                           file_allowed ? ", --snapshot FILE" : "", command);
    return check_needed(source, command);
}
