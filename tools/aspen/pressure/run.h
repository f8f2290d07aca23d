/* SPDX-License-Identifier: MIT */
/*
 * pressure/run.h - a trace on a machine that is too small, by some threads, and
 * what was seen.
 */
#ifndef ASPEN_PRESSURE_RUN_H
#define ASPEN_PRESSURE_RUN_H

#include "pressure/outcome.h"
#include "trace/recorded.h"

struct pressure_plan {
    const struct trace *trace;
    const struct recorded *recorded; /* what the trace is of; NULL: of pages
                                        that are mapped from the beginning */
    uint32_t frames;
    const char *swap; /* as pressure_machine_begin(), the next three too */
    unsigned swap_flags;
    struct pressure_faults faults;
    bool can_fail;
    unsigned threads;
    uint64_t seed; /* of all by chance, and of which accesses are writes */
    bool forks;    /* now and then a storm of children */
};

/** Does the access of this number write? `first`: to the page, of which nobody
 * has written anything. */
bool pressure_is_write(const struct pressure_plan *plan, size_t at, bool first);

/** -1 and the reason: it could not be done. Else it was, and whether all is
 * right, `wrong_bytes` and `lost_pages` say. In both cases
 * pressure_result_free() follows. */
int pressure_run(const struct pressure_plan *plan,
                 struct pressure_result *result, struct tool_error *error);

#endif
