/* SPDX-License-Identifier: MIT */
/*
 * bench/extern_rows.h - the memory calls over a port of ordinary functions
 * (ports/extern), beside the same port inline.
 */
#ifndef BENCH_EXTERN_ROWS_H
#define BENCH_EXTERN_ROWS_H

#include "report.h"

#define EXTERN_ROWS 6

/* As tree_rows(); none if the program is not in `folder`. */
size_t extern_rows(struct report_row *rows, const char *folder, unsigned runs,
                   FILE *progress);

#endif
