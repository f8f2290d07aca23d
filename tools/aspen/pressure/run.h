/* SPDX-License-Identifier: MIT */
/*
 * pressure/run.h - a trace on a machine that is too small, by some threads, and
 * what was seen.
 */
#ifndef ASPEN_PRESSURE_RUN_H
#define ASPEN_PRESSURE_RUN_H

#include "pressure/machine.h"
#include "pressure/trace.h"

struct pressure_plan {
    const struct trace *trace;
    uint32_t frames;
    const char *swap; /* as pressure_machine_begin(), the next three too */
    unsigned swap_flags;
    struct pressure_faults faults;
    bool can_fail;
    unsigned threads;
    uint64_t seed; /* of all by chance, and of which accesses are writes */
    bool forks;    /* now and then a storm of children */
};

/* What there was at a moment. */
struct pressure_sample {
    uint64_t accesses; /* so far */
    uint64_t resident; /* pages */
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
    uint64_t wrong_bytes;
    uint64_t lost_pages; /* could not be read at the end */
    /* From when memory was full. */
    uint32_t resident; /* pages, on average */
    double hit_ratio;
    double lru_ratio; /* of a memory for `resident` pages, as the next one */
    double optimal_ratio;
    /* Owned; in the order of time. */
    struct pressure_sample *samples;
    size_t sample_count;
    size_t sample_room;
};

/** -1 and the reason: it could not be done. Else it was, and whether all is
 * right, `wrong_bytes` and `lost_pages` say. */
int pressure_run(const struct pressure_plan *plan,
                 struct pressure_result *result, struct tool_error *error);

void pressure_result_free(struct pressure_result *result);

#endif
