/* SPDX-License-Identifier: MIT */
/*
 * capture_child.h - a child whose memory is captured, or which is stopped.
 */
#ifndef ASPEN_TESTS_CAPTURE_CHILD_H
#define ASPEN_TESTS_CAPTURE_CHILD_H

#include "unit.h"
#include <sys/types.h>

/* Memory that test and children both see, or MAP_FAILED. */
void *child_share(size_t bytes);

/* Runs work() in a child, which reports when it is ready. */
pid_t start_child(void (*work)(int ready));
void report_ready(int ready);
void end_child(pid_t child);

/* Skips the test where the host refuses ptrace. */
void needs_ptrace(void);

#endif
