/* SPDX-License-Identifier: MIT */
/*
 * main.c - the `aspen` command: finds the subcommand and hands over.
 *
 * tests/tools/usage.sh breaks first.
 */
#define _GNU_SOURCE
#include "snapshot/capture.h"
#include "fuzz/command.h"
#include "rehearse/command.h"
#include "shadow/command.h"

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
    "  bench      measure, beside the host's kernel\n"
    "\n"
    "  aspen COMMAND --help tells more; aspen --version prints the version.\n"
    "\n"
    "Exit status: 0 all is well, 1 a promise was broken, 2 usage or the\n"
    "system refused.\n";

/*
 * Measuring takes the release build, rehearsing the test build: the bench is
 * a program of its own, beside this one where it was built, or where `make
 * install` puts it, seen from bin/.
 */
static int
bench_command(char **argv)
{
    static const char *const places[] = {"", "/../libexec/aspen"};
    char self[PATH_MAX];
    char program[PATH_MAX + 32];
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *slash = length > 0 ? memrchr(self, '/', (size_t)length) : NULL;

    if (slash == NULL)
        return tool_refuse("bench", "cannot tell where this program is");
    *slash = '\0';
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        snprintf(program, sizeof(program), "%s%s/aspen-bench", self, places[i]);
        execv(program, argv);
        if (errno != ENOENT)
            return tool_refuse("bench", "cannot run %s: %s", program,
                               strerror(errno));
    }
    return tool_refuse("bench",
                       "aspen-bench is neither in %s nor in %s/../libexec/"
                       "aspen; build it with `make bench`",
                       self, self);
}

int
main(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : NULL;
    long page_bytes = sysconf(_SC_PAGESIZE);
    int status;

    if (page_bytes != 4096)
        return tool_refuse(NULL,
                           "this kernel has pages of %ld bytes, Aspen knows "
                           "4096 alone",
                           page_bytes);
    if (command == NULL) {
        fputs(help, stderr);
        return EXIT_REFUSED;
    }
    if (strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0 ||
        strcmp(command, "help") == 0) {
        fputs(help, stdout);
        status = EXIT_HELD;
    } else if (strcmp(command, "--version") == 0 ||
               strcmp(command, "-V") == 0) {
        printf("aspen %s\n", aspen_version());
        status = EXIT_HELD;
    } else if (strcmp(command, "capture") == 0)
        return capture_command(argc - 1, argv + 1);
    else if (strcmp(command, "rehearse") == 0)
        return rehearse_command(argc - 1, argv + 1);
    else if (strcmp(command, "shadow") == 0)
        return shadow_command(argc - 1, argv + 1);
    else if (strcmp(command, "fuzz") == 0)
        return fuzz_command(argc - 1, argv + 1);
    else if (strcmp(command, "bench") == 0)
        return bench_command(argv + 1);
    else
        return tool_refuse(NULL, "no command '%s'; see aspen --help", command);
    if (fflush(stdout) != 0)
        return tool_refuse(NULL, "cannot write: %s", strerror(errno));
    return status;
}
