/* SPDX-License-Identifier: MIT */
/*
 * trace/trace.h - which pages are accessed, one after the other: made by
 * chance, or read from a file. And what others would have in memory of them.
 *
 * Nothing here knows of Aspen.
 */
#ifndef ASPEN_TRACE_TRACE_H
#define ASPEN_TRACE_TRACE_H

#include "common/tool.h"

/** Pages are numbers below `pages`. Zeroed, it is empty. */
struct trace {
    uint32_t *accesses;
    size_t length;
    uint32_t pages;
};

/* Random numbers by a seed, as the tests' unit_random(). */
uint64_t trace_random(uint64_t *seed);
uint64_t trace_below(uint64_t *seed, uint64_t limit);

/** An empty trace for `length` accesses to `pages` pages, to be filled by one
 * of the next ones; pages 0. -1: no memory. */
int trace_begin(struct trace *trace, size_t length, uint32_t pages);
void trace_end(struct trace *trace);

/** Page n with the weight 1 / (n + 1)^0.9; neighbours are no neighbours. -1: no
 * memory. */
int trace_zipf(struct trace *trace, uint64_t *seed);
/** `hot` pages get 70 of 100 accesses; beside them the rest, one by one. */
void trace_scan(struct trace *trace, uint32_t hot, uint64_t *seed);
/** So many phases, each of `window` pages that are `step` on from the one
 * before, around the end. */
void trace_phases(struct trace *trace, unsigned phases, uint32_t window,
                  uint32_t step, uint64_t *seed);
/** One by one, each `times` times, and again from the first on. */
void trace_in_order(struct trace *trace, unsigned times);
void trace_uniform(struct trace *trace, uint64_t *seed);

/** Where hits are counted by when they were; `hits` are zeroes before, as many
 * as it takes. */
struct trace_parts {
    size_t each; /* accesses of a part */
    uint64_t *hits;
};

/**
 * The part of the accesses that finds its page in a memory of so many pages;
 * the first `skipped` do not count, but in `parts` (or NULL). Exact LRU, and
 * the optimum, Belady's: the page leaves that is accessed again last. Below 0:
 * no memory.
 */
double trace_lru(const struct trace *trace, uint32_t memory, size_t skipped,
                 struct trace_parts *parts);
double trace_optimum(const struct trace *trace, uint32_t memory, size_t skipped,
                     struct trace_parts *parts);

#endif
