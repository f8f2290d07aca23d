/* SPDX-License-Identifier: MIT */
/*
 * bench/must.h - what may not fail in a measurement.
 */
#ifndef BENCH_MUST_H
#define BENCH_MUST_H

#include <aspen/error.h>
#include <stdio.h>
#include <stdlib.h>

static inline _Noreturn void
die(const char *what, int error)
{
    fprintf(stderr, "aspen-bench: %s: %s\n", what, aspen_error_name(error));
    exit(2);
}

static inline void
must(int error, const char *what)
{
    if (error)
        die(what, error);
}

#endif
