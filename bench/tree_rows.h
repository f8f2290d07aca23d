/* SPDX-License-Identifier: MIT */
/*
 * bench/tree_rows.h - the range tree beside Linux's maple tree. Each side is a
 * program of its own (the peer is GPL-2.0 and never linked with Aspen) that
 * prints its measurements; they are run in turns.
 */
#ifndef BENCH_TREE_ROWS_H
#define BENCH_TREE_ROWS_H

#include "report.h"

#define TREE_ROWS_MAX 96

/*
 * Fills rows and returns how many; 0: Aspen's own program cannot be run, and a
 * message says so. `folder` holds both programs. Without the peer its side
 * stays empty.
 */
size_t tree_rows(struct report_row *rows, const char *folder, unsigned runs,
                 FILE *progress);

#endif
