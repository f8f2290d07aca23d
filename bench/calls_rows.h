/* SPDX-License-Identifier: MIT */
/*
 * bench/calls_rows.h - the memory calls and page faults, beside the host
 * kernel, and beside what bounds a fault: zeroing or copying a cold page; and
 * over a port of functions, beside the inline one.
 */
#ifndef BENCH_CALLS_ROWS_H
#define BENCH_CALLS_ROWS_H

#include "report.h"

#define CALLS_ROWS_MAX 48

/* As tree_rows(). */
size_t calls_rows(struct report_row *rows, const char *folder, unsigned runs,
                  FILE *progress);

#endif
