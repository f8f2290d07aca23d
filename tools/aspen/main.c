/* SPDX-License-Identifier: MIT */
/*
 * main.c - the `aspen` command: finds the subcommand and hands over.
 *
 * tests/tools/usage.sh breaks first.
 */
#define _GNU_SOURCE
#include "common/options.h"
#include "explore/command.h"
#include "fuzz/command.h"
#include "rehearse/command.h"
#include "shadow/command.h"
#include "snapshot/capture.h"

#include <aspen/version.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
    "usage: aspen COMMAND [options]\n"
    "\n"
    "  rehearse   take the address space of a real process, fork it in Aspen,\n"
    "             and let the fork fail at every step\n"
    "  capture    write a snapshot of a process's address space\n"
    "  shadow     run a program, make its memory calls in Aspen as well, and\n"
    "             compare\n"
    "  fuzz       make random memory calls on this kernel and in Aspen, and\n"
    "             compare\n"
    "  explore    run concurrent calls in every order that makes a difference\n"
    "  pressure   access more pages than there is memory for, and compare\n"
    "  bench      measure, beside the host's kernel\n"
    "\n"
    "  aspen help COMMAND tells more; aspen --version prints the version.\n"
    "\n"
    "Exit status: 0 all is well, 1 a promise was broken, 2 usage or the\n"
    "system refused.\n";

/*
 * Measuring takes the release build, rehearsing the test build: what measures
 * is a program of its own, aspen-COMMAND, beside this one where it was built,
 * or where `make install` puts it, seen from bin/.
 */
static int
run_beside(int argc, char **argv)
{
    static const char *const places[] = {"", "/../libexec/aspen"};
    const char *command = argv[0];
    char self[PATH_MAX];
    char program[PATH_MAX + 64];
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *slash = length > 0 ? memrchr(self, '/', (size_t)length) : NULL;

    (void)argc;
    if (slash == NULL)
        return tool_refuse(command, "cannot tell where this program is");
    *slash = '\0';
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        snprintf(program, sizeof(program), "%s%s/aspen-%s", self, places[i],
                 command);
        execv(program, argv);
        if (errno != ENOENT)
            return tool_refuse(command, "cannot run %s: %s", program,
                               strerror(errno));
    }
    return tool_refuse(command,
                       "aspen-%s is neither in %s nor in %s/../libexec/aspen; "
                       "build it with `make`",
                       command, self, self);
}

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"rehearse", rehearse_command}, {"capture", capture_command},
    {"shadow", shadow_command},     {"fuzz", fuzz_command},
    {"explore", explore_command},   {"pressure", run_beside},
    {"bench", run_beside},
};

static int
run_command(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        if (strcmp(argv[0], commands[i].name) == 0)
            return commands[i].run(argc, argv);
    return tool_refuse(NULL, "no command '%s'; see aspen --help", argv[0]);
}

static bool
is_one_of(const char *word, const char *one, const char *other)
{
    return strcmp(word, one) == 0 || strcmp(word, other) == 0;
}

/* `aspen help CMD` is `aspen CMD --help`; `aspen help help` is `aspen help`. */
static int
help_command(int argc, char **argv)
{
    char option[] = "--help";
    char *asked[] = {argc > 1 ? argv[1] : NULL, option, NULL};

    if (argc > 2)
        return tool_refuse(NULL, "help takes one command, not '%s'", argv[2]);
    if (argc > 1 && strcmp(argv[1], "help") != 0)
        return run_command(2, asked);
    fputs(help, stdout);
    return options_flush(NULL, EXIT_HELD);
}

int
main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : NULL;
    long page_bytes = sysconf(_SC_PAGESIZE);

    tool_keep_standard();
    if (page_bytes != 4096)
        return tool_refuse(NULL,
                           "this kernel has pages of %ld bytes, Aspen knows "
                           "4096 alone",
                           page_bytes);
    if (word == NULL) {
        fputs(help, stderr);
        return EXIT_REFUSED;
    }
    if (strcmp(word, "help") == 0)
        return help_command(argc - 1, argv + 1);
    if (is_one_of(word, "--help", "-h"))
        return help_command(1, argv + 1);
    if (!is_one_of(word, "--version", "-V"))
        return run_command(argc - 1, argv + 1);
    printf("aspen %s\n", aspen_version());
    return options_flush(NULL, EXIT_HELD);
}
