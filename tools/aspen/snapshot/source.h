/* SPDX-License-Identifier: MIT */
/*
 * source.h - the options that say where a snapshot comes from, and how it is
 * taken.
 */
#ifndef ASPEN_SOURCE_H
#define ASPEN_SOURCE_H

#include "common/options.h"
#include "snapshot/capture.h"

/** The rows of a table whose structure has a `source`, and `json`. */
#define OPTIONS_SOURCE(type)                                                   \
    {"pid", OPTIONS_PROCESS, OPTIONS_AT(type, source.process)},                \
        {"output", OPTIONS_FILE, OPTIONS_AT(type, source.output)},             \
        {"after", OPTIONS_SECONDS, OPTIONS_AT(type, source.after_ns),          \
         OPTIONS_GIVEN(type, source.after_given)},                             \
        {"no-stop", OPTIONS_FLAG, OPTIONS_AT(type, source.options.no_stop)},   \
        {"method", OPTIONS_OTHER, OPTIONS_AT(type, source),                    \
         OPTIONS_GIVEN(type, source.method_given),                             \
         .take = options_source_method},                                       \
    {                                                                          \
        "json", OPTIONS_FLAG, OPTIONS_AT(type, json)                           \
    }

/** Their lines of --help. */
extern const char options_source_help[];

void options_source_init(struct capture_source *source);

/** Takes --method. */
int options_source_method(void *source, const char *command);

/** After the last: take "-- CMD", check that there is one source. */
int options_source_finish(struct capture_source *source, const char *command,
                          int argc, char **argv, bool file_allowed);

#endif
