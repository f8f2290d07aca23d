/* SPDX-License-Identifier: MIT */
/*
 * options.h - the options of a subcommand: a table of what each takes, and
 * where that goes.
 */
#ifndef ASPEN_OPTIONS_H
#define ASPEN_OPTIONS_H

#include "common/tool.h"

#include <getopt.h> /* optarg, optind */
#include <sys/types.h>

/** What an option takes. */
enum options_kind {
    OPTIONS_FLAG,    /* nothing; a bool becomes true */
    OPTIONS_NUMBER,  /* a uint64_t from `least` to `most` */
    OPTIONS_SECONDS, /* a uint64_t of nanoseconds, `least` or more */
    OPTIONS_BYTES,   /* a uint64_t, as 64M; `least` and `most` are whole MiB */
    OPTIONS_PROCESS, /* the number of one, a pid_t */
    OPTIONS_FILE,    /* a name that is not empty, a const char * */
    OPTIONS_TEXT,    /* anything, a const char * */
    OPTIONS_OTHER,   /* what `take` makes of optarg */
};

/** An option of a subcommand, whose values are a structure. */
struct options_row {
    const char *name; /* NULL: there are no more */
    enum options_kind kind;
    size_t at;    /* where in the structure its value is: OPTIONS_AT() */
    size_t given; /* OPTIONS_GIVEN(): a bool that says that it was; or 0 */
    uint64_t least;
    uint64_t most;
    /* Of OTHER, whose value is at `value`: 0, or EXIT_REFUSED, and said so. */
    int (*take)(void *value, const char *command);
    char letter; /* a short form; or 0 */
};

#define OPTIONS_AT(type, member)    .at = offsetof(type, member)
#define OPTIONS_GIVEN(type, member) .given = offsetof(type, member) + 1

/** How a subcommand reads its options; --help is one of all. */
struct options_reader {
    const char *command;
    const struct options_row *rows;
    bool has_operands;   /* among options; else the first ends them */
    const char *help[4]; /* up to NULL */
};

#define OPTIONS_MAX 24u /* of one subcommand */

/* None of the exit statuses. */
#define OPTIONS_GO_ON (-1)

/**
 * Read them all. OPTIONS_GO_ON, or the status to exit with: it was --help, or
 * something was refused.
 */
int options_read(const struct options_reader *reader, void *arguments, int argc,
                 char **argv);

/** Somebody wrote a command without "--": say so. Returns EXIT_REFUSED. */
int options_operand(const char *command, const char *operand);

/** What is printed goes out, or it is an error. */
int options_flush(const char *command, int status);

#endif
