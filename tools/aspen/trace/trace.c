/* SPDX-License-Identifier: MIT */
/*
 * trace.c - traces that are made by chance. See trace.h.
 *
 * Called by command.c, and by tests/unit/reclaim/test_policy.c, which breaks
 * first.
 */
#include "trace/trace.h"

#include <stdlib.h>
#include <string.h>

uint64_t
trace_random(uint64_t *seed)
{
    uint64_t x = *seed += 0x9e3779b97f4a7c15u;

    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

uint64_t
trace_below(uint64_t *seed, uint64_t limit)
{
    return trace_random(seed) % limit;
}

int
trace_begin(struct trace *trace, size_t length, uint32_t pages)
{
    *trace = (struct trace){
        .accesses = calloc(length, sizeof(*trace->accesses)),
        .length = length,
        .pages = pages,
    };
    return trace->accesses ? 0 : -1;
}

void
trace_end(struct trace *trace)
{
    free(trace->accesses);
    *trace = (struct trace){0};
}

/* ---- Zipf ------------------------------------------------------------- */

/* The tenth root, by Newton. */
static double
root(double value)
{
    double x = 2;

    for (unsigned i = 0; i < 60; i++) {
        double x3 = x * x * x;
        x = (9 * x + value / (x3 * x3 * x3)) / 10;
    }
    return x;
}

/* The first sum that is not less. */
static uint32_t
find_sum(const double *sums, uint32_t count, double at)
{
    uint32_t low = 0, high = count - 1;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (sums[middle] < at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int
trace_zipf(struct trace *trace, uint64_t *seed)
{
    uint32_t count = trace->pages;
    /* A prime that is no factor: each page has one place. */
    uint64_t scatter = count % 7919 ? 7919 : 7907;
    double *sums = malloc(count * sizeof(*sums));
    double sum = 0;

    if (!sums)
        return -1;
    for (uint32_t i = 0; i < count; i++)
        sums[i] = sum += root(i + 1.0) / (i + 1.0);
    for (size_t i = 0; i < trace->length; i++) {
        double at = (double)(trace_random(seed) >> 11) * 0x1p-53 * sum;
        trace->accesses[i] =
            (uint32_t)(find_sum(sums, count, at) * scatter % count);
    }
    free(sums);
    return 0;
}

/* ---- Others ------------------------------------------------------------ */

void
trace_scan(struct trace *trace, uint32_t hot, uint64_t *seed)
{
    uint32_t next = hot;

    for (size_t i = 0; i < trace->length; i++) {
        if (trace_below(seed, 10) < 7) {
            trace->accesses[i] = (uint32_t)trace_below(seed, hot);
            continue;
        }
        trace->accesses[i] = next++;
        if (next == trace->pages)
            next = hot;
    }
}

void
trace_phases(struct trace *trace, unsigned phases, uint32_t window,
             uint32_t step, uint64_t *seed)
{
    size_t each = (trace->length + phases - 1) / phases;

    for (size_t i = 0; i < trace->length; i++)
        trace->accesses[i] =
            (uint32_t)((i / each * step + trace_below(seed, window)) %
                       trace->pages);
}

void
trace_in_order(struct trace *trace, unsigned times)
{
    for (size_t i = 0; i < trace->length; i++)
        trace->accesses[i] = (uint32_t)(i / times % trace->pages);
}

void
trace_uniform(struct trace *trace, uint64_t *seed)
{
    for (size_t i = 0; i < trace->length; i++)
        trace->accesses[i] = (uint32_t)trace_below(seed, trace->pages);
}
