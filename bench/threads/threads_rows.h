/* SPDX-License-Identifier: MIT */
/*
 * bench/threads/threads_rows.h - two threads of one space on two CPUs, beside
 * two that share nothing.
 */
#ifndef BENCH_THREADS_ROWS_H
#define BENCH_THREADS_ROWS_H

#include "../report.h"

#define THREADS_ROWS_MAX 6

/* 0: there are no two CPUs, which is said. */
size_t threads_rows(struct report_row *rows, unsigned runs, FILE *progress);

#endif
