/* SPDX-License-Identifier: MIT */
/*
 * frames/count.h - what is counted often: each CPU has a line of its own, with
 * what it has added and taken away; only the sum of all says something.
 */
#ifndef ASPEN_FRAMES_COUNT_H
#define ASPEN_FRAMES_COUNT_H

#include "internal.h"

/* Context: any. `number` may be the negative of one: sums wrap. */
static inline void
aspen_count(struct aspen *aspen, enum aspen_count what, uint64_t number)
{
    aspen_count_relaxed(&aspen->frame_caches[aspen_port_cpu()].counts[what],
                        number);
}

/* Of all CPUs: exact when nobody counts. What is counted off on one CPU and on,
 * before it, on another may be missed: it wraps then. */
static inline uint64_t
aspen_count_wrapping(const struct aspen *aspen, enum aspen_count what)
{
    const bool both = what == ASPEN_COUNT_ANON || what == ASPEN_COUNT_FAULT;
    uint64_t sum = 0;

    for (unsigned cpu = 0; cpu < ASPEN_PORT_CPUS; cpu++) {
        const uint64_t *counts = aspen->frame_caches[cpu].counts;
        sum += aspen_load_relaxed(&counts[what]);
        if (both)
            sum += aspen_load_relaxed(&counts[ASPEN_COUNT_ANON_FAULT]);
    }
    return sum;
}

/* The same, and never below 0. */
static inline uint64_t
aspen_count_sum(const struct aspen *aspen, enum aspen_count what)
{
    uint64_t sum = aspen_count_wrapping(aspen, what);

    return (int64_t)sum < 0 ? 0 : sum;
}

#endif
