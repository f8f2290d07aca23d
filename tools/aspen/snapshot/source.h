/* SPDX-License-Identifier: MIT */
/*
 * source.h - the options that say where a snapshot comes from, and how it is
 * taken.
 */
#ifndef ASPEN_SOURCE_H
#define ASPEN_SOURCE_H

#include "common/options.h"
#include "snapshot/capture.h"

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

/** After the last: take "-- CMD", check that there is one source. */
int options_source_finish(struct capture_source *source, const char *command,
                          int argc, char **argv, bool file_allowed);

#endif
