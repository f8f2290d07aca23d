/* SPDX-License-Identifier: MIT */
/*
 * options.h - options that several subcommands take: where the snapshot comes
 * from and how it is taken; and what others take, numbers and seconds.
 */
#ifndef ASPEN_OPTIONS_H
#define ASPEN_OPTIONS_H

#include "snapshot/capture.h"

#include <getopt.h>

enum options_source_value {
    OPTION_PID = 256,
    OPTION_SNAPSHOT,
    OPTION_OUTPUT,
    OPTION_AFTER,
    OPTION_NO_STOP,
    OPTION_METHOD,
    OPTION_HELP,
    OPTION_JSON,
    OPTION_OWN /* the first number that a subcommand may use */
};

/** Those rows of a getopt_long() table that are the same everywhere. */
#define OPTIONS_SOURCE                                                         \
    {"pid", required_argument, NULL, OPTION_PID},                              \
        {"output", required_argument, NULL, OPTION_OUTPUT},                    \
        {"after", required_argument, NULL, OPTION_AFTER},                      \
        {"no-stop", no_argument, NULL, OPTION_NO_STOP},                        \
        {"method", required_argument, NULL, OPTION_METHOD},                    \
        {"help", no_argument, NULL, OPTION_HELP},                              \
    {                                                                          \
        "json", no_argument, NULL, OPTION_JSON                                 \
    }

/** Their lines of --help. */
extern const char options_source_help[];

void options_source_init(struct capture_source *source);

/**
 * Take one option, and optarg. 1: taken, 0: not one of these, -1: refused, and
 * said so.
 * (--help and --json are the caller's.)
 */
int options_source_take(struct capture_source *source, const char *command,
                        int option);

/**
 * What getopt_long() left in optarg for the option --`name`. 0, or
 * EXIT_REFUSED, and said so.
 */
int options_number(const char *command, const char *name, uint64_t least,
                   uint64_t most, uint64_t *number);
int options_seconds(const char *command, const char *name, uint64_t least_ns,
                    uint64_t *nanoseconds);
int options_process(const char *command, pid_t *process);

/** getopt_long() met something that is no option of ours: say so. */
int options_unknown(const char *command, char **argv);

/** After the last: take "-- CMD", check that there is one source. */
int options_source_finish(struct capture_source *source, const char *command,
                          int argc, char **argv, bool file_allowed);

/** What is printed goes out, or it is an error. */
int options_flush(const char *command, int status);

#endif
