/* SPDX-License-Identifier: MIT */
/*
 * stop.h - stop all threads of a process for a moment, by ptrace.
 *
 * They go on at stop_end(), and also when this program dies in between: a
 * tracer that is gone lets its tracees go (PTRACE_O_EXITKILL is never set).
 */
#ifndef ASPEN_STOP_H
#define ASPEN_STOP_H

#include "common/tool.h"

#include <sys/types.h>

struct stop_thread {
    pid_t thread;
    int signal; /* one that arrived while it stopped: handed on at the end */
};

struct stop {
    pid_t process;
    struct stop_thread *threads; /* by number */
    size_t count;
    size_t capacity;
};

/**
 * Stop every thread, also those that appear meanwhile.
 *
 * Returns: 0, or -1 and a reason: no such process, no permission, traced
 *          already, it ended, or a thread that does not stop (one that waits
 *          in the kernel and cannot be interrupted) within five seconds.
 *          Then every thread goes on.
 */
int stop_begin(struct stop *stop, pid_t process, struct tool_error *error);

/** Let all go on. */
void stop_end(struct stop *stop);

#endif
