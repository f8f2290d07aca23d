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

/*
 * The child writes every page of the program's data. Pages that it shares with
 * its parent look like the zero page to who is told no frames, and where both
 * are in one area, as in .bss, it stays open which is which.
 */
void own_data(void);
void end_child(pid_t child);

/* Skips the test where the host refuses ptrace. */
void needs_ptrace(void);

#endif
