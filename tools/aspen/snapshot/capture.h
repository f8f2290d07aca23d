/* SPDX-License-Identifier: MIT */
/*
 * capture.h - take a snapshot of a process that runs.
 */
#ifndef ASPEN_CAPTURE_H
#define ASPEN_CAPTURE_H

#include "snapshot/pages.h"

#include <sys/types.h>

struct capture_options {
    enum pages_method method;
    bool no_stop; /* let it run: what is read may not fit together */
};

/**
 * Take a snapshot of process `process` (a thread's number means its process).
 * All its threads stand still meanwhile and go on afterwards, in every case.
 *
 * Returns: 0 and *snapshot, which the caller frees, or -1 and a reason.
 */
int capture_process(struct snapshot *snapshot, pid_t process,
                    const struct capture_options *options,
                    struct tool_error *error);

/** A command that runs to be captured. */
struct capture_run {
    pid_t process;
    int input; /* write end of its standard input: nothing ever comes */
};

/**
 * Run a command with no input, its output in the file `output` (NULL: thrown
 * away), in a session of its own, for `after_ns`.
 * Returns: 0 while it still runs, or -1 and a reason: not found, not
 *          executable, ended before.
 */
int capture_run_begin(struct capture_run *run, char *const *command,
                      const char *output, uint64_t after_ns,
                      struct tool_error *error);

/** Kill it and whatever it started in its session's process group. */
void capture_run_end(struct capture_run *run);

/** Where a snapshot comes from, for those commands that take all three. */
struct capture_source {
    pid_t process;        /* --pid P, or 0 */
    char *const *command; /* -- CMD ARGS..., or NULL */
    const char *file;     /* --snapshot FILE, or NULL */
    const char *output;   /* --output FILE, for CMD */
    uint64_t after_ns;    /* --after SECONDS, for CMD */
    bool after_given;
    bool method_given;
    struct capture_options options;
};

/** Get it from there. 0 and *snapshot, or -1 and a reason. */
int capture_from(struct snapshot *snapshot, const struct capture_source *source,
                 struct tool_error *error);

/** The subcommand. Returns the exit status. */
int capture_command(int argc, char **argv);

#endif
