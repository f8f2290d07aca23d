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
        {"method", required_argument, NULL, OPTION_METHOD}, OPTIONS_COMMON

/** Their lines of --help. */
extern const char options_source_help[];

void options_source_init(struct capture_source *source);

/**
 * Take one option, and optarg, as struct options_reader wants it.
 */
int options_source_take(struct capture_source *source, const char *command,
                        int option);

/** After the last: take "-- CMD", check that there is one source. */
int options_source_finish(struct capture_source *source, const char *command,
                          int argc, char **argv, bool file_allowed);

#endif
