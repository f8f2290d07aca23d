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

/** Those rows of a getopt_long() table that are the same everywhere. */
#define OPTIONS_COMMON                                                         \
    {"json", no_argument, NULL, OPTION_JSON},                                  \
    {                                                                          \
        "help", no_argument, NULL, OPTION_HELP                                 \
    }

/** How a subcommand reads its options. */
struct options_reader {
    const char *command;
    const struct option *table;
    const char *letters; /* as getopt_long() wants them, from "+:h" on */
    /* Takes one. 0, EXIT_REFUSED, or OPTIONS_GO_ON: it is none. */
    int (*take)(void *arguments, int option);
    const char *help[4]; /* up to NULL */
};

/* None of the exit statuses. */
#define OPTIONS_GO_ON (-1)

/**
 * Read them all; --json is told by *json. OPTIONS_GO_ON, or the status to exit
 * with: it was --help, or something was refused.
 */
int options_read(const struct options_reader *reader, void *arguments,
                 bool *json, int argc, char **argv);

/**
 * What getopt_long() left in optarg for the option --`name`. 0, or
 * EXIT_REFUSED, and said so.
 */
int options_number(const char *command, const char *name, uint64_t least,
                   uint64_t most, uint64_t *number);
int options_seconds(const char *command, const char *name, uint64_t least_ns,
                    uint64_t *nanoseconds);
/* With K, M, G or T behind it; least and most are whole MiB. */
int options_bytes(const char *command, const char *name, uint64_t least,
                  uint64_t most, uint64_t *bytes);
int options_process(const char *command, pid_t *process);
int options_file(const char *command, const char *name, const char **path);

/** Somebody wrote a command without "--": say so. Returns EXIT_REFUSED. */
int options_operand(const char *command, const char *operand);

/** What is printed goes out, or it is an error. */
int options_flush(const char *command, int status);

#endif
