/* SPDX-License-Identifier: MIT */
/*
 * options.h - what options take, numbers, seconds, processes; and the values of
 * those that several subcommands have.
 */
#ifndef ASPEN_OPTIONS_H
#define ASPEN_OPTIONS_H

#include "common/tool.h"

#include <getopt.h>
#include <sys/types.h>

enum options_value {
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

/**
 * What getopt_long() left in optarg for the option --`name`. 0, or
 * EXIT_REFUSED, and said so.
 */
int options_number(const char *command, const char *name, uint64_t least,
                   uint64_t most, uint64_t *number);
int options_seconds(const char *command, const char *name, uint64_t least_ns,
                    uint64_t *nanoseconds);
int options_process(const char *command, pid_t *process);
int options_file(const char *command, const char *name, const char **path);

/**
 * getopt_long(), whose options begin with ':', answered ':' or '?': say what is
 * wrong. Returns EXIT_REFUSED.
 */
int options_unknown(const char *command, int option, char **argv);

/** So did somebody who wrote a command without "--". */
int options_operand(const char *command, const char *operand);

/** What is printed goes out, or it is an error. */
int options_flush(const char *command, int status);

#endif
