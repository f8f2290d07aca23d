/* SPDX-License-Identifier: MIT */
/*
 * bench/fork/fork_rows.h - fork, failing fork and exit, beside the host kernel.
 */
#ifndef BENCH_FORK_ROWS_H
#define BENCH_FORK_ROWS_H

#include "../report.h"

/* Fills rows and returns how many (at most FORK_ROWS_MAX). `runs`: samples of
 * each side, taken in turns; says what it does on `progress` if not NULL. */
#define FORK_ROWS_MAX 24
size_t fork_rows(struct report_row *rows, unsigned runs, FILE *progress);

#endif
