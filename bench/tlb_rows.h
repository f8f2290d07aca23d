/* SPDX-License-Identifier: MIT */
/*
 * bench/tlb_rows.h - a software TLB filled from Aspen (examples/emulator.c).
 */
#ifndef BENCH_TLB_ROWS_H
#define BENCH_TLB_ROWS_H

#include "report.h"

#define TLB_ROWS 4

/* As fork_rows(). */
size_t tlb_rows(struct report_row *rows, unsigned runs, FILE *progress);

#endif
