/* SPDX-License-Identifier: MIT */
/*
 * aspen-bench - what `aspen bench` runs: measures the release build beside its
 * peers. A program of its own, because the command itself is linked with the
 * test build.
 */
#define _GNU_SOURCE
#include "calls_rows.h"
#include "fork/fork_rows.h"
#include "pressure/pressure_rows.h"
#include "threads/threads_rows.h"
#include "tree_rows.h"
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* As many rows as any subject has. */
#define ROWS_MAX                                                               \
    (CALLS_ROWS_MAX + FORK_ROWS_MAX + PRESSURE_ROWS_MAX + THREADS_ROWS_MAX +   \
     TREE_ROWS_MAX)

static const char usage[] =
    "usage: aspen bench tree|fork|calls|threads|pressure [--json] [--runs N]\n"
    "\n"
    "Measure Aspen's release build beside its peer, in turns, in one run.\n"
    "\n"
    "  tree       the range tree beside Linux's maple tree (in user space)\n"
    "  fork       fork, failing fork and exit beside the host kernel\n"
    "  calls      memory calls and page faults beside the host kernel\n"
    "  threads    two threads of one space beside two that share nothing\n"
    "  pressure   pages that leave memory and come back, beside what bounds "
    "it\n"
    "  --json     {\"schema\":\"aspen.bench/1\",\"rows\":[...]}\n"
    "  --runs N   samples of each side, 1 to 15 (default 7)\n"
    "  --help     print this\n"
    "\n"
    "A ratio below 1 does not say that Aspen is faster than Linux: each table\n"
    "ends with what the peer does besides.\n"
    "\n"
    "Exit status: 0 measured, 2 usage or the system refused.\n";

struct options {
    const char *subject;
    bool json;
    unsigned runs;
};

static _Noreturn void
refuse(const char *what, const char *argument)
{
    fprintf(stderr, "aspen bench: %s%s%s%s; see aspen bench --help\n", what,
            argument ? ", not '" : "", argument ? argument : "",
            argument ? "'" : "");
    exit(2);
}

static unsigned
parse_runs(const char *text)
{
    char *end;
    unsigned long runs = text ? strtoul(text, &end, 10) : 0;
    if (!text || *text < '0' || *text > '9' || *end || runs < 1 ||
        runs > REPORT_SAMPLES)
        refuse("--runs takes 1 to 15", text ? text : "");
    return (unsigned)runs;
}

static struct options
parse(char **arguments)
{
    struct options options = {NULL, false, 7};

    for (; *arguments; arguments++) {
        if (!strcmp(*arguments, "--help") || !strcmp(*arguments, "-h")) {
            fputs(usage, stdout);
            exit(0);
        }
        if (!strcmp(*arguments, "--json")) {
            options.json = true;
        } else if (!strcmp(*arguments, "--runs")) {
            options.runs = parse_runs(arguments[1]);
            arguments++;
        } else if (**arguments == '-' || options.subject) {
            refuse(
                "takes --json, --runs N and one of tree, fork, calls, threads, "
                "pressure",
                *arguments);
        } else {
            options.subject = *arguments;
        }
    }
    if (!options.subject)
        refuse("give one of tree, fork, calls, threads, pressure", NULL);
    return options;
}

static void
pin_to_one_cpu(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(0, &set);
    sched_setaffinity(0, sizeof(set), &set);
}

/* Where this program is; the programs it runs are beside it. */
static const char *
own_folder(void)
{
    static char path[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
    char *slash = length > 0 ? memrchr(path, '/', (size_t)length) : NULL;
    if (!slash)
        refuse("cannot tell where this program is", NULL);
    *slash = '\0';
    return path;
}

int
main(int argc, char **argv)
{
    static struct report_row rows[ROWS_MAX];
    struct options options = parse(argv + (argc > 0));
    FILE *progress = isatty(2) ? stderr : NULL;
    const char *title = "fork, beside the host kernel";
    size_t count;

    pin_to_one_cpu();
    if (!strcmp(options.subject, "fork")) {
        count = fork_rows(rows, options.runs, progress);
    } else if (!strcmp(options.subject, "calls")) {
        title = "memory calls and page faults, beside the host kernel";
        count = calls_rows(rows, own_folder(), options.runs, progress);
    } else if (!strcmp(options.subject, "threads")) {
        title = "two threads of one space, beside two that share nothing";
        count = threads_rows(rows, options.runs, progress);
    } else if (!strcmp(options.subject, "pressure")) {
        title = "memory that is short, beside what bounds it";
        count = pressure_rows(rows, options.runs, progress);
    } else if (!strcmp(options.subject, "tree")) {
        title = "the range tree, beside Linux's maple tree";
        count = tree_rows(rows, own_folder(), options.runs, progress);
    } else {
        refuse("measures tree, fork, calls, threads or pressure",
               options.subject);
    }
    if (!count)
        return 2;
    if (!options.json)
        report_table(stdout, title, rows, count);
    else if (!report_json(stdout, rows, count))
        refuse("cannot write the result", NULL);
    if (fflush(stdout) != 0 || ferror(stdout))
        refuse("cannot write the result", NULL);
    return 0;
}
