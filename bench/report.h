/* SPDX-License-Identifier: MIT */
/*
 * bench/report.h - rows of measurements, as a table or as JSON.
 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define REPORT_SAMPLES 15

/* One thing measured on both sides. A side without samples was not measured
 * (the peer is not installed, or cannot do it here). */
struct report_row {
    char name[64];
    uint64_t n;            /* how many ranges, pages, VMAs, ... */
    const char *unit;      /* "ns", "bytes" */
    const char *peer_name; /* NULL: a size with a limit, no peer */
    double target;         /* ratio at most; a limit when there is no peer;
                              0: none */
    const char *peer_does; /* what the peer does besides, or NULL */
    double aspen[REPORT_SAMPLES];
    double peer[REPORT_SAMPLES];
    unsigned aspen_count;
    unsigned peer_count;
};

void report_add_aspen(struct report_row *row, double value);
void report_add_peer(struct report_row *row, double value);

/* Print the rows; medians over the samples, lowest and highest beside them. */
void report_table(FILE *out, const char *title, struct report_row *rows,
                  size_t count);
/* {"schema":"aspen.bench/1","rows":[...]}; false: out of memory or I/O. */
bool report_json(FILE *out, struct report_row *rows, size_t count);

#endif
