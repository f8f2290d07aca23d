/* SPDX-License-Identifier: MIT */
/*
 * bench/clock.h - time and medians.
 */
#ifndef BENCH_CLOCK_H
#define BENCH_CLOCK_H

#include <stdlib.h>
#include <time.h>

static inline double
clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* Of this thread: what others do meanwhile does not count. */
static inline double
clock_thread_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static inline int
clock_compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts the samples. */
static inline double
clock_median(double *samples, size_t count)
{
    qsort(samples, count, sizeof(*samples), clock_compare);
    return samples[count / 2];
}

#endif
