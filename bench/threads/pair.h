/* SPDX-License-Identifier: MIT */
/*
 * bench/threads/pair.h - work of one thread, or of two at once on two CPUs.
 */
#ifndef BENCH_THREADS_PAIR_H
#define BENCH_THREADS_PAIR_H

#include <stdbool.h>

/* Nanoseconds for each of what it does. */
typedef double pair_work(void *context);

/* Goes on until the other is done. */
typedef void pair_beside(void *context);

/* May threads run on CPUs 0 and 1? */
bool pair_possible(void);

double pair_alone(pair_work *work, void *context);

/* The mean of the two. */
double pair_both(pair_work *work, void *first, void *second);

/* One that is measured, and one that calls `beside` again and again. */
double pair_measured(pair_work *work, void *context, pair_beside *beside,
                     void *other);

#endif
