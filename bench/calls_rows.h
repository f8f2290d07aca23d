/* SPDX-License-Identifier: MIT */
/*
 * bench/calls_rows.h - the memory calls and page faults, beside the host
 * kernel, and beside what bounds a fault: zeroing or copying a cold page.
 */
#ifndef BENCH_CALLS_ROWS_H
#define BENCH_CALLS_ROWS_H

#include "report.h"

#define CALLS_ROWS_MAX 48

/* As fork_rows(). */
size_t calls_rows(struct report_row *rows, unsigned runs, FILE *progress);

#endif
