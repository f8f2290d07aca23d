/* SPDX-License-Identifier: MIT */
/*
 * bench/pressure/pressure_rows.h - memory that is short: what it costs that
 * pages leave and come back, and what it costs when it is not short.
 */
#ifndef BENCH_PRESSURE_ROWS_H
#define BENCH_PRESSURE_ROWS_H

#include "../report.h"

#define PRESSURE_ROWS_MAX 48

/* As fork_rows(). */
size_t pressure_rows(struct report_row *rows, unsigned runs, FILE *progress);

#endif
