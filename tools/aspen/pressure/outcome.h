/* SPDX-License-Identifier: MIT */
/*
 * pressure/outcome.h - what a run has shown: counts, how they went, and what
 * LRU and the optimum would have had.
 */
#ifndef ASPEN_PRESSURE_OUTCOME_H
#define ASPEN_PRESSURE_OUTCOME_H

#include "pressure/machine.h"
#include "trace/trace.h"

/* About so many of a run. */
#define PRESSURE_SAMPLES 200u

/* What there was when so many accesses had begun. Where several threads make
 * them, each sees a little more or less of what the others do. */
struct pressure_sample {
    uint64_t accesses;
    uint64_t resident; /* pages, as the next one */
    uint64_t swapped;
    /* Since the beginning. */
    uint64_t reclaimed;
    uint64_t refaults;
    uint64_t hits;
    uint64_t some_us; /* stalled, one thread or more */
    uint64_t full_us; /* all of them */
    uint64_t lru_hits;
    uint64_t optimal_hits;
};

struct pressure_result {
    double seconds;
    uint64_t accesses;
    uint64_t faults;
    uint64_t refused; /* faults that answered an error */
    int refused_with; /* the last one */
    uint64_t refaults;
    uint64_t reclaimed;
    uint64_t direct_reclaims;
    uint64_t swap_in; /* pages, as the next three */
    uint64_t swap_out;
    uint64_t file_in;
    uint64_t file_out;
    uint64_t failed;   /* transfers, that were told to */
    uint64_t given_up; /* pages, when swap was full */
    uint64_t areas_removed;
    uint64_t swap_memory_bytes; /* of the device, at the end */
    uint64_t forks;
    uint64_t some_us; /* stalled, one thread or more */
    uint64_t full_us; /* all of them */
    uint64_t wrong_bytes;
    uint64_t lost_pages; /* could not be read at the end */
    size_t skipped; /* accesses, until memory was full; of those behind them: */
    uint32_t resident; /* pages, on average */
    double hit_ratio;
    double lru_ratio; /* of a memory for `resident` pages, as the next one */
    double optimal_ratio;
    uint32_t kernel_pages; /* 0: the host's kernel was not asked */
    double kernel_ratio;
    /* Owned. One each so many accesses, and one of the end. */
    struct pressure_sample *samples;
    size_t sample_count;
    size_t sample_each;
};

/** Empty, with samples of so many accesses. -1: no memory. */
int pressure_result_begin(struct pressure_result *result, size_t accesses);
void pressure_result_free(struct pressure_result *result);

/** An access begins, which is number `at` (0, 1, ...): a sample, if it is time.
 * Each number once. */
void pressure_result_note(struct pressure_result *result,
                          struct pressure_machine *machine, size_t at,
                          uint64_t hits);

/** All accesses were made: the last sample, and what the machine has counted.
 */
void pressure_result_count(struct pressure_result *result,
                           struct pressure_machine *machine, uint64_t hits);

/** What others would have had in a memory that held as many pages on average.
 * -1: no memory. */
int pressure_result_compare(struct pressure_result *result,
                            const struct trace *trace);

#endif
