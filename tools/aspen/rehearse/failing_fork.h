/* SPDX-License-Identifier: MIT */
/*
 * failing_fork.h - one rehearsal: a fork that fails at one step, and everything
 * that has to hold afterwards.
 */
#ifndef ASPEN_FAILING_FORK_H
#define ASPEN_FAILING_FORK_H

#include "rehearse/load.h"

#include <aspen/failpoint.h>

/** How a step fails. Names: rehearsal_mode_name(). */
enum rehearsal_mode {
    REHEARSE_ONCE,      /* this step, with its own error */
    REHEARSE_ONWARD,    /* this and every later one that could */
    REHEARSE_INTERRUPT, /* a fatal signal at a poll */
    REHEARSAL_MODES
};

/** "once", "onward", "interrupt"; NULL when out of range. */
const char *rehearsal_mode_name(unsigned mode);
/** The reverse. REHEARSAL_MODES: no such name. */
enum rehearsal_mode rehearsal_mode_of(const char *name);

/** What is promised. Names as in the JSON: rehearsal_promise_name(). */
enum rehearsal_promise {
    PROMISE_CHILD_EMPTY,
    PROMISE_PARENT_UNCHANGED,
    PROMISE_NOTHING_LEFT,
    PROMISE_NEXT_FORK,
    PROMISES
};

const char *rehearsal_promise_name(unsigned promise);

#define HELD_ALL ((1u << PROMISES) - 1)

/** What one rehearsal gave. */
struct rehearsal_result {
    uint64_t recovery_ns;          /* from the failing step to the return */
    uint64_t fork_ns;              /* the fork that succeeds */
    uint32_t from_swap_in_parents; /* pages that were compared */
    uint32_t from_swap_in_children;
    uint32_t held; /* bits by promise */
    uint32_t done; /* set last */
};

/** What a machine is compared with, and rehearsed on. */
struct rehearsal_stage {
    struct machine machine;
    struct aspen_counters counters; /* between forks */
    struct aspen_mm_counters parent;
    uint64_t semantic_hash;
    uint64_t counts_hash;
    uint64_t steps;
    uint8_t *kinds; /* of each step, from step 1 at [0] */
    uint64_t kinds_capacity;
    uint64_t child_vmas;    /* what a child has */
    uint64_t validated_ns;  /* when the whole machine was */
    uint64_t validating_ns; /* how long it took */
    bool no_memory;
};

/**
 * Build the machine and count the steps of a fork.
 * Returns: 0, or -1 and a reason (also: the machine does not hold up before
 *          anything has failed, which is a bug; `*broken` is set then).
 */
int rehearsal_begin(struct rehearsal_stage *stage,
                    const struct snapshot *snapshot, bool *broken,
                    struct tool_error *error);

/**
 * One rehearsal: step `step` (from 1) fails. Fills the result; what did not
 * hold is told in `error`, the first of it.
 */
void rehearsal_run(struct rehearsal_stage *stage, uint64_t step,
                   enum rehearsal_mode mode, struct rehearsal_result *result,
                   struct tool_error *error);

/** Whole machine, then its end. -1 and what does not hold. */
int rehearsal_end(struct rehearsal_stage *stage, struct tool_error *error);

#endif
